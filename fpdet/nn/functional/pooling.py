"""Pooling. Max is exact, its gradient an ordered sum by target; average is a sum of the window, divided."""

from math import floor, prod

import torch
import torch.nn.functional as torch_functional

from fpdet import _check, _primitives, _programs, ops
from fpdet._numbers import chosen, numbers
from fpdet.nn.functional import convolution
from fpdet.nn.functional.sampling import _planes, _rows


def _max_pool(spatial, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices, keywords):
    op = f"max_pool{spatial}d"
    _check.tensors(op, input=x)
    torch_op = getattr(torch_functional, f"{op}_with_indices")
    with torch.no_grad():
        _, indices = torch_op(x.detach(), kernel_size, stride, padding, dilation, ceil_mode, True)
    return _picked(op, spatial, x, indices, return_indices, keywords)


def _picked(op, spatial, x, indices, return_indices, keywords):
    planes = prod(x.shape[:-spatial])
    first = torch.arange(planes, device=x.device).reshape(-1, 1) * prod(x.shape[-spatial:])
    places = (indices.reshape(planes, -1) + first).reshape(-1)
    y = ops._pick(op, x.reshape(-1, 1), places, keywords).reshape(indices.shape)
    return (y, indices) if return_indices else y


def _keywords(arithmetic, stream, batch_offset):
    return {"arithmetic": arithmetic, "stream": stream, "batch_offset": batch_offset}


def max_pool1d(
    input,
    kernel_size,
    stride=None,
    padding=0,
    dilation=1,
    ceil_mode=False,
    return_indices=False,
    *,
    arithmetic=None,
    stream=None,
    batch_offset=0,
):
    """input (N, C, L) or (C, L); gradients of windows that share an element are added in their order."""
    keywords = _keywords(arithmetic, stream, batch_offset)
    return _max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, keywords)


def max_pool2d(
    input,
    kernel_size,
    stride=None,
    padding=0,
    dilation=1,
    ceil_mode=False,
    return_indices=False,
    *,
    arithmetic=None,
    stream=None,
    batch_offset=0,
):
    """input (N, C, H, W) or (C, H, W); gradients of windows that share an element are added in their order."""
    keywords = _keywords(arithmetic, stream, batch_offset)
    return _max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, keywords)


def max_pool3d(
    input,
    kernel_size,
    stride=None,
    padding=0,
    dilation=1,
    ceil_mode=False,
    return_indices=False,
    *,
    arithmetic=None,
    stream=None,
    batch_offset=0,
):
    """input (N, C, D, H, W) or (C, D, H, W); gradients of windows that share an element are added in their order."""
    keywords = _keywords(arithmetic, stream, batch_offset)
    return _max_pool(3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, keywords)


def adaptive_max_pool2d(input, output_size, return_indices=False, *, arithmetic=None, stream=None, batch_offset=0):
    """input (N, C, H, W) or (C, H, W)."""
    _check.tensors("adaptive_max_pool2d", input=input)
    with torch.no_grad():
        _, indices = torch_functional.adaptive_max_pool2d_with_indices(input.detach(), output_size)
    keywords = _keywords(arithmetic, stream, batch_offset)
    return _picked("adaptive_max_pool2d", 2, input, indices, return_indices, keywords)


