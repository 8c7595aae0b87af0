"""Embedding and interpolation: rows picked or blended, their gradients ordered sums by target."""

from fractions import Fraction
from itertools import product
from math import floor, prod

import torch

from fpdet import _check, _primitives, _programs, ops
from fpdet._numbers import numbers

LINEAR = {"linear": 1, "bilinear": 2, "trilinear": 3}


def embedding(
    input,
    weight,
    padding_idx=None,
    max_norm=None,
    norm_type=2.0,
    scale_grad_by_freq=False,
    sparse=False,
    *,
    arithmetic=None,
    stream=None,
    batch_offset=0,
):
    """weight[input], exact; the gradient of a row is the ordered sum over its uses, row-major in input.

    Uses of `padding_idx` give no gradient. max_norm, scale_grad_by_freq and sparse raise NotImplementedError.
    """
    for name, given in (("max_norm", max_norm), ("scale_grad_by_freq", scale_grad_by_freq), ("sparse", sparse)):
        if given:
            raise NotImplementedError(f"embedding(): {name}: expected its default, got {given}")
    _check.tensors("embedding", weight=weight)
    if weight.dim() != 2:
        raise RuntimeError(f"embedding(): weight: expected 2 dimensions, got size {list(weight.shape)}")
    if input.dtype not in (torch.int64, torch.int32):
        raise RuntimeError(f"embedding(): input: expected dtype int64 or int32, got {input.dtype}")
    index = input.reshape(-1).long()
    rows = weight.shape[0]
    if not torch.compiler.is_compiling() and index.numel() and (int(index.min()) < 0 or int(index.max()) >= rows):
        raise IndexError(f"embedding(): input: expected row numbers in [0, {rows}), got one outside")
    keywords = {"arithmetic": arithmetic, "stream": stream, "batch_offset": batch_offset}
    y = ops._pick("embedding", weight, index, keywords)
    if padding_idx is not None:  # its rows are there, their gradients are +0
        y = torch.where((index == padding_idx % rows).unsqueeze(1), y.detach(), y)
    return y.reshape(*input.shape, weight.shape[1])


def interpolate(
    input,
    size=None,
    scale_factor=None,
    mode="nearest",
    align_corners=None,
    recompute_scale_factor=None,
    antialias=False,
    *,
    arithmetic=None,
    stream=None,
    batch_offset=0,
):
    """input (N, C, *): modes nearest, nearest-exact, linear, bilinear, trilinear.

    Positions are exact rationals of sizes, or of the given scale factors. A blend is the ordered sum over its 2^d
    taps, row-major, of weight * x; a weight is the product of the axes' fractions, rounded once to float64 and once,
    to nearest even, to the working dtype.
    """
    op = "interpolate"
    _check.tensors(op, input=input)
    spatial = input.dim() - 2
    if antialias or mode not in (*LINEAR, "nearest", "nearest-exact"):
        raise NotImplementedError(f"{op}(): mode: expected nearest, nearest-exact or {', '.join(LINEAR)}, got {mode!r}")
    if spatial < 1 or LINEAR.get(mode, spatial) != spatial:
        raise NotImplementedError(f"{op}(): mode={mode!r}: got input of {input.dim()} dimensions")
    if align_corners is not None and mode not in LINEAR:
        raise ValueError(
            "align_corners option can only be set with the interpolating modes: linear | bilinear | trilinear"
        )
    shape = tuple(input.shape[2:])
    size = tuple(size) if isinstance(size, list) else size
    scale_factor = tuple(scale_factor) if isinstance(scale_factor, list) else scale_factor
    sizes, sources, weights, taps = _plan(
        op, shape, size, scale_factor, mode, bool(align_corners), bool(recompute_scale_factor)
    )
    rows = _rows(input)
    keywords = {"arithmetic": arithmetic, "stream": stream, "batch_offset": batch_offset}
    if mode in LINEAR:
        maps = _maps(sources, weights, taps, rows)
        y = _programs.run("resample", [rows, *maps], {}, numbers(op, **keywords))[0]
    else:
        y = ops._pick(op, rows, torch.tensor(sources, device=input.device), keywords)
    return _planes(y, input.shape[:2], sizes)


def _plan(op, shape, size, scale_factor, mode, align_corners, recompute):
    """(output sizes, sources, weights, taps of each output position): plain numbers."""
    sizes, scales = _sizes(op, shape, size, scale_factor, recompute, len(shape))
    axes = [_taps(n, out, scale, mode, align_corners) for n, out, scale in zip(shape, sizes, scales, strict=True)]
    positions = [_combined(place, shape) for place in product(*axes)]
    taps = [tap for position in positions for tap in position]
    return list(sizes), [s for s, _ in taps], [float(w) for _, w in taps], len(positions[0]) if positions else 1


_plan._dynamo_marked_constant = True  # torch.compiler.assume_constant_result, without importing the compiler


def _rows(x):
    """(N, C, *) as (positions, N*C)."""
    return x.reshape(x.shape[0] * x.shape[1], prod(x.shape[2:])).t().contiguous()


def _planes(rows, samples_and_channels, sizes):
    return rows.t().reshape(*samples_and_channels, *sizes).contiguous()


def _sizes(op, shape, size, scale_factor, recompute, spatial):
    if (size is None) == (scale_factor is None):
        raise ValueError(
            "only one of size or scale_factor should be defined"
            if size
            else "either size or scale_factor should be defined"
        )
    if size is not None:
        return _check.tuple_of_ints(op, "size", size, spatial), [None] * spatial
    factors = list(scale_factor) if isinstance(scale_factor, list | tuple) else [scale_factor] * spatial
    sizes = [floor(n * Fraction(float(f))) for n, f in zip(shape, factors, strict=True)]
    return sizes, [None] * spatial if recompute else [1 / Fraction(float(f)) for f in factors]


def _taps(n, out, scale, mode, align_corners):
    """For each output place of one axis its taps [(source, weight)], weights exact."""
    ratio = Fraction(n, out) if scale is None else scale
    found = []
    for i in range(out):
        if mode == "nearest":
            found.append([(min(floor(i * ratio), n - 1), Fraction(1))])
        elif mode == "nearest-exact":
            found.append([(min(floor((i + Fraction(1, 2)) * ratio), n - 1), Fraction(1))])
        else:
            if align_corners:
                place = Fraction(i * (n - 1), out - 1) if out > 1 else Fraction(0)
            else:
                place = max((i + Fraction(1, 2)) * ratio - Fraction(1, 2), Fraction(0))
            low = min(floor(place), n - 1)
            part = place - low if low < n - 1 else Fraction(0)
            found.append([(low, 1 - part), (min(low + 1, n - 1), part)])
    return found


def _combined(place, shape):
    """The taps of one output position: (flat source, weight) row-major over the axes' taps."""
    taps = []
    for chosen in product(*place):
        flat, weight = 0, Fraction(1)
        for (source, part), n in zip(chosen, shape, strict=True):
            flat, weight = flat * n + source, weight * part
        taps.append((flat, weight))
    return taps


def _maps(sources, weights, taps, rows):
    """offsets, sources, weights of the sum of so many taps a position, and of the same sum turned round."""
    wide = torch.float64 if rows.dtype == torch.float64 else torch.float32
    sources = torch.tensor(sources, device=rows.device)
    weights = torch.tensor(weights, dtype=torch.float64, device=rows.device).to(wide)
    offsets = torch.arange(0, sources.shape[0] + 1, taps, device=rows.device)
    back_offsets, order = _primitives.by_target(sources, rows.shape[0])
    return offsets, sources, weights, back_offsets, order // taps, weights[order]
