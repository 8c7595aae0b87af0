"""Batch, instance, layer, group and RMS normalisation (fpdet/programs/normalization.py)."""

from math import prod

import torch

from fpdet import _check, _programs
from fpdet._numbers import numbers


def batch_norm(
    input,
    running_mean,
    running_var,
    weight=None,
    bias=None,
    training=False,
    momentum=0.1,
    eps=1e-05,
    *,
    arithmetic=None,
    stream=None,
    batch_offset=0,
):
    """input (N, C, *); running_mean, running_var, weight, bias (C). In training the statistics are those of the
    batch and the running ones are updated in place."""
    _affine("batch_norm", input, weight, bias, running_mean, running_var)
    eps, momentum = _numbers_of("batch_norm", eps, momentum)
    call = numbers("batch_norm", arithmetic, stream, batch_offset)
    if not training:
        if running_mean is None or running_var is None:
            raise RuntimeError("batch_norm(): running_mean, running_var: expected tensors in evaluation mode, got None")
        tensors = [input, weight, bias, running_mean, running_var]
        return _programs.run("batch_norm_inference", tensors, {"eps": eps}, call)[0]
    n = input.numel() // input.shape[1] if input.shape[1] else 0
    if n == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {list(input.shape)}")
    tensors = [input, weight, bias, _before(running_mean), _before(running_var)]
    y, mean, var = _programs.run("batch_norm", tensors, {"eps": eps, "momentum": momentum}, call)
    for running, new in ((running_mean, mean), (running_var, var)):
        if running is not None:
            with torch.no_grad():
                running.copy_(new)
    return y


def instance_norm(
    input,
    running_mean=None,
    running_var=None,
    weight=None,
    bias=None,
    use_input_stats=True,
    momentum=0.1,
    eps=1e-05,
    *,
    arithmetic=None,
    stream=None,
    batch_offset=0,
):
    """group_norm with one channel a group; running statistics raise NotImplementedError."""
    if running_mean is not None or running_var is not None or not use_input_stats:
        raise NotImplementedError("instance_norm(): running_mean: expected None, got running statistics")
    _affine("instance_norm", input, weight, bias)
    return _group_norm("instance_norm", input, input.shape[1], weight, bias, eps, arithmetic, stream, batch_offset)


def group_norm(input, num_groups, weight=None, bias=None, eps=1e-05, *, arithmetic=None, stream=None, batch_offset=0):
    """input (N, C, *), weight and bias (C); statistics over the C/num_groups channels of a group and all positions."""
    _affine("group_norm", input, weight, bias)
    if num_groups < 1 or input.shape[1] % num_groups:
        raise RuntimeError(
            f"group_norm(): num_groups: expected a divisor of {input.shape[1]} channels, got {num_groups}"
        )
    return _group_norm("group_norm", input, num_groups, weight, bias, eps, arithmetic, stream, batch_offset)


def _group_norm(op, input, groups, weight, bias, eps, arithmetic, stream, batch_offset):
    (eps,) = _numbers_of(op, eps)
    call = numbers(op, arithmetic, stream, batch_offset)
    return _programs.run("group_norm", [input, weight, bias], {"groups": groups, "eps": eps}, call)[0]


def layer_norm(
    input, normalized_shape, weight=None, bias=None, eps=1e-05, *, arithmetic=None, stream=None, batch_offset=0
):
    """Over the last dimensions, whose sizes are `normalized_shape`, which weight and bias have too."""
    axes = _last("layer_norm", input, normalized_shape, weight=weight, bias=bias)
    (eps,) = _numbers_of("layer_norm", eps)
    call = numbers("layer_norm", arithmetic, stream, batch_offset)
    return _programs.run("layer_norm", [input, weight, bias], {"axes": axes, "eps": eps}, call)[0]


def rms_norm(input, normalized_shape, weight=None, eps=None, *, arithmetic=None, stream=None, batch_offset=0):
    """x / sqrt(mean of x*x + eps) * weight over the last dimensions; eps None: torch.finfo(dtype).eps."""
    axes = _last("rms_norm", input, normalized_shape, weight=weight)
    (eps,) = _numbers_of("rms_norm", torch.finfo(input.dtype).eps if eps is None else eps)
    call = numbers("rms_norm", arithmetic, stream, batch_offset)
    return _programs.run("rms_norm", [input, weight], {"axes": axes, "eps": eps}, call)[0]


def _affine(op, input, weight, bias, running_mean=None, running_var=None):
    named = {"weight": weight, "bias": bias, "running_mean": running_mean, "running_var": running_var}
    present = {name: tensor for name, tensor in named.items() if tensor is not None}
    _check.tensors(op, input=input, **present)
    if input.dim() < 2:
        raise RuntimeError(f"{op}(): input: expected at least 2 dimensions, got size {list(input.shape)}")
    for name, tensor in present.items():
        if list(tensor.shape) != [input.shape[1]]:
            raise RuntimeError(f"{op}(): {name}: expected size [{input.shape[1]}], got {list(tensor.shape)}")


def _last(op, input, shape, **affine):
    shape = [shape] if isinstance(shape, int) else list(shape)
    present = {name: tensor for name, tensor in affine.items() if tensor is not None}
    _check.tensors(op, input=input, **present)
    if not shape or list(input.shape[-len(shape) :]) != shape or prod(shape) == 0:
        raise RuntimeError(
            f"Given normalized_shape={shape}, expected input with shape [*{''.join(f', {n}' for n in shape)}], "
            f"but got input of size {list(input.shape)}"
        )
    for name, tensor in present.items():
        if list(tensor.shape) != shape:
            raise RuntimeError(f"{op}(): {name}: expected size {shape} as normalized_shape, got {list(tensor.shape)}")
    return len(shape)


def _numbers_of(op, *values):
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{op}(): eps, momentum: expected numbers, got {value!r}")
    return tuple(float(value) for value in values)


def _before(running):
    """A copy: what is saved for backward must not change when the running statistics are updated."""
    return None if running is None else running.detach().clone()
