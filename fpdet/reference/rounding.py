"""Formats and the seven roundings, on exact rationals.

A value is a Python float. It only *carries* a member of a format (every supported format embeds in
binary64); no float is ever added, multiplied or divided here. Infinities, NaN and the signs of zeros
are handled by name, everything else is a ``fractions.Fraction``.
Source: IEEE 754-2019 sections 4.3, 6.1 and 6.3; IEEE P3109 (stochastic variants); docs/semantics.md.
"""

import math
import re
from dataclasses import dataclass
from fractions import Fraction

ROUNDINGS = ("nearest_even", "nearest_away", "toward_zero", "upward", "downward", "to_odd", "stochastic")
HALF = Fraction(1, 2)


@dataclass(frozen=True)
class Format:
    """A binary floating-point format: IEEE-like, bias 2^(exponent_bits-1) - 1, with subnormals.

    Raises ValueError unless 2 <= exponent_bits <= 11 and 2 <= precision <= 53.
    ``precision`` counts the leading bit. ``finite_only`` is float8_e4m3fn's layout: no infinities, the
    top exponent holds numbers, and only the all-ones pattern is NaN.
    """

    exponent_bits: int
    precision: int
    finite_only: bool = False

    def __post_init__(self):
        if not (2 <= self.exponent_bits <= 11 and 2 <= self.precision <= 53):
            raise ValueError(
                f"format: expected 2 <= e <= 11 and 1 < p <= 53, got e{self.exponent_bits}p{self.precision}"
            )

    @property
    def emin(self) -> int:
        """Exponent of the least normal number 2^emin."""
        return 2 - 2 ** (self.exponent_bits - 1)

    @property
    def emax(self) -> int:
        """Exponent of the greatest finite number."""
        return 2 ** (self.exponent_bits - 1) - (0 if self.finite_only else 1)

    @property
    def max_finite(self) -> Fraction:
        top = 2**self.precision - (2 if self.finite_only else 1)
        return top * power_of_two(self.emax - self.precision + 1)

    @property
    def min_subnormal(self) -> Fraction:
        return power_of_two(self.emin - self.precision + 1)

    def infinity(self, negative: bool) -> float:
        """The infinity of that sign, NaN in a format that has none."""
        return math.nan if self.finite_only else (-math.inf if negative else math.inf)


FORMATS = {
    "float64": Format(11, 53),
    "float32": Format(8, 24),
    "tfloat32": Format(8, 11),
    "bfloat16": Format(8, 8),
    "float16": Format(5, 11),
    "float8_e4m3fn": Format(4, 4, finite_only=True),
    "float8_e5m2": Format(5, 3),
}


def format_of(word) -> Format:
    """The Format that ``word`` names: a Format, a name of FORMATS, or ``e<exponent_bits>p<precision>``."""
    if isinstance(word, Format):
        return word
    custom = re.fullmatch(r"e(\d+)p(\d+)", word)
    if custom:
        return Format(int(custom[1]), int(custom[2]))
    if word not in FORMATS:
        raise ValueError(f"format: expected one of {', '.join(FORMATS)} or e<bits>p<precision>, got {word!r}")
    return FORMATS[word]


def power_of_two(exponent: int) -> Fraction:
    return Fraction(2**exponent) if exponent >= 0 else Fraction(1, 2**-exponent)


def floor_log2(x: Fraction) -> int:
    """The e with 2^e <= x < 2^(e+1), for x > 0."""
    e = x.numerator.bit_length() - x.denominator.bit_length()
    return e if x >= power_of_two(e) else e - 1


def is_negative(x: float) -> bool:
    """The sign bit: true for -0."""
    return math.copysign(1.0, x) < 0


def round_half_even(x: Fraction) -> int:
    low = math.floor(x)
    return low + (x - low > HALF or (x - low == HALF and low % 2 == 1))


def stochastic_away(d: Fraction, random: int, bits: int, variant: str) -> bool:
    """P3109's StochasticA, B and C with ``bits`` random bits ``random``, 0 < d < 1."""
    match variant:
        case "a":
            return math.floor(d * 2**bits) + random >= 2**bits
        case "b":
            return math.floor(d * 2 ** (bits + 1)) + 2 * random + 1 >= 2 ** (bits + 1)
        case "c":
            return round_half_even(d * 2**bits) + random >= 2**bits
    raise ValueError(f"variant: expected a, b or c, got {variant!r}")


def away_from_zero(rounding, negative, odd, d, random=None, bits=32, variant="a") -> bool:
    """Is x rounded away from zero? |x| lies the fraction d, 0 < d < 1, of a quantum above its lower
    neighbour, whose last significand bit is ``odd``."""
    match rounding:
        case "nearest_even":
            return d > HALF or (d == HALF and odd)
        case "nearest_away":
            return d >= HALF
        case "toward_zero":
            return False
        case "upward":
            return not negative
        case "downward":
            return negative
        case "to_odd":
            return not odd
        case "stochastic":
            return stochastic_away(d, random, bits, variant)
    raise ValueError(f"rounding: expected one of {', '.join(ROUNDINGS)}, got {rounding!r}")


def overflows_to_infinity(rounding, negative) -> bool:
    """Is a result beyond the greatest finite number an infinity? Otherwise it is that number."""
    match rounding:
        case "toward_zero" | "to_odd":
            return False
        case "upward":
            return not negative
        case "downward":
            return negative
    return True


def round_exact(x: Fraction, zero_sign: int, format, rounding, random=None, bits=32, variant="a") -> float:
    """The real number ``x`` rounded once into ``format``; ``zero_sign`` (+1 or -1) is the sign if x is 0.

    First to ``precision`` digits as if the exponent had no upper bound (below 2^emin the quantum stays
    that of 2^emin), then overflow. A non-zero x that rounds to zero keeps its sign.
    """
    if rounding not in ROUNDINGS:
        raise ValueError(f"rounding: expected one of {', '.join(ROUNDINGS)}, got {rounding!r}")
    if rounding == "stochastic" and not (1 <= bits <= 32 and isinstance(random, int) and 0 <= random < 2**bits):
        raise ValueError(f"random: expected an int in 0 ... 2^{bits}-1 and 1 <= bits <= 32, got {random!r}")
    fmt = format_of(format)
    if x == 0:
        return -0.0 if zero_sign < 0 else 0.0
    negative, magnitude = x < 0, abs(x)
    quantum = power_of_two(max(floor_log2(magnitude), fmt.emin) - fmt.precision + 1)
    steps, rest = divmod(magnitude, quantum)
    if rest and away_from_zero(rounding, negative, steps % 2 == 1, rest / quantum, random, bits, variant):
        steps += 1
    result = steps * quantum
    if result > fmt.max_finite:
        if overflows_to_infinity(rounding, negative):
            return fmt.infinity(negative)
        result = fmt.max_finite
    return -float(result) if negative else float(result)
