"""Planted errors: results that are wrong in one way each. A matrix that did not notice one would be too weak."""

from dataclasses import replace

import torch

from fpdet._digest import digest
from fpdet.conformance.matrix import SHAPES
from fpdet.conformance.primitives import FUNCTIONS
from fpdet.conformance.runner import OPS, compute, operands, output_size

_TINY = {torch.float64: 2.0**-1022, torch.float32: 2.0**-126, torch.bfloat16: 2.0**-126, torch.float16: 2.0**-14}
_OPPOSITE = {"nearest_even": "nearest_away", "upward": "downward", "downward": "upward", "toward_zero": "to_odd"}


def _flushed(tensor):
    return torch.where(tensor.abs() < _TINY[tensor.dtype], torch.zeros_like(tensor), tensor)


def wrong_rounding(case, tensors):
    """The opposite direction."""
    if case.rounding in _OPPOSITE:
        return compute(replace(case, rounding=_OPPOSITE[case.rounding]), tensors)


def swapped_partials(case, tensors):
    """Lanes combined as if they were contiguous blocks."""
    if case.order == "strided(4)":
        return compute(replace(case, order="split(4)"), tensors)


def flush_to_zero(case, tensors):
    """Subnormal operands and results become zeros."""
    if case.kind == "subnormal":
        return [_flushed(result) for result in compute(case, [_flushed(tensor) for tensor in tensors])]


def contraction(case, tensors):
    """A fused multiply-add where there are two roundings."""
    if case.fused == "unfused":
        return compute(replace(case, fused="fused"), tensors)


def reversed_order(case, tensors):
    """Last term first."""
    if case.order == "sequential":
        return compute(replace(case, order="reverse"), tensors)


def double_rounding(case, tensors):
    """The sum of a narrow accumulator, rounded from one in float32."""
    if case.format == "bfloat16" and case.rounding != "stochastic":
        wide = compute(replace(case, format="float32"), tensors)
        return [OPS.round(result, "bfloat16", case.rounding, None, 0) for result in wide]


def lost_negative_zero(case, tensors):
    """Minus zero comes out as plus zero."""
    return [torch.where(result == 0, torch.zeros_like(result), result) for result in compute(case, tensors)]


def wrong_counter(case, tensors):
    """Random bits of the next call."""
    if case.rounding == "stochastic":
        return compute(case, tensors, counter=3)


def dropped_term(case, tensors):
    """A loop over channels that ends one too early."""
    if case.op == "forward" and SHAPES[case.shape][3] == 1 and SHAPES[case.shape][1] > 1:
        x, weight, _, bias = tensors
        geometry = [*map(list, SHAPES[case.shape][6:]), 1]
        draw = torch.tensor([case.number, 2])
        bias = bias if case.number % 2 else None
        x, weight = x[:, :-1], weight[:, :-1]
        return [OPS.convolution(x, weight, bias, *geometry, output_size(case.shape), case.arithmetic, draw, 0, 1)]


def wrong_accumulator(case, tensors):
    """float64 sums where float32 ones were asked for."""
    if case.format == "float32" and case.op not in ("round", *FUNCTIONS):
        return compute(replace(case, format="float64"), tensors)


MUTANTS = (
    wrong_rounding,
    swapped_partials,
    flush_to_zero,
    contraction,
    reversed_order,
    double_rounding,
    lost_negative_zero,
    wrong_counter,
    dropped_term,
    wrong_accumulator,
)


def flagged(mutant, cases, golden, device):
    """How many cases a mutant is in, and how many of them notice: their digest is not the recorded one."""
    met = noticed = 0
    for case in cases:
        results = mutant(case, [tensor.to(device) for tensor in operands(case)])
        if results is not None:
            met += 1
            noticed += digest(results) != golden[case.name]
    return met, noticed
