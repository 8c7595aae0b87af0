"""Losses: per element or sample by a program, then `reduction`: the ordered sum of all, divided by their number."""

import torch

from fpdet import _check, _programs, ops
from fpdet._numbers import chosen, numbers
from fpdet.nn.functional.activation import log_softmax

REDUCTIONS = ("mean", "sum", "none")


def mse_loss(
    input,
    target,
    size_average=None,
    reduce=None,
    reduction="mean",
    weight=None,
    *,
    arithmetic=None,
    stream=None,
    batch_offset=0,
):
    """(input - target)^2, shapes broadcast."""
    return _pairwise(
        "mse_loss",
        "squared_error",
        input,
        target,
        (size_average, reduce, weight),
        reduction,
        arithmetic,
        stream,
        batch_offset,
    )


def l1_loss(
    input,
    target,
    size_average=None,
    reduce=None,
    reduction="mean",
    weight=None,
    *,
    arithmetic=None,
    stream=None,
    batch_offset=0,
):
    """|input - target|, shapes broadcast."""
    return _pairwise(
        "l1_loss",
        "absolute_error",
        input,
        target,
        (size_average, reduce, weight),
        reduction,
        arithmetic,
        stream,
        batch_offset,
    )


def binary_cross_entropy_with_logits(
    input,
    target,
    weight=None,
    size_average=None,
    reduce=None,
    reduction="mean",
    pos_weight=None,
    *,
    arithmetic=None,
    stream=None,
    batch_offset=0,
):
    """Of logits `input` and `target` of one shape; weight and pos_weight broadcast. No gradient for target."""
    op = "binary_cross_entropy_with_logits"
    _deprecated(op, size_average, reduce)
    _reduction(op, reduction)
    _check.tensors(op, input=input, target=target, **_present(weight=weight, pos_weight=pos_weight))
    if target.shape != input.shape:
        raise ValueError(f"Target size ({target.shape}) must be the same as input size ({input.shape})")
    if target.requires_grad and torch.is_grad_enabled():
        raise NotImplementedError(f"{op}(): target: expected no gradient through it, got requires_grad=True")
    wide = [None if w is None else w.expand(input.shape) for w in (weight, pos_weight)]
    arithmetic, stream = chosen(arithmetic, stream)
    call = numbers(op, arithmetic, stream, batch_offset)
    y = _programs.run("bce_with_logits", [input, target, *wide], {}, call)[0]
    return _reduced(y, reduction, arithmetic, stream)


def nll_loss(
    input,
    target,
    weight=None,
    size_average=None,
    ignore_index=-100,
    reduce=None,
    reduction="mean",
    *,
    arithmetic=None,
    stream=None,
    batch_offset=0,
):
    """-input[target] * weight[target]; input (N, C, *) or (C), target of class numbers (N, *) or ().

    ``mean`` divides by the ordered sum of the weights, without them by the number of targets that count. Ignored
    targets are terms +0.
    """
    _deprecated("nll_loss", size_average, reduce)
    _reduction("nll_loss", reduction)
    arithmetic, stream = chosen(arithmetic, stream)
    x, target, weight = _classes("nll_loss", input, target, weight)
    return _nll(x, target, weight, ignore_index, reduction, arithmetic, stream, batch_offset, input.dim() == 1)


def cross_entropy(
    input,
    target,
    weight=None,
    size_average=None,
    ignore_index=-100,
    reduce=None,
    reduction="mean",
    label_smoothing=0.0,
    *,
    arithmetic=None,
    stream=None,
    batch_offset=0,
):
    """nll_loss of log_softmax over the classes; input (N, C, *) or (C), target class numbers.

    label_smoothing s: (1 - s) * nll + (s / C) * the sum of -log_softmax over the classes. Targets given as
    probabilities, and smoothing together with `weight`, raise NotImplementedError.
    """
    op = "cross_entropy"
    _deprecated(op, size_average, reduce)
    _reduction(op, reduction)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    if target.is_floating_point():
        raise NotImplementedError(f"{op}(): target: expected class numbers (int64), got probabilities ({target.dtype})")
    if label_smoothing and weight is not None:
        raise NotImplementedError(f"{op}(): weight: expected None with label_smoothing, got a tensor")
    arithmetic, stream = chosen(arithmetic, stream)
    x, target, weight = _classes(op, input, target, weight)
    unbatched = input.dim() == 1
    y = log_softmax(x, 1, arithmetic=arithmetic, stream=stream, batch_offset=batch_offset)
    if not label_smoothing:
        return _nll(y, target, weight, ignore_index, reduction, arithmetic, stream, batch_offset, unbatched)
    keywords = {"arithmetic": arithmetic, "stream": stream}
    one, every = ops.fan_out(y, 2, **keywords)
    picked = _nll(one, target, None, ignore_index, "none", arithmetic, stream, batch_offset, False)
    spread = -ops.sum(every, 1, **keywords)
    counts = target != ignore_index
    spread = torch.where(counts, spread, spread.new_zeros(()))
    total = ops.add(
        ops.mul(picked, 1.0 - label_smoothing, **keywords),
        ops.mul(spread, label_smoothing / x.shape[1], **keywords),
        **keywords,
    )
    if reduction == "none":
        return total.squeeze(0) if unbatched else total
    total = ops.sum(total, **keywords)
    return ops.divide_by_count(total, counts.sum(), **keywords) if reduction == "mean" else total


