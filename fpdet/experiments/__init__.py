"""Experiments that ``python -m fpdet run NAME`` runs; `EXPERIMENTS` names them."""

from importlib import import_module

# name -> what it shows; the module fpdet.experiments.NAME holds EXPERIMENT, an `experiment.Experiment`
EXPERIMENTS = {
    "sources": "how much of the spread in test accuracy comes from rounding, from order, and from the seed",
    "heat": "the heat equation below and above von Neumann's limit, under any rounding and format",
    "linear_pde": "the linearised one-layer CNN: both weight-decay bounds against measured growth per frequency",
    "nonlinear_pde": "the one-layer CNN over learning rates: oscillation of the loss, growth of last-bit error",
    "divergence": "how far two trainings part that differ in rounding alone: per layer, step and learning rate",
    "ledger": "how much error each layer and pass of a training step adds, and which order or format would mend it",
    "variance": "spread of test accuracy over perturbations of the last bit, over seeds, over arithmetics",
    "network": "a whole net trained under one Arithmetic: one digest for threads, kernels, compilers",
    "edge_of_stability": "sharpness against 2/lr in full-batch training, and growth of last-bit error beside it",
}


def load(name):
    """The `Experiment` of a name in EXPERIMENTS."""
    return import_module(f"fpdet.experiments.{name}").EXPERIMENT
