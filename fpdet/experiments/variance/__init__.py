"""Spread of test accuracy (Table 1 of Sun et al.) over perturbations, seeds and arithmetics."""

from fpdet.experiments.variance.experiment import EXPERIMENT

__all__ = ["EXPERIMENT"]
