"""Where the spread of a net's test accuracy comes from, one source of difference varied at a time."""

from fpdet.experiments.sources.experiment import EXPERIMENT

__all__ = ["EXPERIMENT"]
