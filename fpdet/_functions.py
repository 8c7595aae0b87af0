"""The elementary functions of one argument, correctly rounded: `unary`, a thin wrapper of the op."""

import torch

from fpdet import _library, _ops  # noqa: F401  (registers the C++ ops)
from fpdet._interrupt import call

UNARY = 9  # the pass tag of a call by itself (csrc/core/random.h has those below)
FUNCTIONS = tuple(torch.ops.fpdet.unary_functions.default())


def unary(function, x, text, draw=None, tag=UNARY, batch_offset=0):
    """`function`(x) rounded once by the arithmetic `text`, then into x's dtype; no derivative.

    Args:
        function: one of `FUNCTIONS`.
        x: float32, bfloat16 or float16 tensor; float64 for sqrt, rsqrt and reciprocal alone.
        text: an Arithmetic in words, its accumulator inside float32 but for those three.
        draw: int64 tensor (seed, counter) of stochastic rounding, or None.
        tag, batch_offset: the pass and the first sample's number, of stochastic rounding.

    Raises:
        ValueError: an unknown function.
        NotImplementedError: a dtype or accumulator that the function is not rounded correctly for.

    Source: docs/semantics.md, "Elementary functions".
    """
    if function not in FUNCTIONS:
        raise ValueError(f"function: expected one of {', '.join(FUNCTIONS)}; got {function!r}")
    if x.dtype not in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
        raise NotImplementedError(f"{function}(): x: expected float32, bfloat16 or float16, got {x.dtype}")
    dtype = str(x.dtype).removeprefix("torch.")
    if not torch.ops.fpdet.unary_covers.default(function, dtype, text):
        raise NotImplementedError(
            f"{function}(): expected float32, bfloat16 or float16 and an accumulator inside float32, "
            f"got {dtype} and the arithmetic {text!r}"
        )
    return call(torch.ops.fpdet.unary.default, x, function, text, draw, tag, batch_offset)
