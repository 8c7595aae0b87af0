"""Divergence of weights over learning rates (Fig. 2 of Sun et al.), by layer and step."""

from fpdet.experiments.divergence.experiment import EXPERIMENT

__all__ = ["EXPERIMENT"]
