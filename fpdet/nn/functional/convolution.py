"""Convolutions with a stated arithmetic.

Arguments by keyword (arithmetic, stream, batch_offset): see fpdet.nn.functional.

input and weight (and bias) share one dtype of float64, float32, bfloat16, float16, on the CPU.

Raises (all of them, before any work):
    RuntimeError: shapes, channels, groups, dtypes that do not fit; negative padding; more than
        2^31 terms in one reduction.
    TypeError, ValueError: a bad `arithmetic`, `stream` or `batch_offset`.
    NotImplementedError: other dtypes and devices, torch.autocast, forward-mode AD.

Source: docs/semantics.md, "Terms"; shapes as in torch.nn.functional.
"""

from functools import lru_cache, wraps
from math import prod

from fpdet import _check, _ops, _slow
from fpdet._numbers import numbers
from fpdet._order import TERMS_MAX

__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
]


def _operands(op, input, weight, bias):
    """Check the tensors; whether they are plain (`_check.plain`)."""
    if _check.plain(input, weight, bias):
        return True
    _check.tensors(op, input=input, weight=weight, bias=bias)
    return False


def _remembered(geometry):
    """`geometry`, a pure function of its arguments, with a memory for shapes of plain tensors."""
    known = lru_cache(maxsize=1024)(geometry)

    @wraps(geometry)
    def recall(op, spatial, x, weight, bias, *attributes, plain):
        # 1, 1.0 and True are one key, and not one value to the checks: only ints of that very type.
        if plain and all(map(_is_exact, attributes)):
            return known(op, spatial, x.shape, weight.shape, None if bias is None else bias.shape, *attributes)
        return geometry(op, spatial, x.shape, weight.shape, None if bias is None else bias.shape, *attributes)

    recall.forget = known.cache_clear
    return recall


def _is_exact(value):
    kind = type(value)
    return kind is int or kind is str or (kind is tuple and {*map(type, value)} == {int})


def _batched(op, spatial, shape, weight):
    """The shape with its batch dimension."""
    if len(shape) not in (spatial + 1, spatial + 2):
        raise RuntimeError(
            f"Expected {spatial + 1}D (unbatched) or {spatial + 2}D (batched) input to {op}, "
            f"but got input of size: {list(shape)}"
        )
    if len(weight) != spatial + 2:
        raise RuntimeError(f"{op}(): weight: expected {spatial + 2} dimensions, got size {list(weight)}")
    return list(shape) if len(shape) == spatial + 2 else [1, *shape]


def _check_geometry(op, size, w, bias, stride, dilation, groups, *, transposed):
    if isinstance(groups, bool) or not isinstance(groups, int):
        raise TypeError(f"{op}(): groups: expected an int, got {groups!r}")
    _check.at_least(op, "groups", [groups], 1)
    _check.at_least(op, "stride", stride, 1)
    _check.at_least(op, "dilation", dilation, 1)
    w = list(w)
    if any(k < 1 for k in w[2:]):
        raise RuntimeError(f"{op}(): weight: expected a kernel size above zero, got size {w}")
    if w[0] < groups or w[0] % groups:
        raise RuntimeError(
            f"{op}(): groups={groups}: expected weight to be divisible by {groups} at dimension 0 "
            f"and at least {groups} there, got weight of size {w}"
        )
    channels = w[0] if transposed else w[1] * groups
    if size[1] != channels:
        raise RuntimeError(
            f"{op}(): groups={groups}, weight of size {w}: expected input{size} to have {channels} "
            f"channels, but got {size[1]} channels instead"
        )
    outputs = w[1] * groups if transposed else w[0]
    if bias is not None and list(bias) != [outputs]:
        raise RuntimeError(
            f"{op}(): weight of size {w}: expected bias to be 1-dimensional with {outputs} elements, "
            f"but got bias of size {list(bias)} instead"
        )
    if any(n == 0 for n in size[2:]) and size[0] and size[1]:
        raise RuntimeError(f"{op}(): input: only zero batch or zero channel inputs are supported, got shape {size}")


def _check_terms(op, x, weight, groups, spatial_out):
    """Forward and both backwards: none of the three reductions above 2^31 terms."""
    taps = prod(weight[2:])
    counts = {
        "forward": weight[1] * taps,
        "grad_input": weight[0] // groups * taps,
        "grad_weight": x[0] * prod(spatial_out),
    }
    for name, terms in counts.items():
        if terms > TERMS_MAX:
            raise RuntimeError(f"{op}(): {name}: expected at most 2^31 terms in a sum, got {terms}")


