"""torch.nn's layers with a stated arithmetic."""

from fpdet.nn import functional, layers
from fpdet.nn.layers import *  # noqa: F403  (every name of layers.NAMES)
from fpdet.nn.modules import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
)

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "functional",
    *layers.NAMES,
]
