"""Order exact by stages (csrc/core/exact_stages.h): every stage gives the bits of the definition, and is reached.

The definition is the slow path, forced by naming a method that does not cover exact; that one is compared with the
oracle in test_conv.py.
"""

import math

import pytest
import torch

import fpdet._library  # noqa: F401  (registers the ops)
from fpdet import Arithmetic

OPS = torch.ops.fpdet
HARDWARE = ("nearest_even", "toward_zero", "upward", "downward")
ROUNDINGS = (*HARDWARE, "nearest_away", "to_odd", "stochastic")
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
SHAPES = (  # N, C, K, size, kernel, stride, groups
    (2, 3, 5, 9, 3, 1, 1),
    (2, 8, 13, 7, 3, 2, 1),
    (1, 150, 6, 5, 1, 2, 1),
    (2, 4, 4, 6, 3, 1, 4),
    (2, 9, 18, 12, 3, 2, 9),
)


def data(kind, shape, generator):
    x = torch.randn(shape, generator=generator)
    if kind == "relu":
        return x.relu()
    if kind == "image":
        return torch.randint(0, 256, shape, generator=generator) / 255
    if kind == "bfloat16":
        return x.bfloat16().float()
    if kind == "integer":
        return torch.randint(-8, 9, shape, generator=generator).float()
    if kind == "cancelling":
        return x.sign() * 2.0 ** torch.randint(-60, 60, shape, generator=generator)
    if kind == "wild":
        return x * 2.0 ** torch.randint(-140, 120, shape, generator=generator)
    if kind == "zeros":
        return torch.where(x < 0, -0.0, 0.0)
    if kind == "sparse":
        return torch.where(x.abs() < 1.5, torch.where(x < -1, -0.0, 0.0), x)
    if kind == "infinite":
        return torch.where(x > 2.5, math.inf, x)
    if kind == "huge":
        return x * 2.0**63
    if kind == "tiny":
        return x * 2.0**-74
    return x