def _sides(op, padding, spatial, kernel, stride, dilation):
    """Zeros before and after each spatial dimension."""
    if not isinstance(padding, str):
        padding = _check.tuple_of_ints(op, "padding", padding, spatial)
        _check.at_least(op, "padding", padding, 0)
        return padding, padding
    if padding == "valid":
        return [0] * spatial, [0] * spatial
    if padding != "same":
        raise RuntimeError(f"{op}(): padding: expected ints, 'same' or 'valid', got {padding!r}")
    if any(s != 1 for s in stride):
        raise RuntimeError(f"{op}(): padding='same' is not supported for strided convolutions")
    totals = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    return [t // 2 for t in totals], [t - t // 2 for t in totals]


@_remembered
def _conv_geometry(op, spatial, shape, weight, bias, stride, padding, dilation, groups):
    """From shapes: an `_ops.Geometry`, terms and outputs."""
    x = _batched(op, spatial, shape, weight)
    stride = _check.tuple_of_ints(op, "stride", stride, spatial)
    dilation = _check.tuple_of_ints(op, "dilation", dilation, spatial)
    _check_geometry(op, x, weight, bias, stride, dilation, groups, transposed=False)
    kernel = weight[2:]
    before, after = _sides(op, padding, spatial, kernel, stride, dilation)
    padded = [n + b + a for n, b, a in zip(x[2:], before, after, strict=True)]
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    if any(n < r for n, r in zip(padded, reach, strict=True)):
        raise RuntimeError(
            f"{op}(): padded input size per channel: {padded}, kernel size: {reach}: "
            "kernel size can't be greater than actual input size"
        )
    size = [(n - r) // s + 1 for n, r, s in zip(padded, reach, stride, strict=True)]
    _check_terms(op, x, weight, groups, size)
    found = _ops.Geometry.of(tuple(stride), tuple(before), tuple(dilation), groups, tuple(size))
    return found, prod(weight[1:]), x[0] * weight[0] * prod(size)


@_remembered
def _conv_transpose_geometry(op, spatial, shape, weight, bias, stride, padding, output_padding, groups, dilation):
    """From shapes: an `_ops.Geometry`, terms and outputs."""
    x = _batched(op, spatial, shape, weight)
    stride = _check.tuple_of_ints(op, "stride", stride, spatial)
    padding = _check.tuple_of_ints(op, "padding", padding, spatial)
    extra = _check.tuple_of_ints(op, "output_padding", output_padding, spatial)
    dilation = _check.tuple_of_ints(op, "dilation", dilation, spatial)
    _check_geometry(op, x, weight, bias, stride, dilation, groups, transposed=True)
    _check.at_least(op, "padding", padding, 0)
    _check.at_least(op, "output_padding", extra, 0)
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        raise RuntimeError(
            f"{op}(): output_padding: expected less than stride or dilation, "
            f"got output_padding={extra}, stride={stride}, dilation={dilation}"
        )
    kernel = weight[2:]
    size = [
        (n - 1) * s - 2 * p + d * (k - 1) + e + 1
        for n, s, p, d, k, e in zip(x[2:], stride, padding, dilation, kernel, extra, strict=True)
    ]
    if any(n < 1 for n in size):
        raise RuntimeError(
            f"{op}(): input size per channel: {x[2:]}, calculated output size per "
            f"channel: {size}: output size is too small"
        )
    _check_terms(op, x, weight, groups, x[2:])
    found = _ops.Geometry.of(tuple(stride), tuple(padding), tuple(dilation), groups, tuple(size))
    return found, weight[0] // groups * prod(kernel), x[0] * weight[1] * groups * prod(size)


def _conv(spatial, input, weight, bias, stride, padding, dilation, groups, arithmetic, stream, batch_offset):
    op = f"conv{spatial}d"
    plain = _operands(op, input, weight, bias)
    found, terms, outputs = _conv_geometry(
        op, spatial, input, weight, bias, stride, padding, dilation, groups, plain=plain
    )
    arithmetic, draw, offset = numbers(op, arithmetic, stream, batch_offset)
    if not input.is_cuda:
        _slow.warn_once(op, arithmetic, input.dtype, terms, outputs)
    return _pass("output", spatial, input, weight, bias, found, arithmetic, draw, offset, plain)


def _conv_transpose(
    spatial, input, weight, bias, stride, padding, output_padding, groups, dilation, arithmetic, stream, batch_offset
):
    op = f"conv_transpose{spatial}d"
    plain = _operands(op, input, weight, bias)
    found, terms, outputs = _conv_transpose_geometry(
        op, spatial, input, weight, bias, stride, padding, output_padding, groups, dilation, plain=plain
    )
    arithmetic, draw, offset = numbers(op, arithmetic, stream, batch_offset)
    if not input.is_cuda:
        _slow.warn_once(op, arithmetic, input.dtype, terms, outputs)
    return _pass("input", spatial, input, weight, bias, found, arithmetic, draw, offset, plain)


def _pass(slot, spatial, input, weight, bias, geometry, arithmetic, draw, offset, plain):
    batched = input.dim() == spatial + 2
    x = input if batched else input.unsqueeze(0)
    y = _ops.forward_pass(slot, x, weight, bias, geometry, arithmetic.text, draw, _ops.FORWARD, offset, plain=plain)
    return y if batched else y.squeeze(0)


def conv1d(
    input,
    weight,
    bias=None,
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
    *,
    arithmetic=None,
    stream=None,
    batch_offset=0,
):
    """torch.nn.functional.conv1d with a stated arithmetic.

    input (N, C, L) or (C, L); weight (K, C/groups, S); bias (K); padding ints, "same" or
    "valid". Each output is the sum over terms (c, s) of the group's weight, zero padding
    included as +0, then the bias. Arguments by keyword, dtypes, errors: see the module.
    """
    return _conv(1, input, weight, bias, stride, padding, dilation, groups, arithmetic, stream, batch_offset)


def conv2d(
    input,
    weight,
    bias=None,
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
    *,
    arithmetic=None,
    stream=None,
    batch_offset=0,
):
    """torch.nn.functional.conv2d with a stated arithmetic.

    input (N, C, H, W) or (C, H, W); weight (K, C/groups, R, S); bias (K); padding ints, "same" or
    "valid". Each output is the sum over terms (c, r, s) of the group's weight, zero padding
    included as +0, then the bias. Arguments by keyword, dtypes, errors: see the module.
    """
    return _conv(2, input, weight, bias, stride, padding, dilation, groups, arithmetic, stream, batch_offset)


def conv3d(
    input,
    weight,
    bias=None,
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
    *,
    arithmetic=None,
    stream=None,
    batch_offset=0,
):
    """torch.nn.functional.conv3d with a stated arithmetic.

    input (N, C, D, H, W) or (C, D, H, W); weight (K, C/groups, T, R, S); bias (K); padding ints, "same" or
    "valid". Each output is the sum over terms (c, t, r, s) of the group's weight, zero padding
    included as +0, then the bias. Arguments by keyword, dtypes, errors: see the module.
    """
    return _conv(3, input, weight, bias, stride, padding, dilation, groups, arithmetic, stream, batch_offset)


def conv_transpose1d(
    input,
    weight,
    bias=None,
    stride=1,
    padding=0,
    output_padding=0,
    groups=1,
    dilation=1,
    *,
    arithmetic=None,
    stream=None,
    batch_offset=0,
):
    """torch.nn.functional.conv_transpose1d with a stated arithmetic.

    input (N, K, L) or (K, L); weight (K, C/groups, S); bias (C). Each output is the sum
    over terms (k, s) that the stride lets meet the input, places outside it included as +0,
    then the bias. Arguments by keyword, dtypes, errors: see the module.
    """
    return _conv_transpose(
        1,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
        arithmetic,
        stream,
        batch_offset,
    )


def conv_transpose2d(
    input,
    weight,
    bias=None,
    stride=1,
    padding=0,
    output_padding=0,
    groups=1,
    dilation=1,
    *,
    arithmetic=None,
    stream=None,
    batch_offset=0,
):
    """torch.nn.functional.conv_transpose2d with a stated arithmetic.

    input (N, K, H, W) or (K, H, W); weight (K, C/groups, R, S); bias (C). Each output is the sum
    over terms (k, r, s) that the stride lets meet the input, places outside it included as +0,
    then the bias. Arguments by keyword, dtypes, errors: see the module.
    """
    return _conv_transpose(
        2,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
        arithmetic,
        stream,
        batch_offset,
    )


def conv_transpose3d(
    input,
    weight,
    bias=None,
    stride=1,
    padding=0,
    output_padding=0,
    groups=1,
    dilation=1,
    *,
    arithmetic=None,
    stream=None,
    batch_offset=0,
):
    """torch.nn.functional.conv_transpose3d with a stated arithmetic.

    input (N, K, D, H, W) or (K, D, H, W); weight (K, C/groups, T, R, S); bias (C). Each output is the sum
    over terms (k, t, r, s) that the stride lets meet the input, places outside it included as +0,
    then the bias. Arguments by keyword, dtypes, errors: see the module.
    """
    return _conv_transpose(
        3,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
        arithmetic,
        stream,
        batch_offset,
    )
