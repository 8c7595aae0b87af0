"""Padding modes reflect, replicate, circular: a copy before a convolution, an ordered sum after it.

Forward copies. Backward adds the copies of each element in the row-major order of their places:
the first is taken as it is, each further one is one round(sum + next) in the accumulator's format.
Double backward copies again.
"""

from itertools import product

import torch
import torch.nn.functional as torch_functional

from fpdet import _ops

TAG = 1 << 20  # random bits of these additions, apart from every pass
MODES = ("reflect", "replicate", "circular")


def _sources(size, before, after, mode):
    """For each padded place of one dimension, the place it copies."""
    places = torch.arange(size, dtype=torch.float64)[None, None]
    return torch_functional.pad(places, (before, after), mode=mode)[0, 0].long()


def _copies(size, before, after, mode, device):
    """Rounds j of one dimension: (elements that have a j-th copy, the places of those copies)."""
    places = [[] for _ in range(size)]
    for place, source in enumerate(_sources(size, before, after, mode).tolist()):
        places[source].append(place)
    for j in range(max(map(len, places))):
        elements = [i for i, found in enumerate(places) if len(found) > j]
        copied = [places[i][j] for i in elements]
        yield torch.tensor(elements, device=device), torch.tensor(copied, device=device)


def _per_dimension(pad):
    """torch's `pad` (last dimension first) as (before, after) from the first spatial dimension on."""
    return list(zip(pad[::2], pad[1::2], strict=True))[::-1]


def _pad(input, pad, mode, arithmetic, draw):
    return torch_functional.pad(input, pad, mode=mode).clone(memory_format=torch.contiguous_format)


def _fake_pad(input, pad, mode, arithmetic, draw):
    sides = _per_dimension(pad)
    spatial = [n + sum(side) for n, side in zip(input.shape[2:], sides, strict=True)]
    return input.new_empty((*input.shape[:2], *spatial))


def _pad_backward(grad, size, pad, mode, arithmetic, draw):
    total = grad.new_empty(size)
    dimensions = zip(size[2:], _per_dimension(pad), strict=True)
    rounds = [list(_copies(n, *sides, mode, grad.device)) for n, sides in dimensions]
    for step, chosen in enumerate(product(*rounds)):
        part, elements = grad, (slice(None), slice(None))
        for dim, (_, places) in enumerate(chosen):
            part = part.index_select(dim + 2, places)
        for dim, (where, _) in enumerate(chosen):
            elements += (where.view(-1, *(1,) * (len(chosen) - 1 - dim)),)
        if step:
            so_far = total[elements].contiguous()
            part = _ops.ops.add.default(so_far, part, arithmetic, draw, TAG + step)
        total[elements] = part
    return total


def _fake_pad_backward(grad, size, pad, mode, arithmetic, draw):
    return grad.new_empty(size)


def _setup_pad(ctx, inputs, output):
    input, ctx.pad, ctx.mode, ctx.arithmetic, draw = inputs
    ctx.size = list(input.shape)
    ctx.save_for_backward(draw)


def _pad_derivative(ctx, grad):
    (draw,) = ctx.saved_tensors
    op = _ops.ops.pad_backward.default
    return op(grad, ctx.size, ctx.pad, ctx.mode, ctx.arithmetic, draw), None, None, None, None


def _setup_pad_backward(ctx, inputs, output):
    _, _, ctx.pad, ctx.mode, ctx.arithmetic, draw = inputs
    ctx.save_for_backward(draw)


def _pad_backward_derivative(ctx, grad):
    (draw,) = ctx.saved_tensors
    op = _ops.ops.pad.default
    return op(grad, ctx.pad, ctx.mode, ctx.arithmetic, draw), None, None, None, None, None


_ops._define(
    "pad",
    "(Tensor input, int[] pad, str mode, str arithmetic, Tensor? draw) -> Tensor",
    _pad,
    _fake_pad,
    _pad_derivative,
    _setup_pad,
)
_ops._define(
    "pad_backward",
    "(Tensor grad, SymInt[] size, int[] pad, str mode, str arithmetic, Tensor? draw) -> Tensor",
    _pad_backward,
    _fake_pad_backward,
    _pad_backward_derivative,
    _setup_pad_backward,
)


def padded(input, pad, mode, arithmetic, draw=None):
    """`input` (batched) padded by copies, as torch.nn.functional.pad does it."""
    text = _ops.arithmetic_of_pass(arithmetic.text, _ops.GRAD_INPUT)
    return _ops.ops.pad.default(input, list(pad), mode, text, draw)
