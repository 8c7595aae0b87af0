"""One step of Adam and of AdamW.

Results are float64 arrays of members of ``dtype`` (the dtype of the parameter unless given).
Source: docs/semantics.md, "Adam"; the step is that of torch.optim.Adam (single tensor).
"""

import math
from fractions import Fraction

import numpy as np

from .arithmetic import Rounder, convert
from .reduction import ADAM, DEFAULT
from .tensors import as_values, dtype_of, fill

_NEAREST = Rounder("float64", "nearest_even")


def power(beta: float, t: int) -> float:
    """The float64 number nearest to beta^t."""
    exact = Fraction(beta) ** t
    return exact.numerator / exact.denominator  # Python rounds the quotient of integers once, to nearest even


def scalars(lr, beta1, beta2, eps, weight_decay, decoupled, t):
    """Those of step ``t`` = 1, 2, ..., in float64, each operation to nearest even."""
    one_minus = lambda x: _NEAREST.sub(1.0, x)  # noqa: E731
    return {
        "decay": one_minus(_NEAREST.mul(lr, weight_decay)) if decoupled else weight_decay,
        "w": one_minus(beta1),
        "kept": beta2,
        "taken": one_minus(beta2),
        "correction": _NEAREST.sqrt(one_minus(power(beta2, t))),
        "eps": eps,
        "minus_step": -_NEAREST.div(lr, one_minus(power(beta1, t))),
    }


def adam_step(
    param,
    grad,
    exp_avg,
    exp_avg_sq,
    max_exp_avg_sq=None,
    *,
    step,
    lr=1e-3,
    betas=(0.9, 0.999),
    eps=1e-8,
    weight_decay=0.0,
    decoupled=False,
    maximize=False,
    n=0,
    rules=DEFAULT,
    dtype=None,
):
    """Step number ``step`` (1, 2, ...) on one tensor: new (param, exp_avg, exp_avg_sq, max_exp_avg_sq or None).

    AMSGrad where ``max_exp_avg_sq`` is given; ``decoupled`` for AdamW. ``n`` is the number of the tensor in the call.
    Step i has events 2i (the product of a multiply-add that is not fused) and 2i+1, numbered as below; 24 to 27
    convert exp_avg, exp_avg_sq, param and max_exp_avg_sq, which are used as they were before that.
    """
    dtype, param = dtype_of(param, dtype), as_values(param).copy()
    accumulator, rules = rules.accumulator_format(dtype), rules.for_pass(ADAM)
    given = scalars(float(lr), *map(float, betas), float(eps), float(weight_decay), decoupled, step)
    k = {name: convert(value, accumulator) for name, value in given.items()}
    grad, exp_avg, exp_avg_sq = as_values(grad), as_values(exp_avg).copy(), as_values(exp_avg_sq).copy()
    largest = None if max_exp_avg_sq is None else as_values(max_exp_avg_sq).copy()

    def value(index, position):
        r, store = (rules.elementwise_rounder(format, position, n) for format in (accumulator, dtype))

        def multiply_add(x, c, y, step):
            if rules.fused:
                return r.fma(c, y, x, 2 * step + 1)
            return r.add(x, r.mul(c, y, 2 * step), 2 * step + 1)

        p, g, m, v = (float(array[index]) for array in (param, grad, exp_avg, exp_avg_sq))
        if maximize:
            g = -g
        if weight_decay != 0:
            if decoupled:
                p = r.mul(k["decay"], p, 1)
            else:
                g = multiply_add(g, k["decay"], p, 0)
        d = r.sub(g, m, 3)
        if k["w"] < 0.5:
            m = multiply_add(m, k["w"], d, 2)
        else:
            m = multiply_add(g, k["w"] - 1, d, 2)
        kept, taken = r.mul(k["kept"], v, 7), r.mul(k["taken"], g, 9)
        v = multiply_add(kept, taken, g, 5)
        h = v
        if largest is not None:
            before = float(largest[index])
            h = before if before > v or math.isnan(before) else v
            largest[index] = store.convert(h, 27)
        root = r.div(r.sqrt(h, 13), k["correction"], 15)
        divisor = r.add(root, k["eps"], 17)
        update = r.div(r.mul(k["minus_step"], m, 19), divisor, 21)
        exp_avg[index], exp_avg_sq[index] = store.convert(m, 24), store.convert(v, 25)
        return store.convert(r.add(p, update, 23), 26)

    result = np.asarray(fill(param.shape, value))
    return result, exp_avg, exp_avg_sq, largest
