"""Elementwise ops: addition, rounding to a format, and the SGD step.

Results are float64 arrays of members of ``dtype`` (the dtype of the first array unless given).
Source: docs/semantics.md sections 8 and 9; the SGD step is that of torch.optim.SGD (single tensor).
"""

import numpy as np

from .arithmetic import convert
from .order import parse_order
from .reduction import ADD, DEFAULT, ROUND, SGD
from .tensors import as_values, dtype_of, fill, fill_positions


def add_tensors(a, b, rules=DEFAULT, dtype=None) -> np.ndarray:
    """a + b, equal shapes: one rounding in the accumulator's format (event 0), then conversion (event 1).

    Under ``exact`` the one rounding is straight into ``dtype``.
    """
    dtype, a, b = dtype_of(a, dtype), as_values(a), as_values(b)
    if a.shape != b.shape:
        raise ValueError(f"b: expected shape {a.shape}, got {b.shape}")
    rules = rules.for_pass(ADD)
    accumulator = dtype if parse_order(rules.order).name == "exact" else rules.accumulator_format(dtype)

    def value(index, position):
        total = rules.elementwise_rounder(accumulator, position).add(float(a[index]), float(b[index]), 0)
        return rules.elementwise_rounder(dtype, position).convert(total, 1)

    return fill_positions(a.shape, rules.batch_offset, value)


def round_tensor(x, format, rules=DEFAULT, dtype=None) -> np.ndarray:
    """x rounded into ``format`` (event 0), then into its own dtype (event 1), which is exact unless the format has
    numbers that the dtype lacks."""
    dtype, x = dtype_of(x, dtype), as_values(x)
    rules = rules.for_pass(ROUND)

    def value(index, position):
        rounded = rules.elementwise_rounder(format, position).convert(float(x[index]), 0)
        return rules.elementwise_rounder(dtype, position).convert(rounded, 1)

    return fill_positions(x.shape, rules.batch_offset, value)


def sgd_step(
    param,
    grad,
    buffer=None,
    *,
    lr,
    momentum=0.0,
    dampening=0.0,
    weight_decay=0.0,
    nesterov=False,
    maximize=False,
    rescale=1.0,
    first_step=False,
    n=0,
    rules=DEFAULT,
    dtype=None,
):
    """One step of SGD on one tensor: (new param, new momentum buffer or None). ``order`` plays no part.

    ``n`` is the number of the tensor in the call. Scalars are float64, rounded once to nearest even into the
    accumulator's format; which steps take place is decided by the scalars as given. Each multiply-add is x + c*y.
    Events: step i has 2i (the product of a multiply-add that is not fused) and 2i+1; weight decay 0, momentum * buffer
    1, its addition 2, nesterov 3, division 4, update 5; then 12 converts the buffer and 13 the parameter. The steps
    that follow use the buffer as it was before conversion.
    """
    dtype, param, grad = dtype_of(param, dtype), as_values(param), as_values(grad)
    accumulator, rules = rules.accumulator_format(dtype), rules.for_pass(SGD)
    scalar = lambda v: convert(float(v), accumulator)  # noqa: E731
    if rescale != 1:
        lr = float(lr) * float(rescale)
    buffer = None if momentum == 0 else np.empty_like(param) if first_step else as_values(buffer).copy()

    def value(index, position):
        r, store = (rules.elementwise_rounder(format, position, n) for format in (accumulator, dtype))

        def multiply_add(a, b, c, event):
            return r.fma(a, b, c, event + 1) if rules.fused else r.add(c, r.mul(a, b, event), event + 1)

        p, g = float(param[index]), float(grad[index])
        if maximize:
            g = -g
        if weight_decay != 0:
            g = multiply_add(scalar(weight_decay), p, g, 0)
        if momentum != 0:
            buf = g
            if not first_step:
                buf = r.mul(scalar(momentum), float(buffer[index]), 3)
                buf = multiply_add(scalar(1.0 - dampening), g, buf, 4)
            buffer[index] = store.convert(buf, 12)
            g = multiply_add(scalar(momentum), buf, g, 6) if nesterov else buf
        if rescale != 1:
            g = r.div(g, scalar(rescale), 9)
        p = multiply_add(-scalar(lr), g, p, 10)
        return store.convert(p, 13)

    return fill(param.shape, value), buffer
