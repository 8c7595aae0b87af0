"""Sums over the workers of a group, the same bits on each of them.

Worker r sums the r-th piece of the elements, whose parts the others send it, and then sends out the result: each
element is summed once, by the order over ranks 0, 1, …, and no backend's algorithm takes part.
"""

import torch

from fpdet import _primitives


def ordered(workers, x, arithmetic):
    """x [elements] of every worker summed by `arithmetic`; the terms of a sum are the ranks in turn."""
    count, pieces = x.numel(), _pieces(x.unsqueeze(0), workers.size)
    parts = workers.pieces(pieces).squeeze(1)
    total = _primitives.sum(parts, None, [0], False, arithmetic.text, None, 0)
    return workers.gathered(total).reshape(-1)[:count]


def exact(workers, planes, rounding, dtype):
    """Partials [numbers, elements] of every worker: the whole sums, rounded once."""
    count, numbers = planes.shape[1], workers.maximum(planes.shape[0])
    short = numbers - planes.shape[0]
    if short:
        planes = torch.cat([planes, planes.new_zeros(short, count)])
    parts = workers.pieces(_pieces(planes, workers.size))
    total = torch.ops.fpdet.round_partials(parts, f"{rounding} exact", str(dtype).removeprefix("torch."))
    return workers.gathered(total).reshape(-1)[:count]


def exact_of(workers, partials, rounding, dtype):
    """The same for partials [numbers, *shape]."""
    shape = partials.shape[1:]
    return exact(workers, partials.reshape(partials.shape[0], -1), rounding, dtype).reshape(shape)


def _pieces(planes, size):
    """[numbers, elements] -> [size, numbers, elements of a piece], filled up with zeros."""
    numbers, count = planes.shape
    each = -(-count // size)
    if each * size != count:
        planes = torch.cat([planes, planes.new_zeros(numbers, each * size - count)], 1)
    return planes.reshape(numbers, size, each).transpose(0, 1).contiguous()
