"""Sharpness against 2/lr in full-batch training (v3 and v4 of the paper; Cohen et al., 2021)."""

from fpdet.experiments.edge_of_stability.experiment import EXPERIMENT

__all__ = ["EXPERIMENT"]
