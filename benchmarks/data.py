"""Operands, the same in every run and on every machine."""

import torch

KINDS = {
    "gaussian": "N(0, 1) everywhere",
    "relu": "input and gradient of the output with their negative half at zero",
    "uint8": "input an image: k/255",
    "bfloat16": "all operands N(0, 1) rounded to bfloat16",
}


def operands(problem, kind="gaussian", dtype=torch.float32, seed=0):
    """(input, weight, gradient of the output) of a Problem, as `kind` says."""
    generator = torch.Generator().manual_seed(seed)
    x, weight, grad = (torch.randn(shape, generator=generator) for shape in problem.shapes)
    if kind == "relu":
        x, grad = x.relu(), grad.relu()
    elif kind == "uint8":
        x = torch.randint(256, x.shape, generator=generator) / 255
    elif kind == "bfloat16":
        x, weight, grad = (t.bfloat16().float() for t in (x, weight, grad))
    elif kind != "gaussian":
        raise ValueError(f"data: expected one of {', '.join(KINDS)}, got {kind!r}")
    if problem.channels_last:
        x, weight, grad = (t.contiguous(memory_format=torch.channels_last) for t in (x, weight, grad))
    return x.to(dtype), weight.to(dtype), grad.to(dtype)
