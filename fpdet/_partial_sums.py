"""The sums that gradient ops make, not rounded: partials (csrc/core/partials.h), [numbers, *shape of the result].

One function for each op that ends in a sum; it takes that op's arguments. Order plays no part: partials are exact.
"""

from math import prod

import torch
from torch.nn.functional import pad

_ops = torch.ops.fpdet
_CHUNK = 1 << 24  # elements of the operand that a convolution is unfolded into at once


def nothing(count, numbers=2):
    """The partials of `count` sums of no terms."""
    planes = torch.zeros(numbers, count, dtype=torch.float64)
    planes[0] = -0.0
    return planes


def stacked(parts):
    """Partials of one shape [numbers, outputs] as [parts, numbers, outputs]."""
    numbers = max(part.shape[0] for part in parts)
    whole = torch.zeros(len(parts), numbers, parts[0].shape[1], dtype=torch.float64)
    for i, part in enumerate(parts):
        whole[i, : part.shape[0]] = part
    return whole


def merged(parts):
    """The partials [numbers, outputs] of the whole sums of `parts`."""
    return parts[0] if len(parts) == 1 else _ops.merge_partials(stacked(parts))


def rounded(planes, rounding, dtype):
    """[numbers, outputs] -> [outputs]."""
    text = f"{rounding} exact"
    return _ops.round_partials(planes.unsqueeze(0).contiguous(), text, str(dtype).removeprefix("torch."))


def products(a, b):
    """a (G, M, T) and b (G, N, T) -> [numbers, G, M, N]. Vector lanes are lines of the second operand."""
    if b.shape[1] < 8 <= a.shape[1]:
        return _ops.partial_products(b, a).transpose(2, 3)
    return _ops.partial_products(a, b)


def sums(x):
    """x (M, T) -> [numbers, M]."""
    one = torch.ones(1, dtype=x.dtype).expand(1, 1, x.shape[1])
    return _ops.partial_products(x.unsqueeze(0), one)[:, 0, :, 0]


def of_sum(a, b, dims):
    """Of `_primitives.sum`: without the summed dimensions."""
    shape = a.shape if b is None else torch.broadcast_shapes(a.shape, b.shape)
    rank = len(shape)
    reduced = [d % rank for d in dims] if dims and rank else list(range(rank))
    kept = [d for d in range(rank) if d not in reduced]

    def lines(x):
        x = x.expand(shape).permute(*kept, *reduced) if rank else x
        return x.reshape(prod(shape[d] for d in kept), prod(shape[d] for d in reduced))

    if b is None:
        planes = sums(lines(a))
    else:
        planes = products(lines(a).unsqueeze(1), lines(b).unsqueeze(1))
    return planes.reshape(planes.shape[0], *(shape[d] for d in kept))


def _of_sum(a, b, dims, *_):
    return of_sum(a, b, dims)


def _of_matmul(a, b, bias, *_):
    if bias is not None:
        raise NotImplementedError
    if b.dim() == 2:
        return products(a.flatten(0, -2).unsqueeze(0), b.t().unsqueeze(0))
    a = a.expand(*b.shape[:-2], *a.shape[-2:])
    return products(a.flatten(0, -3), b.flatten(0, -3).transpose(1, 2))


def _of_grad_weight(grad, input, stride, padding, dilation, groups, kernel, *_):
    out = grad.shape[2:]
    reach = [(p - 1) * s + (r - 1) * d + 1 for p, s, r, d in zip(out, stride, kernel, dilation, strict=True)]
    after = [max(0, n - q - h) for n, q, h in zip(reach, padding, input.shape[2:], strict=True)]
    sides = [side for pair in zip(reversed(padding), reversed(after), strict=True) for side in pair]
    channels = input.shape[1] // groups
    step = max(1, _CHUNK // max(1, input.shape[1] * prod(kernel) * prod(out)))
    parts = []
    for first in range(0, max(1, input.shape[0]), step):
        x, dy = input[first : first + step], grad[first : first + step]
        x = pad(x, sides).contiguous()
        sample, channel, *axes = x.stride()
        taps = [d * s for d, s in zip(dilation, axes, strict=True)]
        places = [d * s for d, s in zip(stride, axes, strict=True)]
        size = (groups, channels, *kernel, x.shape[0], *out)
        windows = x.as_strided(size, (channels * channel, channel, *taps, sample, *places))
        terms = x.shape[0] * prod(out)
        lines = dy.transpose(0, 1).reshape(groups, grad.shape[1] // groups, terms)
        parts.append(products(lines, windows.reshape(groups, channels * prod(kernel), terms)).flatten(1))
    return merged(parts)


def _of_channel_sum(grad, *_):
    return sums(grad.transpose(0, 1).flatten(1))


def _of_gather_sum(x, offsets, indices, weights, *_):
    """Sums of equally many terms together."""
    columns, terms = x.shape[1], offsets.diff()
    found = {}
    for count in terms.unique().tolist():
        lines = (terms == count).nonzero().squeeze(1)
        places = offsets[lines].unsqueeze(1) + torch.arange(count)
        values = x[indices[places]].transpose(1, 2)  # (sums, columns, terms)
        if weights is None:
            found[count] = lines, sums(values.flatten(0, 1)).unflatten(1, (len(lines), columns))
        else:
            found[count] = lines, products(values, weights[places].unsqueeze(1)).squeeze(3)
    planes = torch.zeros(
        max((p.shape[0] for _, p in found.values()), default=2), len(terms), columns, dtype=torch.float64
    )
    for lines, part in found.values():
        planes[: part.shape[0], lines] = part
    return planes


_FORMULAS = {
    "sum": _of_sum,
    "matmul": _of_matmul,
    "convolution_grad_weight": _of_grad_weight,
    "convolution_grad_weight_by_pass": _of_grad_weight,
    "channel_sum": _of_channel_sum,
    "gather_sum": _of_gather_sum,
}
# Where an op's arguments say in which arithmetic it computes.
TEXT = {
    "sum": 4,
    "matmul": 3,
    "convolution_grad_weight": 7,
    "convolution_grad_weight_by_pass": 7,
    "channel_sum": 1,
    "gather_sum": 4,
}


def of(name, args, result):
    """The partials of the op that gave `result`: [numbers, *result.shape]."""
    planes = _FORMULAS[name](*args)
    return planes.reshape(planes.shape[0], *result.shape)
