"""Computes cases on a device."""

import json
from pathlib import Path

import torch

from fpdet import _library  # noqa: F401  (registers the ops)
from fpdet._digest import digest
from fpdet.conformance import network, primitives
from fpdet.conformance.inputs import values
from fpdet.conformance.matrix import CONVOLUTIONS, SHAPES

GOLDEN = Path(__file__).parent / "golden.json"
COUNT = 1031  # elements of the pointwise ops: a prime
OPS = torch.ops.fpdet


def output_size(shape):
    """Spatial sizes of a convolution's output."""
    *_, sizes, kernel, stride, padding, dilation = SHAPES[shape]
    axes = zip(sizes, kernel, stride, padding, dilation, strict=True)
    return [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in axes]


def operands(case):
    """The case's tensors, on the CPU."""
    if case.op in primitives.NAMES:
        return primitives.operands(case)
    if case.op == network.NAME:
        return network.operands(case)
    if case.op not in CONVOLUTIONS:
        return [values((7, COUNT // 7), 3 * case.number + i, case.kind, case.dtype) for i in range(3)]
    n, c, k, groups, sizes, kernel, *_ = SHAPES[case.shape]
    shapes = ((n, c, *sizes), (k, c // groups, *kernel), (n, k, *output_size(case.shape)), (k,))
    return [values(shape, 4 * case.number + i, case.kind, case.dtype) for i, shape in enumerate(shapes)]


def compute(case, tensors, counter=2):
    """The case's results from tensors as `operands` makes them, wherever they lie."""
    text, draw = case.arithmetic, torch.tensor([case.number, counter])
    if case.op in primitives.NAMES:
        return primitives.compute(case, tensors, draw)
    if case.op == network.NAME:
        return network.compute(case, tensors, counter)
    if case.op == "sgd":
        parameter, gradient, buffer = (tensor.clone() for tensor in tensors)
        steps = (0.1, 0.9, 0.25, 5e-4, case.number % 2 == 0, case.number % 3 == 0, 3.0 if case.number % 5 else 1.0)
        OPS.sgd_([parameter], [gradient], [buffer], case.number % 7 == 0, *steps, text, draw)
        return [parameter, buffer]
    if case.op == "add":
        return [OPS.add(*tensors[:2], text, draw, 4)]
    if case.op == "round":
        rounding = f"{case.rounding} {case.options}".strip()
        return [OPS.round(tensors[0], case.format, rounding, draw, 3)]
    groups, sizes, kernel, *geometry = SHAPES[case.shape][3:]
    x, weight, grad, bias = tensors
    geometry = [*map(list, geometry), groups]
    if case.op == "forward":
        with_bias = bias if case.number % 2 else None
        return [OPS.convolution(x, weight, with_bias, *geometry, output_size(case.shape), text, draw, 0, 1)]
    if case.op == "grad_input":
        return [OPS.convolution_grad_input(grad, weight, None, *geometry, list(sizes), text, draw, 1, 1)]
    if case.op == "grad_weight":
        return [OPS.convolution_grad_weight(grad, x, *geometry, list(kernel), text, draw, 2)]
    return [OPS.channel_sum(grad, text, draw, 3)]


def run(case, device):
    """The digest of a case's results on a device, or the error that came instead, in words."""
    try:
        return digest(compute(case, [tensor.to(device) for tensor in operands(case)]))
    except RuntimeError as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"


def golden():
    """Case name to digest, as recorded."""
    return json.loads(GOLDEN.read_text())
