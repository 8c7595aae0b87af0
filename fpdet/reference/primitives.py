"""The primitives that networks' ops are programs of: binary operations, sums, matrix products, gathered sums.

Results are float64 arrays of members of ``dtype`` (the dtype of the first array unless given). Samples are counted
along the result's first axis, except by ``matmul``: there each line of a matrix is one.
Source: docs/semantics.md, "Primitives".
"""

import numpy as np

from .arithmetic import convert
from .order import parse_order
from .reduction import DEFAULT, FORWARD, reduce_element
from .tensors import as_values, dtype_of, fill_positions, fill_samples, indices


def binary(a, b, operation, rules=DEFAULT, dtype=None) -> np.ndarray:
    """add, sub, mul or div, broadcast as NumPy does: one rounding in the accumulator's format (event 0), then
    conversion (event 1). Under ``exact`` the one rounding is straight into ``dtype``.

    One of the two may be a Python float: it is rounded once, to nearest even, into the accumulator's format, which
    under ``exact`` is the one that ``auto`` means.
    """
    dtype = dtype_of(b if isinstance(a, float) else a, dtype)
    exact = parse_order(rules.order).name == "exact"
    automatic = rules.accumulator_format(dtype) if not exact else "float64" if dtype == "float64" else "float32"
    accumulator = dtype if exact else automatic
    a, b = (np.float64(convert(x, automatic)) if isinstance(x, float) else as_values(x) for x in (a, b))
    a, b = np.broadcast_arrays(a, b)
    rules = rules.for_pass(FORWARD)

    def value(index, position):
        operate = getattr(rules.elementwise_rounder(accumulator, position), operation)
        result = operate(float(a[index]), float(b[index]), 0)
        return rules.elementwise_rounder(dtype, position).convert(result, 1)

    return fill_positions(a.shape, rules.batch_offset, value)


def sum_terms(a, b=None, dims=None, keepdim=False, rules=DEFAULT, dtype=None) -> np.ndarray:
    """a, or the products a*b, broadcast, summed over ``dims`` (None: all). Terms in row-major order of those."""
    dtype, a = dtype_of(a, dtype), as_values(a)
    b = None if b is None else as_values(b)
    if b is not None:
        a, b = np.broadcast_arrays(a, b)
    dims = range(a.ndim) if dims is None else dims
    reduced = sorted(d % a.ndim for d in dims) if a.ndim else []
    rules = rules.for_pass(FORWARD)

    def value(index, n, element):
        kept = iter(index)
        where = [0] * a.ndim
        for d in range(a.ndim):
            if keepdim or d not in reduced:
                where[d] = next(kept)
        terms = []
        for term in indices([a.shape[d] for d in reduced]):
            for d, i in zip(reduced, term, strict=True):
                where[d] = i
            place = tuple(where)
            terms.append(float(a[place]) if b is None else (float(a[place]), float(b[place])))
        return reduce_element(terms, rules, dtype, None, n, element)

    shape = [1 if d in reduced else size for d, size in enumerate(a.shape) if keepdim or d not in reduced]
    return fill_samples(shape, rules.batch_offset, value)


def matmul(a, b, bias=None, rules=DEFAULT, dtype=None) -> np.ndarray:
    """a (*, M, K) times b (*, K, N), batches equal or one of the two a matrix; terms a[m, k]*b[k, n] in the order of k.

    Lines are samples: line m of all matrices, numbered row-major, is n = batch_offset * (lines of one index of the
    first axis) + its number; element is the column.
    """
    dtype, a, b = dtype_of(a, dtype), as_values(a), as_values(b)
    batch = b.shape[:-2] if a.ndim == 2 else a.shape[:-2]
    shape = (*batch, a.shape[-2], b.shape[-1])
    a, b = np.broadcast_to(a, (*batch, *a.shape[-2:])), np.broadcast_to(b, (*batch, *b.shape[-2:]))
    rules = rules.for_pass(FORWARD)
    first = rules.batch_offset * int(np.prod(shape[1:-1], dtype=np.int64))
    out = np.empty(shape, np.float64)
    for line, (*matrix, m) in enumerate(indices(shape[:-1])):
        for column in range(shape[-1]):
            left, right = a[(*matrix, m)], b[(*matrix, slice(None), column)]
            terms = [(float(x), float(y)) for x, y in zip(left, right, strict=True)]
            added = None if bias is None else float(bias[column])
            out[(*matrix, m, column)] = reduce_element(terms, rules, dtype, added, first + line, column)
    return out


def gather_sum(x, offsets, indices, weights=None, rules=DEFAULT, dtype=None) -> np.ndarray:
    """Line s: the sum over j = offsets[s] … offsets[s+1]-1 of x[indices[j]], or of weights[j]*x[indices[j]]."""
    dtype, x = dtype_of(x, dtype), as_values(x)
    rules = rules.for_pass(FORWARD)

    def value(index, n, element):
        s, d = index
        places = range(offsets[s], offsets[s + 1])
        terms = [float(x[indices[j], d]) for j in places]
        if weights is not None:
            terms = [(float(weights[j]), term) for j, term in zip(places, terms, strict=True)]
        return reduce_element(terms, rules, dtype, None, n, element)

    return fill_samples((len(offsets) - 1, x.shape[1]), rules.batch_offset, value)
