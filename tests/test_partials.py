"""Partial sums: exact whatever the terms, merged without error, rounded as the whole sum under order exact."""

import math
from fractions import Fraction

import pytest
import torch

import fpdet
from fpdet import _partial_sums, _primitives
from fpdet._arithmetic import ROUNDINGS

ops = torch.ops.fpdet
DRAWLESS = [rounding for rounding in ROUNDINGS if rounding != "stochastic"]


def _wide(shape, spread, generator, dtype=torch.float32):
    """Normal numbers times powers of two in [-spread, spread]; a tenth are zeros of both signs."""
    x = torch.randn(shape, generator=generator)
    x = torch.ldexp(x, torch.randint(-spread, spread + 1, shape, generator=generator)).to(dtype)
    zeros = torch.rand(shape, generator=generator) < 0.1
    return torch.where(zeros, torch.copysign(torch.zeros((), dtype=dtype), x), x)


def _value(planes):
    return sum(Fraction(float(x)) for x in planes)


@pytest.fixture(params=["", "avx2", "portable"])
def instruction_set(request):
    if request.param == "avx2" and "avx2" not in ops.instruction_sets():
        pytest.skip("this machine lacks avx2")
    before = ops.instruction_set()
    ops.set_instruction_set(request.param)
    yield request.param
    ops.set_instruction_set(before)


