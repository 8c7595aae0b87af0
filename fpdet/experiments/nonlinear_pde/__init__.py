"""The non-linear one-layer CNN (Fig. 4 of Sun et al.): restrained instabilities over learning rates."""

from fpdet.experiments.nonlinear_pde.experiment import EXPERIMENT

__all__ = ["EXPERIMENT"]