def passes(kind, shape, dtype, rounding):
    n, c, k, size, kernel, stride, groups = shape
    generator = torch.Generator().manual_seed(1)
    x, w, b = (data(kind, s, generator).to(dtype) for s in ((n, c, size, size), (k, c // groups, kernel, kernel), (k,)))
    out = (size + kernel // 2 * 2 - kernel) // stride + 1
    grad = data(kind, (n, k, out, out), generator).to(dtype)
    geometry = ([stride] * 2, [kernel // 2] * 2, [1, 1], groups)
    draw = torch.tensor([3, 4])
    text = str(Arithmetic.parse(f"{rounding} exact"))
    return [
        OPS.convolution(x, w, None, *geometry, [out] * 2, text, draw, 0, 1),
        OPS.convolution(x, w, b, *geometry, [out] * 2, text, draw, 0, 1),
        OPS.convolution_grad_input(grad, w, None, *geometry, [size] * 2, text, draw, 1, 1),
        OPS.convolution_grad_weight(grad, x, *geometry, [kernel] * 2, text, draw, 2),
        OPS.channel_sum(grad, text, draw, 3),
    ]


def by_definition(call):
    OPS.set_contraction_knobs(0, 0, 0, 0, "tiled")
    try:
        return call()
    finally:
        OPS.set_contraction_knobs(0, 0, 0, 0, "")
        OPS.exact_stages()


def bits(x):
    x = torch.where(x.isnan(), math.nan, x)
    return x.view({4: torch.int32, 2: torch.int16}[x.element_size()])


KINDS = (
    "gauss", "relu", "image", "bfloat16", "integer", "cancelling", "wild", "zeros", "sparse", "infinite", "huge",
    "tiny",
)  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_every_pass_has_the_bits_of_the_definition(kind, dtype):
    for rounding in ROUNDINGS:
        for shape in SHAPES:
            for got, want in zip(
                passes(kind, shape, dtype, rounding),
                by_definition(lambda s=shape, r=rounding: passes(kind, s, dtype, r)),
                strict=True,
            ):
                assert torch.equal(bits(got), bits(want)), (kind, dtype, rounding, shape)


def dot(pairs, rounding, dtype=torch.float32, bias=None):
    """The exact sum of products, one output of a 1x1 convolution."""
    left, right = (torch.tensor([p[i] for p in pairs], dtype=dtype).reshape(1, -1, 1, 1) for i in (0, 1))
    bias = None if bias is None else torch.tensor([bias], dtype=dtype)
    text = str(Arithmetic.parse(f"{rounding} exact"))
    return OPS.convolution(right, left, bias, [1, 1], [0, 0], [1, 1], 1, [1, 1], text, None, 0, 0)


ULP = 2.0**-24  # half of float32's quantum in [1, 2)
EDGES = {
    "tie": [(1, 1), (ULP, 1)],
    "odd tie": [(1 + 2 * ULP, 1), (ULP, 1)],
    "tie of full digits": [(1 + 2 * ULP, 1 + 2 * ULP), (-4 * ULP, ULP), (ULP, 1)],
    "above a tie by a float64 quantum": [(1, 1), (ULP, 1), (2.0**-26, 2.0**-26)],
    "below a tie by a float64 quantum": [(1, 1), (ULP, 1), (-(2.0**-26), 2.0**-26)],
    "above a tie, beyond float64": [(1, 1), (ULP, 1), (2.0**-60, 2.0**-60)],
    "below a tie, beyond float64": [(1, 1), (ULP, 1), (-(2.0**-60), 2.0**-60)],
    "representable but for a trace": [(3, 1), (2.0**-75, 2.0**-75)],
    "beyond two float64": [(1, 1), (2.0**-70, 1), (2.0**-70, 2.0**-70), (-1, 1), (2.0**-149, 2.0**-149)],
    "cancelled to a trace": [(2.0**60, 2.0**60), (1, 1), (-(2.0**60), 2.0**60), (ULP, 1)],
    "cancelled": [(3, 5), (-5, 3)],
    "cancelled, with zeros": [(3, 5), (-5, 3), (-0.0, 1)],
    "plus zeros": [(0.0, 1), (0.0, 0.0), (-1, -0.0)],
    "minus zeros": [(-0.0, 1), (0.0, -0.0), (-1, 0.0)],
    "zeros": [(-0.0, 1), (0.0, 1)],
    "minus row, zero column": [(-1, 0.0), (-2, 0.0)],
    "mixed row, zero column": [(-1, 0.0), (2, 0.0)],
    "greatest": [(2.0**64, 2.0**64), (-(2.0**64), 2.0**40)],
    "overflow tie": [(2.0**64, 2.0**64), (-(2.0**64), 2.0**39)],
    "just below it": [(2.0**64, 2.0**64), (-(2.0**64), 2.0**39), (-1, 1)],
    "overflow": [(2.0**100, 2.0**100), (-(2.0**100), 2.0**60)],
    "least subnormal": [(2.0**-100, 2.0**-49)],
    "half of it": [(2.0**-100, 2.0**-50)],
    "below half of it": [(2.0**-100, 2.0**-50), (-(2.0**-149), 2.0**-149)],
    "underflow": [(2.0**-149, 2.0**-149)],
    "infinite": [(math.inf, 1), (-1, 3)],
    "both infinities": [(math.inf, 1), (-math.inf, 1)],
    "infinity by zero": [(math.inf, 0.0), (1, 1)],
    "nan": [(math.nan, 0.0), (1, 1)],
}


@pytest.mark.parametrize("name", EDGES)
def test_edges(name):
    pairs = EDGES[name]
    for sign in (1, -1):
        signed = [(sign * a, b) for a, b in pairs]
        for rounding in ROUNDINGS[:-1]:
            for dtype in DTYPES:
                for bias in (None, 0.0, -0.0, 1.0, -1.0 - 2 * ULP, 2.0**-149):
                    got = dot(signed, rounding, dtype, bias)
                    want = by_definition(lambda s=signed, r=rounding, d=dtype, b=bias: dot(s, r, d, b))
                    assert torch.equal(bits(got), bits(want)), (sign, rounding, dtype, bias)


def stages(call):
    OPS.exact_stages()
    result = call()
    return result, OPS.exact_stages()


def test_the_edge_of_stage_1():
    """sqrt(2) 2^40 against 2^53 quanta: the sum is a float64 number, or may not be one."""
    inside, outside = ([(1, 2.0**40), (1, quantum)] for quantum in (2.0**-12, 2.0**-13))
    following = math.nextafter(2.0**40, math.inf)
    assert following != 2.0**40 + 2.0**-13
    for pairs, expected in ((inside, [1, 0, 0, 0]), (outside, [0, 0, 1, 0])):
        result, counts = stages(lambda p=pairs: dot(p, "upward"))
        assert result.item() == 2.0**40 + 2.0**17 and counts == expected
    result, counts = stages(lambda: dot(outside, "nearest_even"))
    assert result.item() == 2.0**40 and counts == [0, 1, 0, 0]


def test_each_stage_is_reached_and_counted():
    assert stages(lambda: dot([(1, 3), (2, 5)], "upward"))[1] == [1, 0, 0, 0]
    assert stages(lambda: dot([(1 + 2 * ULP, 1 + 6 * ULP), (0.1, 0.7)], "upward"))[1] == [0, 1, 0, 0]
    assert stages(lambda: dot(EDGES["above a tie, beyond float64"], "nearest_even"))[1] == [0, 0, 1, 0]
    assert stages(lambda: dot(EDGES["beyond two float64"], "nearest_even"))[1] == [0, 0, 0, 1]
    assert stages(lambda: dot(EDGES["nan"], "nearest_even"))[1] == [0, 0, 0, 1]
    generator = torch.Generator().manual_seed(2)
    x, w = torch.randn(4, 64, 14, 14, generator=generator), torch.randn(32, 64, 3, 3, generator=generator)
    shares = {}
    for kind, cast in (("gauss", torch.float32), ("bfloat16", torch.bfloat16)):
        for rounding in HARDWARE:
            a, b = x.to(cast).float(), w.to(cast).float()
            text = str(Arithmetic.parse(f"{rounding} exact"))
            _, counts = stages(
                lambda a=a, b=b, t=text: OPS.convolution(a, b, None, [1, 1], [1, 1], [1, 1], 1, [14, 14], t, None, 0, 0)
            )
            assert sum(counts) == 4 * 32 * 14 * 14
            shares[kind, rounding] = [count / sum(counts) for count in counts]
    for rounding in HARDWARE:
        assert shares["gauss", rounding][1] > 0.999
        assert shares["bfloat16", rounding][0] > 0.99
        assert shares["bfloat16", rounding][3] == shares["gauss", rounding][3] == 0


def test_a_float64_sum_rounded_once_is_not_exact():
    """Control: what stages 2 and 3 are for."""
    for name in ("above a tie, beyond float64", "below a tie, beyond float64", "cancelled to a trace"):
        pairs = EDGES[name]
        plain = torch.tensor([a * b for a, b in pairs], dtype=torch.float64).cumsum(0)[-1].float()
        exact = {dot(pairs, rounding).item() for rounding in HARDWARE}
        assert exact != {plain.item()}, name
    assert dot(EDGES["above a tie, beyond float64"], "nearest_even").item() == 1 + 2 * ULP
    assert dot(EDGES["cancelled to a trace"], "nearest_even").item() == 1
    assert dot(EDGES["cancelled to a trace"], "upward").item() == 1 + 2 * ULP
