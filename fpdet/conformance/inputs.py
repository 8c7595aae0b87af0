"""Operands from integers: equal on every platform and torch version, no generator of torch's."""

from math import prod

import numpy as np
import torch

KINDS = ("spread", "cancelling", "special", "subnormal", "few_digits")

# dtype: digits, exponent of the least positive number
_FORMATS = {"float64": (53, -1074), "float32": (24, -149), "bfloat16": (8, -133), "float16": (11, -24)}
_MASK = (1 << 64) - 1


def splitmix64(count, seed):
    """`count` 64-bit words of Steele, Lea and Flood's generator (OOPSLA 2014)."""
    start = np.uint64((seed * 0x9E3779B97F4A7C15) & _MASK)
    with np.errstate(over="ignore"):
        z = start + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def values(shape, seed, kind, dtype):
    """A tensor whose elements are all members of `dtype` as they are.

    spread      as many digits as the dtype has, exponents -4 to 4, either sign
    cancelling  the same with negated neighbours and zeros of both signs
    special     the same with a few infinities and NaNs
    subnormal   cancelling, two thirds of the elements below the normal range
    few_digits  integers from -4 to 4
    """
    digits, least = _FORMATS[dtype]
    words = splitmix64(prod(shape), seed)
    if kind == "few_digits":
        x = (words % np.uint64(9)).astype(np.float64) - 4.0
    else:
        significands = ((words >> np.uint64(64 - digits)) | np.uint64(1 << (digits - 1))).astype(np.float64)
        signs = 1.0 - 2.0 * (words & np.uint64(1)).astype(np.float64)
        exponents = ((words >> np.uint64(1)) % np.uint64(9)).astype(np.int64) - 4
        x = np.ldexp(signs * significands, exponents - digits)
        if kind == "subnormal":
            few = ((words >> np.uint64(4)) % np.uint64(1 << (digits - 1))).astype(np.float64)
            x = np.where((words >> np.uint64(60)) % np.uint64(3) < 2, np.ldexp(signs * few, least), x)
        if kind != "spread":
            x[1::4] = -x[0::4][: len(x[1::4])]
            x[2::7] = 0.0
            x[5::11] = -0.0
        if kind == "special":
            x[3::97] = np.inf
            x[60::211] = -np.inf
            x[100::307] = np.nan
    return torch.from_numpy(x.reshape(shape)).to(getattr(torch, dtype))
