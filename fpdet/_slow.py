"""Which calls the SIMD kernels take, and the warning before a long one that they do not."""

import warnings

import torch

from fpdet import _library  # noqa: F401  (registers the ops)

HARDWARE_ROUNDINGS = ("nearest_even", "toward_zero", "upward", "downward")
NATIVE_FORMATS = ("float32", "float64")
SECONDS_PER_TERM = 20e-9
LONG = 10.0

_warned = set()


def is_native(arithmetic, dtype):
    """Whether the CPU has a SIMD kernel for this `fpdet.Arithmetic` on operands of `dtype`."""
    return torch.ops.fpdet.convolution_has_kernel(str(dtype).removeprefix("torch."), arithmetic.text)


def nearest_fast(arithmetic):
    """The arithmetic with a SIMD kernel that differs from this one in as little as possible."""
    from fpdet._arithmetic import Arithmetic

    rounding = arithmetic.rounding if arithmetic.rounding in HARDWARE_ROUNDINGS else "nearest_even"
    order = arithmetic.order
    order = order if order.is_tree and "element" not in order else "blocked(512)"
    known = arithmetic.accumulator in (*NATIVE_FORMATS, "auto")
    accumulator = arithmetic.accumulator if known else "auto"
    return Arithmetic(rounding, order, accumulator, arithmetic.fused)


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
        f"{seconds:.0f} s on one thread. The nearest fast arithmetic is '{nearest_fast(forward)}'.",
        stacklevel=4,
    )
