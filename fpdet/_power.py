"""Powers of Adam's betas, correctly rounded: libraries of C differ in the last bit of theirs."""

import functools


@functools.lru_cache(maxsize=1024)
def power(base, exponent):
    """The float64 number nearest to base^exponent, ties to even.

    Args:
        base: a float in [0, 1).
        exponent: an int >= 0.
    """
    if exponent == 0 or base == 0:
        return float(exponent == 0)
    digits = 128
    while True:
        low, high, scale = _enclosure(base, exponent, digits)
        below, above = (_rounded(end, scale) for end in (low, high))
        if below == above:
            return below
        # Never endless: a power of a binary fraction above 2^54 in its odd part is no tie, one below is exact here.
        digits *= 2


def _enclosure(base, exponent, digits):
    """low, high, scale: low <= base^exponent * 2^scale <= high, integers of about so many digits."""
    numerator, denominator = base.as_integer_ratio()
    low, high, scale = 1, 1, 0
    for bit in f"{exponent:b}":
        low, high, scale = low * low, high * high, 2 * scale
        if bit == "1":
            low, high, scale = low * numerator, high * numerator, scale + denominator.bit_length() - 1
        surplus = max(0, high.bit_length() - digits)
        low, high, scale = low >> surplus, -(-high >> surplus), scale - surplus
    return low, high, scale


def _rounded(integer, scale):
    """integer / 2^scale as the nearest float: Python's quotient of integers is rounded once."""
    return integer / (1 << scale) if scale >= 0 else float(integer << -scale)
