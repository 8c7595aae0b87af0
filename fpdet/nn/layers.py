"""torch.nn's other layers with an `arithmetic`: torch's own forward, run inside `fpdet.arithmetic`.

So a layer has torch's arguments, state_dict and code; only its operations are fpdet's. Layers that draw random numbers
of their own (dropout, attention with dropout) keep a stream, as those whose arithmetic is stochastic.
"""

import torch

from fpdet import _context
from fpdet.nn.modules import _Arithmetic

NAMES = (
    "Linear",
    "Embedding",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LayerNorm",
    "GroupNorm",
    "RMSNorm",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool2d",
    "Sigmoid",
    "Tanh",
    "SiLU",
    "GELU",
    "Softplus",
    "LogSigmoid",
    "LeakyReLU",
    "ELU",
    "Softmax",
    "LogSoftmax",
    "Dropout",
    "Upsample",
    "MultiheadAttention",
    "MSELoss",
    "L1Loss",
    "CrossEntropyLoss",
    "NLLLoss",
    "BCEWithLogitsLoss",
)
DRAWING = ("Dropout", "MultiheadAttention")


class _InContext(_Arithmetic):
    def forward(self, *args, **kwargs):
        """torch's, inside a context of this layer's arithmetic."""
        with _context.layer(self._arithmetic, self._buffers.get("stream"), self._always_draws):
            return super().forward(*args, **kwargs)


def _constructor(base):
    def __init__(self, *args, arithmetic=None, **kwargs):
        base.__init__(self, *args, **kwargs)
        self.set_arithmetic(arithmetic)

    return __init__


def _layer(name):
    base = getattr(torch.nn, name)
    body = {
        "__init__": _constructor(base),
        "__doc__": f"torch.nn.{name} with ``arithmetic=``.",
        "__module__": __name__,
        "__qualname__": name,
        "_always_draws": name in DRAWING,
    }
    return type(name, (_InContext, base), body)


for _name in NAMES:
    globals()[_name] = _layer(_name)

__all__ = list(NAMES)
