"""What the lower mode of ``with fpdet.arithmetic(...)`` does: autograd's own additions, and ops that nobody stated."""

import torch

from fpdet import _check, _ops, _stream
from fpdet._context import ACCUMULATE
from fpdet._exact_names import BELOW
from fpdet._table import floats


def below(context, op, args, kwargs):
    """An op that arrives below autograd."""
    if context._trusted or op.namespace != "aten" or _is_compiling():
        return op(*args, **kwargs)
    name = op.overloadpacket.__name__
    viewed = name.removesuffix("_copy").removesuffix("_scatter")  # so compiled graphs call views
    known = name in BELOW or viewed in BELOW
    if name in ("add", "add_") and _addition(args, kwargs):
        total = _accumulated(context, *args)
        return total if name == "add" else args[0].copy_(total)
    if not known and (floats(args) or floats(kwargs.values())):
        context.uncovered(f"{op}, called below autograd,")
    return op(*args, **kwargs)


def _is_compiling():
    return torch.compiler.is_compiling() or torch._C._get_dispatch_mode(torch._C._TorchDispatchModeKey.FAKE) is not None


def _addition(args, kwargs):
    """Two tensors of one shape and dtype that fpdet adds, by factor 1."""
    if kwargs.get("alpha", 1) != 1 or len(args) != 2:
        return False
    a, b = args
    return (
        isinstance(a, torch.Tensor)
        and isinstance(b, torch.Tensor)
        and a.dtype in _check.DTYPES
        and a.dtype == b.dtype
        and a.shape == b.shape
        and a.device.type == "cpu"
    )


def _accumulated(context, a, b):
    arithmetic = context.value
    text = _ops.arithmetic_of_pass(arithmetic.text, _ops.GRAD_INPUT)
    draw = _stream.stream_advance(context.stream) if arithmetic.draws else None
    return _ops.ops.add.default(a, b, text, draw, ACCUMULATE)
