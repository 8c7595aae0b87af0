"""exp, sigmoid and log(1 + x) in float64 out of +, -, *, / alone, so that their bits are those of IEEE 754, not of a
libm.

Not correctly rounded: an error of a few ulp (tests/test_experiment_models.py holds them against mpmath's).
"""

import numpy as np

_LOG2_E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 0.6931471803691238, 1.9082149292705877e-10  # the high part has 21 trailing zero bits
_TAYLOR = (1.0, 1.0, *(1.0 / float(f) for f in np.cumprod(np.arange(2, 15, dtype=np.float64))))


def exp_negative(x):
    """exp(x) for x <= 0: x = k ln 2 + r with |r| <= ln 2 / 2, a Taylor polynomial of degree 14 in r, times 2^k."""
    x = np.maximum(np.asarray(x, np.float64), -746.0)
    k = np.rint(x * _LOG2_E)
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    y = np.full_like(r, _TAYLOR[-1])
    for coefficient in _TAYLOR[-2::-1]:
        y = y * r + coefficient
    return np.ldexp(y, np.where(np.isnan(k), 0, k).astype(np.int64))


def sigmoid(x):
    """1 / (1 + exp(-x))."""
    x = np.asarray(x, np.float64)
    e = exp_negative(-np.abs(x))
    return np.where(x >= 0, 1.0, e) / (1.0 + e)


def log1p(e):
    """log(1 + e) for e in [0, 1], as 2 artanh(e / (2 + e)): a series in t^2 <= 1/9, 18 terms."""
    t = np.asarray(e, np.float64) / (2.0 + e)
    square, y = t * t, np.zeros_like(t)
    for n in range(35, 0, -2):
        y = y * square + 1.0 / n
    return 2.0 * t * y


def softplus(x):
    """log(1 + exp(x))."""
    x = np.asarray(x, np.float64)
    return np.maximum(x, 0.0) + log1p(exp_negative(-np.abs(x)))
