"""The linearised one-layer CNN (Fig. 3, Table 2 of Sun et al.)."""

from fpdet.experiments.linear_pde.experiment import EXPERIMENT

__all__ = ["EXPERIMENT"]