def _nll(x, target, weight, ignore_index, reduction, arithmetic, stream, batch_offset, unbatched):
    counts = target != ignore_index
    index = torch.where(counts, target, 0)
    if not torch.compiler.is_compiling() and index.numel() and (int(index.min()) < 0 or int(index.max()) >= x.shape[1]):
        raise IndexError(f"nll_loss(): target: expected class numbers in [0, {x.shape[1]}), got one outside")
    keywords = {"arithmetic": arithmetic, "stream": stream}
    y = -ops.gather(x, 1, index.unsqueeze(1), batch_offset=batch_offset, **keywords).squeeze(1)
    if weight is not None:
        y = ops.mul(y, weight.detach()[index], batch_offset=batch_offset, **keywords)
    y = torch.where(counts, y, y.new_zeros(()))
    if reduction == "none":
        return y.squeeze(0) if unbatched else y
    total = ops.sum(y, **keywords)
    if reduction == "sum":
        return total
    if weight is None:
        return ops.divide_by_count(total, counts.sum(), **keywords)
    weights = torch.where(counts, weight.detach()[index], y.new_zeros(()))
    return ops.div(total, ops.sum(weights, **keywords), **keywords)


def _classes(op, input, target, weight):
    """input (N, C, *) and target (N, *), checked."""
    _check.tensors(op, input=input, **_present(weight=weight))
    if input.dim() == 0:
        raise RuntimeError(f"{op}(): input: expected (N, C, *) or (C), got a 0-dimensional tensor")
    if target.dtype not in (torch.int64, torch.uint8):
        raise RuntimeError(f"{op}(): target: expected dtype int64, got {target.dtype}")
    x = input.unsqueeze(0) if input.dim() == 1 else input
    t = target.unsqueeze(0) if input.dim() == 1 else target
    if t.shape != (x.shape[0], *x.shape[2:]):
        raise ValueError(
            f"{op}(): target: expected size {[x.shape[0], *x.shape[2:]]} with input {list(input.shape)}, "
            f"got {list(target.shape)}"
        )
    if weight is not None and list(weight.shape) != [x.shape[1]]:
        raise RuntimeError(f"{op}(): weight: expected size [{x.shape[1]}], got {list(weight.shape)}")
    return x, t.long(), weight


def _pairwise(op, name, input, target, refused, reduction, arithmetic, stream, batch_offset):
    size_average, reduce, weight = refused
    _deprecated(op, size_average, reduce)
    _reduction(op, reduction)
    if weight is not None:
        raise NotImplementedError(f"{op}(): weight: expected None, got a tensor")
    _check.tensors(op, input=input, target=target)
    arithmetic, stream = chosen(arithmetic, stream)
    shape = torch.broadcast_shapes(input.shape, target.shape)
    keywords = {"arithmetic": arithmetic, "stream": stream}
    pair = [ops.broadcast_to(x, shape, **keywords) for x in (input, target)]
    y = _programs.run(name, pair, {}, numbers(op, arithmetic, stream, batch_offset))[0]
    return _reduced(y, reduction, arithmetic, stream)


def _reduced(y, reduction, arithmetic, stream):
    if reduction == "none":
        return y
    return (ops.mean if reduction == "mean" else ops.sum)(y, arithmetic=arithmetic, stream=stream)


def _reduction(op, reduction):
    if reduction not in REDUCTIONS:
        raise ValueError(f"{op}(): reduction: expected one of {', '.join(REDUCTIONS)}, got {reduction!r}")


def _deprecated(op, size_average, reduce):
    if size_average is not None or reduce is not None:
        raise NotImplementedError(f"{op}(): size_average, reduce: expected None; they are deprecated, use reduction=")


def _present(**named):
    return {name: tensor for name, tensor in named.items() if tensor is not None}
