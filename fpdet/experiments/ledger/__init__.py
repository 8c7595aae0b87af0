"""The error that each op and pass of a training step adds, against exact results of the same operands."""

from fpdet.experiments.ledger.experiment import EXPERIMENT

__all__ = ["EXPERIMENT"]