@pytest.mark.parametrize("spread", [0, 20, 60])
@pytest.mark.parametrize("sizes", [(1, 3, 20, 70), (2, 9, 2, 300), (3, 1, 1, 17), (1, 70, 70, 3), (1, 2, 9, 0)])
def test_products_are_exact(instruction_set, sizes, spread):
    groups, rows, columns, terms = sizes
    generator = torch.Generator().manual_seed(spread)
    a, b = (_wide((groups, n, terms), spread, generator) for n in (rows, columns))
    planes = ops.partial_products(a, b)
    for g, m, n in [(0, 0, 0), (groups - 1, rows - 1, columns - 1), (0, rows // 2, columns // 2)]:
        want = sum(Fraction(float(x)) * Fraction(float(y)) for x, y in zip(a[g, m], b[g, n], strict=True))
        assert _value(planes[:, g, m, n]) == want
    if terms:
        count = planes.shape[0]
        assert torch.equal(planes, ops.merge_partials(planes.reshape(1, count, -1)).reshape(planes.shape))


@pytest.mark.parametrize("rounding", DRAWLESS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_parts_merge_to_the_bits_of_the_whole(rounding, dtype):
    generator = torch.Generator().manual_seed(1)
    a, b = (_wide((1, n, 60), 6, generator, dtype) for n in (6, 11))
    whole = _primitives.matmul(a[0], b[0].t(), None, f"{rounding} exact", None, 0)
    for cuts in ([60], [1, 59], [20, 0, 40], [7, 13, 25, 15]):
        parts = [ops.partial_products(x, y).flatten(1) for x, y in zip(a.split(cuts, 2), b.split(cuts, 2), strict=True)]
        merged = _partial_sums.merged(parts)
        for planes in (ops.round_partials(_partial_sums.stacked(parts), f"{rounding} exact", str(dtype)[6:]),
                       _partial_sums.rounded(merged, rounding, dtype)):  # fmt: skip
            assert fpdet.digest(planes.reshape(6, 11)) == fpdet.digest(whole)


def test_control_parts_that_are_rounded_first_differ():
    generator = torch.Generator().manual_seed(1)
    a, b = (_wide((1, n, 60), 6, generator) for n in (6, 11))
    text = "nearest_even exact"
    whole = _primitives.matmul(a[0], b[0].t(), None, text, None, 0)
    halves = [
        _primitives.matmul(x[0], y[0].t(), None, text, None, 0)
        for x, y in zip(a.split(30, 2), b.split(30, 2), strict=True)
    ]
    assert not torch.equal(halves[0] + halves[1], whole)


ZEROS = [[], [0.0], [-0.0], [0.0, -0.0], [-0.0, -0.0], [1.0, -1.0], [1.0], [-1.0]]
SPECIAL = [[math.inf], [-math.inf], [math.nan], [math.inf, -math.inf]]


@pytest.mark.parametrize("rounding", ["nearest_even", "downward"])
@pytest.mark.parametrize("left", ZEROS + SPECIAL)
@pytest.mark.parametrize("right", ZEROS + SPECIAL)
def test_signs_of_zero_and_special_values_are_those_of_the_whole(rounding, left, right):
    whole = _primitives.sum(torch.tensor(left + right), None, [], False, f"{rounding} exact", None, 0)
    parts = [_partial_sums.sums(torch.tensor([terms])) for terms in (left, right)]
    again = [_partial_sums.merged([part, _partial_sums.nothing(1)]) for part in parts]
    for pair in (parts, again):
        total = _partial_sums.rounded(_partial_sums.merged(pair), rounding, torch.float32)
        assert fpdet.digest(total) == fpdet.digest(whole.reshape(1))


def _call_of(name, *args):
    """The op's own result and its partials', rounded."""
    result = getattr(ops, name).default(*args)
    planes = _partial_sums.of(name, args, result)
    planes = planes.reshape(planes.shape[0], -1)
    return result, _partial_sums.rounded(planes, "nearest_even", result.dtype).reshape(result.shape)


def _cases():
    generator = torch.Generator().manual_seed(2)
    text = "nearest_even exact"

    def t(*shape):
        return torch.randn(shape, generator=generator)

    yield "sum", (t(4, 5, 6), None, [0, 2], True, text, None, 0, 0)
    yield "sum", (t(4, 5, 6), t(5, 1), [-1], False, text, None, 0, 0)
    yield "sum", (t(4, 5), None, [], False, text, None, 0, 0)
    yield "matmul", (t(6, 7), t(7, 9), None, text, None, 0, 0)
    yield "matmul", (t(2, 3, 6, 7), t(2, 3, 7, 2), None, text, None, 0, 0)
    yield "matmul", (t(6, 7), t(3, 7, 4), None, text, None, 0, 0)
    yield "channel_sum", (t(2, 3, 4, 5), text, None, 0)
    for stride, padding, dilation, groups in (((1, 1), (0, 0), (1, 1), 1), ((2, 3), (1, 2), (2, 1), 2)):
        size = [(9 + 2 * p - (3 - 1) * d - 1) // s + 1 for s, p, d in zip(stride, padding, dilation, strict=True)]
        args = (
            t(3, 4, *size),
            t(3, 6, 9, 9),
            list(stride),
            list(padding),
            list(dilation),
            groups,
            [3, 3],
            text,
            None,
            0,
        )
        yield "convolution_grad_weight", args
    like = t(3, 6, 9, 9).to(memory_format=torch.channels_last)
    yield "convolution_grad_weight", (t(3, 4, 7, 7), like, [1, 1], [0, 0], [1, 1], 1, [3, 3], text, None, 0)
    offsets, sources = _primitives.by_target(torch.tensor([4, 0, 2, 2, 4, 4, 0]), 6)
    yield "gather_sum", (t(7, 3), offsets, sources, None, text, None, 0, 0)
    yield "gather_sum", (t(7, 3), offsets, sources, t(7), text, None, 0, 0)


@pytest.mark.parametrize("name, args", list(_cases()))
def test_every_formula_is_its_op(name, args):
    result, again = _call_of(name, *args)
    assert fpdet.digest(again) == fpdet.digest(result)


def test_unfolding_in_pieces_changes_nothing(monkeypatch):
    name, args = next(case for case in _cases() if case[0] == "convolution_grad_weight")
    monkeypatch.setattr(_partial_sums, "_CHUNK", 1)
    result, again = _call_of(name, *args)
    assert fpdet.digest(again) == fpdet.digest(result)


def test_the_number_of_threads_and_hostile_states_change_nothing(threads):
    generator = torch.Generator().manual_seed(3)
    a, b = (_wide((4, n, 500), 20, generator) for n in (30, 70))
    expected = ops.partial_products(a, b)
    before = ops.read_environments()
    for count in (1, 2, 3):
        threads(count)
        ops.write_environments(0xFFC0)  # toward zero, flush to zero
        try:
            planes = ops.partial_products(a, b)
        finally:
            ops.write_environments(before[0])
        assert fpdet.digest(planes) == fpdet.digest(expected)


def test_wrong_arguments_raise():
    x = torch.randn(1, 2, 3)
    with pytest.raises(RuntimeError, match="float32, bfloat16 or float16"):
        ops.partial_products(x.double(), x.double())
    with pytest.raises(RuntimeError, match=r"\[G, M, T\] and \[G, N, T\]"):
        ops.partial_products(x, x[0])
    with pytest.raises(RuntimeError, match="at least 2 numbers"):
        ops.merge_partials(torch.zeros(1, 1, 3, dtype=torch.float64))
    with pytest.raises(RuntimeError, match="draws nothing"):
        ops.round_partials(torch.zeros(1, 2, 3, dtype=torch.float64), "stochastic exact", "float32")
