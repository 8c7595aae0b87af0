"""Arrays at the edges: tensors are float64 NumPy arrays whose elements are members of a named dtype.

float64 holds every value of every format exactly, bfloat16 included, for which NumPy has no dtype.
"""

import itertools

import numpy as np


def as_values(x) -> np.ndarray:
    """``x`` as a float64 array; exact for every floating dtype. Raises TypeError for integers."""
    x = np.asarray(x)
    if x.dtype.kind != "f":
        raise TypeError(f"expected an array of floating-point numbers, got dtype {x.dtype}")
    return x.astype(np.float64)


def dtype_of(x, dtype) -> str:
    """``dtype``, or the name of the array's own."""
    return dtype or np.asarray(x).dtype.name


def per_axis(value, axes: int) -> tuple[int, ...]:
    """An int repeated for each spatial axis, or the sequence as a tuple."""
    return (value,) * axes if isinstance(value, int) else tuple(value)


def indices(shape):
    """All index tuples, last index fastest."""
    return itertools.product(*map(range, shape))


def padded(x, lead, position) -> float:
    """x[*lead, *position], or +0 where ``position`` lies outside the spatial extent."""
    if all(0 <= p < extent for p, extent in zip(position, x.shape[len(lead) :], strict=True)):
        return float(x[(*lead, *position)])
    return 0.0


def fill(shape, value) -> np.ndarray:
    """The array with ``value(index, flat)`` at each index; ``flat`` is the row-major number of the index."""
    out = np.empty(shape, np.float64)
    for flat, index in enumerate(indices(shape)):
        out[index] = value(index, flat)
    return out


def fill_samples(shape, batch_offset, value) -> np.ndarray:
    """As ``fill`` with ``value(index, n, element)``: n counts along the first axis from ``batch_offset``,
    element is row-major inside the sample. A 0-d tensor is one sample of one element."""
    per_sample = int(np.prod(shape[1:], dtype=np.int64)) if shape else 1
    return fill(shape, lambda index, flat: value(index, batch_offset + flat // per_sample, flat % per_sample))


def fill_positions(shape, batch_offset, value) -> np.ndarray:
    """As ``fill`` with ``value(index, position)``: row-major in the whole batch, whose sample ``batch_offset`` is the
    array's first."""
    per_sample = int(np.prod(shape[1:], dtype=np.int64)) if shape else 1
    return fill(shape, lambda index, flat: value(index, batch_offset * per_sample + flat))


def same(x, y) -> bool:
    """Equal bit for bit, all NaNs being one; -0 differs from +0."""
    x, y = as_values(x), as_values(y)
    if x.shape != y.shape:
        return False
    both_nan = np.isnan(x) & np.isnan(y)
    return bool(np.all(both_nan | (x.view(np.uint64) == y.view(np.uint64))))