def _avg_pool(spatial, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, call):
    op = f"avg_pool{spatial}d"
    arithmetic, stream, batch_offset = call
    _check.tensors(op, input=x)
    if ceil_mode:
        raise NotImplementedError(f"{op}(): ceil_mode: expected False, got True")
    if x.dim() not in (spatial + 1, spatial + 2):
        raise RuntimeError(f"{op}(): input: expected {spatial + 1} or {spatial + 2} dimensions, got {list(x.shape)}")
    kernel = _check.tuple_of_ints(op, "kernel_size", kernel_size, spatial)
    stride = kernel if stride is None or stride == [] else _check.tuple_of_ints(op, "stride", stride, spatial)
    padding = _check.tuple_of_ints(op, "padding", padding, spatial)
    if any(p > k // 2 for p, k in zip(padding, kernel, strict=True)):
        raise RuntimeError(f"{op}(): padding: expected at most half of kernel size {kernel}, got {padding}")
    arithmetic, stream = chosen(arithmetic, stream)
    keywords = _keywords(arithmetic, stream, batch_offset)
    batch = x if x.dim() == spatial + 2 else x.unsqueeze(0)
    channels = batch.shape[1]
    ones = torch.ones(channels, 1, *kernel, dtype=x.dtype, device=x.device)
    conv = getattr(convolution, f"conv{spatial}d")
    y = conv(batch, ones, None, stride, padding, 1, channels, **keywords)
    if divisor_override is not None or count_include_pad or not any(padding):
        y = ops.div(y, float(divisor_override or prod(kernel)), **keywords)
    else:
        inside = torch.ones(1, 1, *batch.shape[2:], dtype=torch.float64)
        counts = getattr(torch_functional, f"conv{spatial}d")(
            inside, torch.ones(1, 1, *kernel, dtype=torch.float64), None, stride, padding
        )  # small integers: exact in any order
        y = ops.divide_by_count(y, counts.to(x.device), **keywords)
    return y if x.dim() == spatial + 2 else y.squeeze(0)


def avg_pool1d(
    input,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
    *,
    arithmetic=None,
    stream=None,
    batch_offset=0,
):
    """The ordered sum of a window (a convolution with ones), then a division by its size."""
    call = (arithmetic, stream, batch_offset)
    return _avg_pool(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None, call)


def avg_pool2d(
    input,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
    *,
    arithmetic=None,
    stream=None,
    batch_offset=0,
):
    """The ordered sum of a window (a convolution with ones), then a division by its size."""
    call = (arithmetic, stream, batch_offset)
    return _avg_pool(2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, call)


def avg_pool3d(
    input,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
    *,
    arithmetic=None,
    stream=None,
    batch_offset=0,
):
    """The ordered sum of a window (a convolution with ones), then a division by its size."""
    call = (arithmetic, stream, batch_offset)
    return _avg_pool(3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, call)


def _adaptive_avg_pool(spatial, x, output_size, arithmetic, stream, batch_offset):
    op = f"adaptive_avg_pool{spatial}d"
    _check.tensors(op, input=x)
    if x.dim() not in (spatial + 1, spatial + 2):
        raise RuntimeError(f"{op}(): input: expected {spatial + 1} or {spatial + 2} dimensions, got {list(x.shape)}")
    wanted = [output_size] * spatial if isinstance(output_size, int) or output_size is None else list(output_size)
    shape = x.shape[-spatial:]
    sizes = [n if out is None else out for n, out in zip(shape, wanted, strict=True)]
    call = numbers(op, arithmetic, stream, batch_offset)
    if all(out == 1 for out in sizes):
        axes = list(range(x.dim() - spatial, x.dim()))
        return _programs.run("mean", [x], {"axes": axes}, call)[0]
    batch = x if x.dim() == spatial + 2 else x.unsqueeze(0)
    rows = _rows(batch)
    offsets, sources, counts = _windows(shape, sizes)
    targets = torch.arange(len(counts)).repeat_interleave(counts)
    back_offsets, order = _primitives.by_target(sources, rows.shape[0])
    wide = torch.float64 if x.dtype == torch.float64 else torch.float32
    maps = [offsets, sources, counts.reshape(-1, 1).to(wide), back_offsets, targets[order]]
    maps = [each.to(x.device) for each in maps]
    y = _planes(_programs.run("mean_rows", [rows, *maps], {}, call)[0], batch.shape[:2], sizes)
    return y if x.dim() == spatial + 2 else y.squeeze(0)


def _windows(shape, sizes):
    """Cell i of n covers floor(i*N/n) ... ceil((i+1)*N/n) - 1, as torch's."""
    places = torch.arange(prod(shape)).reshape(*shape)
    found = []
    for cell in torch.cartesian_prod(*(torch.arange(n) for n in sizes)).reshape(-1, len(sizes)).tolist():
        window = tuple(
            slice(floor(i * n / out), -(-(i + 1) * n // out)) for i, n, out in zip(cell, shape, sizes, strict=True)
        )
        found.append(places[window].reshape(-1))
    counts = torch.tensor([len(each) for each in found])
    return torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)]), torch.cat(found), counts


def adaptive_avg_pool1d(input, output_size, *, arithmetic=None, stream=None, batch_offset=0):
    """input (N, C, L) or (C, L): the mean of each cell."""
    return _adaptive_avg_pool(1, input, output_size, arithmetic, stream, batch_offset)


def adaptive_avg_pool2d(input, output_size, *, arithmetic=None, stream=None, batch_offset=0):
    """input (N, C, H, W) or (C, H, W): the mean of each cell."""
    return _adaptive_avg_pool(2, input, output_size, arithmetic, stream, batch_offset)


def adaptive_avg_pool3d(input, output_size, *, arithmetic=None, stream=None, batch_offset=0):
    """input (N, C, D, H, W) or (C, D, H, W): the mean of each cell."""
    return _adaptive_avg_pool(3, input, output_size, arithmetic, stream, batch_offset)
