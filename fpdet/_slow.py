"""Which calls the SIMD kernels take, and the warning before a long one that they do not."""

import warnings

import torch

from fpdet import _library  # noqa: F401  (registers the ops)
from fpdet._arithmetic import DEFAULT

SECONDS_PER_TERM = 20e-9
LONG = 10.0

_warned = set()


def is_native(arithmetic, dtype):
    """Whether the CPU has a SIMD kernel for this `fpdet.Arithmetic` on operands of `dtype`."""
    return torch.ops.fpdet.convolution_has_kernel(str(dtype).removeprefix("torch."), arithmetic.text)


def nearest_fast(arithmetic, dtype):
    """The arithmetic with a SIMD kernel that differs from this one in as little as possible: in its
    order first, then in the accumulator, then in the rounding.
    """
    order = arithmetic.order
    if not order.is_tree or "element" in order:
        order = "blocked(512)"
    keyed = {} if arithmetic.rounding != "stochastic" else {"keyed_by": "position"}
    closest = arithmetic.replace(order=order, **keyed)
    options = {"bits": 32, "variant": "a", "seed": 0}
    for rounding in ({}, {"rounding": "nearest_even", **options}):
        for accumulator in ({}, {"accumulator": "auto"}):
            candidate = closest.replace(**rounding, **accumulator)
            if is_native(candidate, dtype):
                return candidate
    return DEFAULT


def warn_once(op, arithmetic, dtype, terms, outputs):
    """Warn, once a process and arithmetic, before a call that would run for long on the slow path."""
    if torch.compiler.is_compiling():
        return
    seconds = terms * outputs * SECONDS_PER_TERM
    if seconds < LONG or arithmetic.text in _warned:
        return
    forward = getattr(arithmetic, "forward", arithmetic)
    if is_native(forward, dtype):
        return
    _warned.add(arithmetic.text)
    warnings.warn(
        f"{op}: '{forward}' has no fast kernel; this call sums {terms * outputs:.2g} terms, about "
        f"{seconds:.0f} s on one thread. The nearest fast arithmetic is '{nearest_fast(forward, dtype)}'.",
        stacklevel=4,
    )
