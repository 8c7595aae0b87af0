"""One digest of a whole trained network, however it is computed."""

from fpdet.experiments.network.experiment import EXPERIMENT

__all__ = ["EXPERIMENT"]
