"""Elementary functions of one argument: the real value f(x) rounded once, by MPFR at growing precision.

At zeros, infinities and NaN, outside the domain and where the result is rational, the value is given by name. All else
is irrational (for erf, normal_cdf and gelu as far as anybody has seen): an enclosure [low, high] shrinks until both
ends round alike. gmpy2 (MPFR) is needed.
Source: docs/semantics.md, "Elementary functions"; IEEE 754-2019 section 9.2.
"""

import math
from fractions import Fraction

import numpy as np

from .order import parse_order
from .reduction import DEFAULT
from .rounding import floor_log2, format_of, power_of_two, round_exact
from .tensors import as_values, dtype_of, fill_positions

UNARY = 9

# Value at zeros (None: x itself), at -infinity, at +infinity.
LIMITS = {
    "exp": (1.0, 0.0, math.inf),
    "expm1": (None, -1.0, math.inf),
    "log": (-math.inf, math.nan, math.inf),
    "log1p": (None, math.nan, math.inf),
    "tanh": (None, -1.0, 1.0),
    "sigmoid": (0.5, 0.0, 1.0),
    "silu": (None, -0.0, math.inf),
    "softplus": ("irrational", 0.0, math.inf),
    "erf": (None, -1.0, 1.0),
    "normal_cdf": (0.5, 0.0, 1.0),
    "gelu": (None, -0.0, math.inf),
    "sqrt": (None, math.nan, math.inf),
    "rsqrt": ("pole", math.nan, 0.0),
    "reciprocal": ("pole", -0.0, 0.0),
}
DOMAIN = {"log": 0.0, "log1p": -1.0, "sqrt": 0.0, "rsqrt": 0.0}


def exact_value(name: str, x: float):
    """f(x) as a float where it is a zero, an infinity or NaN, as a Fraction where it is another rational number,
    else None."""
    if name not in LIMITS:
        raise ValueError(f"function: expected one of {', '.join(LIMITS)}, got {name!r}")
    at_zero, at_minus, at_plus = LIMITS[name]
    if math.isnan(x):
        return math.nan
    if math.isinf(x):
        return at_plus if x > 0 else at_minus
    if x == 0:
        if at_zero == "pole":
            return math.copysign(math.inf, x)
        return None if at_zero == "irrational" else x if at_zero is None else at_zero
    if x < DOMAIN.get(name, -math.inf):
        return math.nan
    if name == "log" and x == 1:
        return 0.0
    if name == "log1p" and x == -1:
        return -math.inf
    if name == "reciprocal":
        return 1 / Fraction(x)
    if name in ("sqrt", "rsqrt"):
        ratio = Fraction(x)
        top, bottom = math.isqrt(ratio.numerator), math.isqrt(ratio.denominator)
        if (top * top, bottom * bottom) == (ratio.numerator, ratio.denominator):
            return Fraction(top, bottom) if name == "sqrt" else Fraction(bottom, top)
    return None


# Where |x| is so large that f(x) is next to a limit, x or a power of two beyond all formats, this x stands in.
_EXP_MOST, _ERF_MOST = 200, 20


def _evaluate(name, x, gmpy2):
    """f(x) by operations to nearest without cancellation, and the factor of its relative error beside 2^-precision."""
    number = gmpy2.mpfr(x)
    small = gmpy2.mpfr(max(-_EXP_MOST, min(_EXP_MOST, x)))
    if name in ("exp", "expm1", "tanh"):
        return getattr(gmpy2, name)(small), 1
    if name in ("log", "log1p", "sqrt"):
        return getattr(gmpy2, name)(number), 1
    if name == "rsqrt":
        return gmpy2.rec_sqrt(number), 1
    if name == "sigmoid":
        return 1 / (1 + gmpy2.exp(-small)), 4
    if name == "silu":
        return max(number, -_EXP_MOST) / (1 + gmpy2.exp(-small)), 4
    if name == "softplus":
        return max(number, 0) + gmpy2.log1p(gmpy2.exp(-abs(small))), 4
    bounded = gmpy2.mpfr(max(-_ERF_MOST, min(_ERF_MOST, x)))
    if name == "erf":
        return gmpy2.erf(bounded), 1
    # erfc multiplies an error of its argument by at most 2 t^2 + 2, t^2 <= _ERF_MOST^2 / 2.
    normal = gmpy2.erfc(-bounded / gmpy2.sqrt(gmpy2.mpfr(2))) / 2
    return (max(number, -_ERF_MOST) * normal if name == "gelu" else normal), 8 * _ERF_MOST**2


def enclosure(name: str, x: float, precision: int) -> tuple[Fraction, Fraction]:
    """Two rational numbers around f(x), which is irrational; MPFR with ``precision`` digits."""
    import gmpy2

    with gmpy2.context(precision=precision, emin=gmpy2.get_emin_min(), emax=gmpy2.get_emax_max()):
        value, factor = _evaluate(name, x, gmpy2)
        exact = gmpy2.mpq(value)
    middle = Fraction(int(exact.numerator), int(exact.denominator))
    error = abs(middle) * factor / 2**precision
    return middle - error, middle + error


def settle(name: str, x: float, rounded):
    """rounded(f(x)) where f(x) is irrational: of both ends of an enclosure, narrow enough to agree."""
    for doubling in range(7, 15):
        low, high = (rounded(end) for end in enclosure(name, x, 2**doubling))
        if low == high or low != low:  # NaN: an infinity of a format that has none
            return low
    raise ArithmeticError(f"{name}({x!r}): not settled with {2**14} digits")


def function(name, x, format, rounding="nearest_even", random=None, bits=32, variant="a") -> float:
    """``name``(x) rounded once into ``format``."""
    value = exact_value(name, x)
    if isinstance(value, float):
        if math.isnan(value):
            return value
        if math.isinf(value):
            return format_of(format).infinity(value < 0)
        if value == 0:
            return value
    rounded = lambda y: round_exact(Fraction(y), 1, format, rounding, random, bits, variant)  # noqa: E731
    return settle(name, x, rounded) if value is None else rounded(value)


def digits(name: str, x: float, count: int) -> tuple[bool, int, int]:
    """Of an irrational f(x) the sign, the exponent e of 2^e <= |f(x)| < 2^(e+1) and its first ``count`` digits."""

    def cut(y):
        e = floor_log2(abs(y))
        return y < 0, e, math.floor(abs(y) / power_of_two(e - count + 1))

    return settle(name, x, cut)


def unary(name, x, rules=DEFAULT, dtype=None) -> np.ndarray:
    """Of an array: one rounding in the accumulator's format (event 0), then conversion (event 1).

    Under ``exact`` the one rounding is straight into ``dtype``.
    """
    dtype, x = dtype_of(x, dtype), as_values(x)
    rules = rules.for_pass(UNARY)
    accumulator = dtype if parse_order(rules.order).name == "exact" else rules.accumulator_format(dtype)

    def value(index, position):
        operand = float(x[index])
        rounder = rules.elementwise_rounder(accumulator, position)
        random = rounder.draw(0, name, (operand,)) if rules.rounding == "stochastic" else None
        member = function(name, operand, accumulator, rules.rounding, random, rules.bits, rules.variant)
        return rules.elementwise_rounder(dtype, position).convert(member, 1)

    return fill_positions(x.shape, rules.batch_offset, value)
