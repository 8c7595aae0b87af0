"""The heat equation (Fig. 1 of Sun et al.) under any rounding and format."""

from fpdet.experiments.heat.experiment import EXPERIMENT

__all__ = ["EXPERIMENT"]
