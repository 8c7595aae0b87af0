"""add, mul, fma, div, sqrt and conversion: the exact real result, rounded once; zeros, infinities, NaN by name.

Source: IEEE 754-2019 sections 5.4.1, 6.1, 6.2, 6.3 and 7.2; docs/semantics.md section 3.
"""

import math
from fractions import Fraction

from .rounding import format_of, is_negative, round_exact


class Rounder:
    """Operations in one format under one rounding: ``add``, ``mul``, ``fma``, ``div``, ``sqrt``, ``convert``.

    Each takes floats (of any format: operands are never rounded on entry) and ``event``, the number of the
    rounding within its output element, and rounds the exact real result once. ``draw(event, operation,
    operands)`` supplies the random bits under stochastic rounding.
    """

    def __init__(self, format, rounding, draw=None, bits=32, variant="a"):
        self.format, self.rounding, self.draw = format_of(format), rounding, draw
        self.bits, self.variant = bits, variant

    def _finish(self, x: Fraction, zero_sign: int, event, operation, operands) -> float:
        random = self.draw(event, operation, operands) if self.rounding == "stochastic" else None
        return round_exact(x, zero_sign, self.format, self.rounding, random, self.bits, self.variant)

    def _zero_sign_of_sum(self, a_negative: bool, b_negative: bool) -> int:
        """The sign of an exact zero a + b: that of both, otherwise + (- under ``downward``)."""
        if a_negative == b_negative:
            return -1 if a_negative else 1
        return -1 if self.rounding == "downward" else 1

    def add(self, a: float, b: float, event=0) -> float:
        return self._fma("add", 1.0, a, b, event, (a, b))

    def sub(self, a: float, b: float, event=0) -> float:
        return self.add(a, -b, event)

    def mul(self, a: float, b: float, event=0) -> float:
        negative = is_negative(a) != is_negative(b)
        if math.isnan(a) or math.isnan(b):
            return math.nan
        if math.isinf(a) or math.isinf(b):
            return math.nan if a == 0 or b == 0 else self.format.infinity(negative)
        return self._finish(Fraction(a) * Fraction(b), -1 if negative else 1, event, "mul", (a, b))

    def fma(self, a: float, b: float, c: float, event=0) -> float:
        """round(a*b + c), one rounding; inf*0 + anything is NaN."""
        return self._fma("fma", a, b, c, event, (a, b, c))

    def _fma(self, operation, a, b, c, event, operands):
        negative = is_negative(a) != is_negative(b)
        if math.isnan(a) or math.isnan(b) or math.isnan(c):
            return math.nan
        if math.isinf(a) or math.isinf(b):
            if a == 0 or b == 0 or (math.isinf(c) and is_negative(c) != negative):
                return math.nan
            return self.format.infinity(negative)
        if math.isinf(c):
            return self.format.infinity(is_negative(c))
        zero_sign = self._zero_sign_of_sum(negative, is_negative(c))
        if a != 0 and b != 0 and c != 0:  # an exact cancellation, whatever the sign bits
            zero_sign = self._zero_sign_of_sum(False, True)
        return self._finish(Fraction(a) * Fraction(b) + Fraction(c), zero_sign, event, operation, operands)

    def div(self, a: float, b: float, event=0) -> float:
        """round(a/b); 0/0 and inf/inf are NaN, x/0 is an infinity."""
        negative = is_negative(a) != is_negative(b)
        if math.isnan(a) or math.isnan(b) or (a == 0 and b == 0) or (math.isinf(a) and math.isinf(b)):
            return math.nan
        if math.isinf(a) or b == 0:
            return self.format.infinity(negative)
        if math.isinf(b):
            return -0.0 if negative else 0.0
        return self._finish(Fraction(a) / Fraction(b), -1 if negative else 1, event, "div", (a, b))

    def sqrt(self, a: float, event=0) -> float:
        """round(sqrt(a)); of -0 it is -0, of other negative numbers NaN."""
        if math.isnan(a) or a < 0:
            return math.nan
        if a == 0:
            return a
        if math.isinf(a):
            return self.format.infinity(False)
        # Scaled by a power of 4 to an integer of at least 600 digits: its root has 300. Where that is not exact,
        # the half that is added stands for the rest: all that a rounding asks for lies far above.
        x = Fraction(a)
        half = 600 + x.denominator.bit_length()
        scaled = x * 4**half
        root = math.isqrt(scaled.numerator)
        value = Fraction(2 * root + (root * root != scaled.numerator), 2) / 2**half
        return self._finish(value, 1, event, "sqrt", (a,))

    def convert(self, a: float, event=0) -> float:
        """``a`` rounded into the format; zeros keep their sign, infinities become NaN where there are none."""
        if math.isnan(a):
            return math.nan
        if math.isinf(a):
            return self.format.infinity(a < 0)
        return self._finish(Fraction(a), -1 if is_negative(a) else 1, event, "convert", (a,))


def add(a, b, format="float64", rounding="nearest_even", random=None, bits=32, variant="a") -> float:
    """round(a + b) into ``format``; ``random`` is the N-bit integer of stochastic rounding."""
    return Rounder(format, rounding, lambda *_: random, bits, variant).add(a, b)


def mul(a, b, format="float64", rounding="nearest_even", random=None, bits=32, variant="a") -> float:
    """round(a * b) into ``format``."""
    return Rounder(format, rounding, lambda *_: random, bits, variant).mul(a, b)


def fma(a, b, c, format="float64", rounding="nearest_even", random=None, bits=32, variant="a") -> float:
    """round(a * b + c) into ``format``, one rounding."""
    return Rounder(format, rounding, lambda *_: random, bits, variant).fma(a, b, c)


def div(a, b, format="float64", rounding="nearest_even", random=None, bits=32, variant="a") -> float:
    """round(a / b) into ``format``."""
    return Rounder(format, rounding, lambda *_: random, bits, variant).div(a, b)


def convert(a, format, rounding="nearest_even", random=None, bits=32, variant="a") -> float:
    """``a`` rounded into ``format``."""
    return Rounder(format, rounding, lambda *_: random, bits, variant).convert(a)
