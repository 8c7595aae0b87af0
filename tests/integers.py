"""Test data from integers: the same values on every platform and torch version, no generator of torch's."""

import numpy as np

MASK = (1 << 64) - 1


def splitmix64(count, seed):
    """``count`` 64-bit words of Steele, Lea and Flood's generator (OOPSLA 2014)."""
    words, state = [], (seed * 0x9E3779B97F4A7C15) & MASK
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        words.append(z ^ (z >> 31))
    return np.array(words, dtype=np.uint64)


def values(shape, seed, kind="spread"):
    """float64 array of the given kind, few enough digits that float32, and for "small" every format, holds them.

    small   integers -4..4: every sum of few terms is exact, so only an index error can show
    spread  24 random digits, exponents -6..6, either sign
    hard    as spread, with zeros of both signs and pairs that nearly cancel
    special as hard, with an infinity and a NaN
    """
    words = splitmix64(int(np.prod(shape)), seed)
    if kind == "small":
        return (words % np.uint64(9)).astype(np.float64).reshape(shape) - 4.0
    digits = (words >> np.uint64(40)).astype(np.float64) + 2.0**23
    exponents = ((words >> np.uint64(8)) % np.uint64(13)).astype(np.int64) - 6
    signs = 1.0 - 2.0 * (words & np.uint64(1)).astype(np.float64)
    x = np.ldexp(signs * np.minimum(digits, 2.0**24 - 1), exponents - 24)
    if kind in ("hard", "special"):
        x[1::4] = -x[0::4][: len(x[1::4])]
        x[2::7] = 0.0
        x[5::11] = -0.0
    if kind == "special":
        x[3::17] = np.inf
        x[9::29] = np.nan
    return x.reshape(shape)
