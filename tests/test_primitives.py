"""binary, sum, matmul and gather_sum against the oracle, bit for bit, and with every knob turned."""

import itertools

import numpy as np
import pytest
import torch
from integers import splitmix64, values
from test_conv import ACCUMULATORS, DTYPES, OPS, ORDERS, ROUNDINGS, as_array, assert_same, tensor, words

from fpdet import _primitives, reference

DRAW = torch.tensor([7, 5])
TAG = 11
HARDWARE = ("nearest_even", "toward_zero", "upward", "downward")
TREES = ("sequential", "blocked(5)", "blocked(16)", "pairwise", "split(3)", "strided(4)", "reverse", "shuffled(3)")


def settings(count, salt):
    """A fixed sample of all arithmetics: (text, rules, dtype, kind of values)."""
    picks = splitmix64(count * 8, salt).reshape(count, 8)
    every = itertools.cycle(itertools.product(ROUNDINGS, ORDERS))
    for row, (rounding, order) in zip(picks, every, strict=False):
        pick = [int(word >> np.uint64(20)) for word in row]
        bits, variant = (1, 5, 8, 16, 32)[pick[2] % 5], "abc"[pick[3] % 3]
        accumulator = ACCUMULATORS[pick[0] % len(ACCUMULATORS)]
        keyed_by = ("position", "position", "operands")[pick[4] % 3]
        text, rules = words(rounding, order, accumulator, bool(pick[1] % 2), bits, variant, 7, keyed_by)
        rules = reference.Rules(**{**rules.__dict__, "pass_tag": TAG})
        yield text, rules, list(DTYPES)[pick[5] % 4], ("spread", "hard", "special")[pick[6] % 3]


def rotated(cases, i):
    return cases[i % len(cases)]


BINARY_SHAPES = [  # the second operand's shape; a number is a Python number
    ((3, 4, 5), (3, 4, 5)),
    ((3, 4, 5), (5,)),
    ((3, 4, 5), (4, 1)),
    ((3, 1, 5), (3, 4, 1)),
    ((2, 3, 40), (3, 1)),
    ((40,), (2, 1, 40)),
    ((), (3, 2)),
    ((3, 4, 5), -2.7),
    ((3, 40), 1e-30),
    ((4, 0, 3), (4, 1, 1)),
]


@pytest.mark.parametrize("operation", ["add", "sub", "mul", "div"])
def test_binary_equals_the_oracle(operation):
    for i, (text, rules, dtype, kind) in enumerate(settings(len(ROUNDINGS) * len(ORDERS), 1)):
        first, second = rotated(BINARY_SHAPES, i)
        a = tensor(values(first, 2 * i, kind), dtype) if np.prod(first) else torch.empty(first, dtype=DTYPES[dtype])
        if isinstance(second, float):
            operands = (a, second) if i % 2 else (second, a)
        else:
            operands = (a, tensor(values(second, 2 * i + 1, kind), dtype))
        got = _primitives.binary(operation, *operands, text, DRAW, TAG, 3)
        oracle = [x if isinstance(x, float) else as_array(x) for x in operands]
        expected = reference.binary(*oracle, operation, rules, dtype)
        assert_same(got, expected, f"{operation} {text} {dtype} {first} {second}")


SUMS = [  # shapes of a and b, dims
    ((3, 4, 5), None, [1]),
    ((3, 4, 5), None, [0, 2]),
    ((3, 4, 5), None, [-1]),
    ((5, 9), None, [0]),
    ((37,), None, []),
    ((2, 3, 2, 2, 2), None, [0, 2, 4]),
    ((2, 3, 2, 2, 2, 2), None, [1, 3, 5]),
    ((2, 2, 2, 2, 2, 2, 2, 2, 2), None, [1, 3, 5, 7]),
    ((2, 2, 2, 1, 2, 2, 2, 2, 2, 2), None, [0, 2, 4, 6, 8]),
    ((4, 0, 3), None, [1]),
    ((), None, []),
    ((3, 4, 5), (3, 4, 5), [0, 2]),
    ((3, 4, 5), (3, 4, 5), [2]),
    ((3, 4, 5), (3, 4, 5), [1]),
    ((3, 4, 5), (5,), [0, 2]),
    ((5, 1), (3, 5, 4), [1]),
    ((3, 1, 5), (4, 1), [0, 2]),
    ((2, 3, 2, 2, 2), (2, 3, 2, 2, 2), [1, 3]),
    ((17,), (17,), [0]),
]


@pytest.mark.parametrize("part", range(3))
def test_sum_equals_the_oracle(part):
    for i, (text, rules, dtype, kind) in enumerate(settings(len(ROUNDINGS) * len(ORDERS), 2 + part)):
        first, second, dims = rotated(SUMS, i + part)
        a = tensor(values(first, 2 * i, kind), dtype) if np.prod(first) else torch.empty(first, dtype=DTYPES[dtype])
        b = None if second is None else tensor(values(second, 2 * i + 1, kind), dtype)
        keepdim = bool(i // 2 % 2)
        got = _primitives.sum(a, b, dims, keepdim, text, DRAW, TAG, 3)
        second_array = None if b is None else as_array(b)
        expected = reference.sum_terms(as_array(a), second_array, dims or None, keepdim, rules, dtype)
        assert_same(got, expected, f"{text} {dtype} {first} {second} {dims} {keepdim}")


MATMULS = [  # shapes of a and b
    ((3, 5), (5, 4)),
    ((2, 3, 5), (5, 4)),
    ((2, 3, 5), (2, 5, 4)),
    ((3, 5), (2, 5, 4)),
    ((2, 2, 3, 5), (2, 2, 5, 2)),
    ((1, 7), (7, 1)),
    ((3, 0), (0, 2)),
]


def test_matmul_equals_the_oracle():
    for i, (text, rules, dtype, kind) in enumerate(settings(len(ROUNDINGS) * len(ORDERS), 5)):
        first, second = rotated(MATMULS, i)
        layout = i // len(MATMULS) % 3
        a, b = (
            tensor(values(shape, 2 * i + j, kind), dtype) if np.prod(shape) else torch.empty(shape, dtype=DTYPES[dtype])
            for j, shape in enumerate((first, second))
        )
        if layout == 1:
            b = b.transpose(-1, -2).contiguous().transpose(-1, -2)
        if layout == 2:
            a = a.transpose(0, -2).contiguous().transpose(0, -2)
        bias = tensor(values(second[-1:], 3 * i, kind), dtype) if i % 2 else None
        got = _primitives.matmul(a, b, bias, text, DRAW, TAG, 3)
        bias_array = None if bias is None else as_array(bias)
        expected = reference.matmul(as_array(a), as_array(b), bias_array, rules, dtype)
        assert_same(got, expected, f"{text} {dtype} {first} {second} bias={bias is not None} layout={layout}")


OFFSETS = [[0, 3, 3, 10, 11], [2, 4, 11], [0, 11], [5]]


def test_gather_sum_equals_the_oracle():
    indices = torch.tensor([0, 3, 5, 5, 1, 2, 0, 4, 4, 4, 1])
    for i, (text, rules, dtype, kind) in enumerate(settings(len(ROUNDINGS) * len(ORDERS), 6)):
        offsets, columns = OFFSETS[i % 4], (1, 3, 9)[i % 3]
        x = tensor(values((6, columns), i, kind), dtype)
        weights = tensor(values((11,), i + 1, kind), dtype) if i % 2 else None
        if i % 5 == 0:
            x = x.t().contiguous().t()
        got = _primitives.gather_sum(x, torch.tensor(offsets), indices, weights, text, DRAW, TAG, 3)
        weights_array = None if weights is None else as_array(weights)
        expected = reference.gather_sum(as_array(x), offsets, indices.tolist(), weights_array, rules, dtype)
        assert_same(got, expected, f"{text} {dtype} {offsets} {columns} weights={weights is not None}")


def test_by_target_keeps_the_sequence_of_sources():
    index = torch.tensor([2, 0, 2, 4, 0, 2])
    offsets, sources = _primitives.by_target(index, 6)
    assert offsets.tolist() == [0, 2, 2, 5, 5, 6, 6]
    assert sources.tolist() == [1, 4, 0, 2, 5, 3]
    empty = _primitives.by_target(torch.empty(0, dtype=torch.int64), 2)
    assert empty[0].tolist() == [0, 0, 0] and empty[1].numel() == 0


# The kernels against the slow path, and what may not enter a result.


def calls(dtype, kind="hard"):
    """(name, function of an arithmetic): large enough for whole vectors and remainders."""

    def t(*shape, seed=1):
        return tensor(values(shape, seed, kind), dtype)

    x, y = t(5, 19, 6, 7), t(5, 19, 6, 7, seed=2)
    long, other = t(3, 200), t(3, 200, seed=2)
    lines, weights = t(9, 70), t(40, seed=3)
    indices = torch.from_numpy((splitmix64(40, 4) % np.uint64(9)).astype(np.int64))
    offsets = torch.tensor([0, 1, 1, 20, 38, 40])
    for operation in ("add", "sub", "mul", "div"):
        yield operation, lambda text, o=operation: OPS.binary(x, y, o, text, None, 0, 0)
        yield operation + " channel", lambda text, o=operation: OPS.binary(x, y[0, :, :1, :1], o, text, None, 0, 0)
        yield operation + " number", lambda text, o=operation: OPS.binary_scalar(x, 0.3, True, o, text, None, 0, 0)
    for dims in ([0, 2, 3], [1], [2, 3], [0], [3], []):
        yield f"sum {dims}", lambda text, d=dims: OPS.sum(x, None, d, False, text, None, 0, 0)
        yield f"dot {dims}", lambda text, d=dims: OPS.sum(x, y, d, False, text, None, 0, 0)
    for dims in ([0], [1], [0, 1]):
        yield f"long sum {dims}", lambda text, d=dims: OPS.sum(long, None, d, False, text, None, 0, 0)
        yield f"long dot {dims}", lambda text, d=dims: OPS.sum(long, other, d, False, text, None, 0, 0)
        yield f"vector {dims}", lambda text, d=dims: OPS.sum(long, other[0], d, False, text, None, 0, 0)
    a, b, bias = t(4, 9, 37), t(4, 37, 21, seed=2), t(21, seed=3)
    yield "matmul", lambda text: OPS.matmul(a, b, bias, text, None, 0, 0)
    yield "linear", lambda text: OPS.matmul(a, t(21, 37, seed=5).t(), bias, text, None, 0, 0)
    yield "gather_sum", lambda text: OPS.gather_sum(lines, offsets, indices, None, text, None, 0, 0)
    yield "weighted", lambda text: OPS.gather_sum(lines, offsets, indices, weights, text, None, 0, 0)
    yield "one column", lambda text: OPS.gather_sum(lines[:, :1], offsets, indices, weights, text, None, 0, 0)


@pytest.mark.parametrize("instruction_set", OPS.instruction_sets())
@pytest.mark.parametrize("dtype", DTYPES)
def test_kernels_equal_the_slow_path(dtype, instruction_set):
    choices = list(itertools.product(HARDWARE, TREES, ("auto", "float64"), ("fused", "unfused")))
    others = [f"{r} sequential bfloat16 fused" for r in ROUNDINGS] + ["upward exact", "stochastic pairwise bits=8"]
    for i, (name, call) in enumerate(calls(dtype)):
        texts = [" ".join(choices[j % len(choices)]) for j in range(i, i + 8 * 17, 17)] + others[i % 3 :: 3]
        for text in texts:
            OPS.set_instruction_set("portable")
            expected = as_array(call(text))
            OPS.set_instruction_set(instruction_set)
            try:
                assert_same(call(text), expected, f"{name} {text} {dtype}")
            finally:
                OPS.set_instruction_set("")


@pytest.mark.parametrize("method", ["across", "along"])
@pytest.mark.parametrize("columns", [1, 5, 64])
def test_tiles_do_not_enter_a_sum(method, columns):
    for (name, call), text in itertools.product(calls("float32"), ("upward blocked(16)", "nearest_even split(3)")):
        if not name.startswith(("sum", "dot", "long", "vector")):
            continue
        expected = as_array(call(text))
        OPS.set_contraction_knobs(columns, 0, 0, 1, method)
        try:
            assert_same(call(text), expected, f"{name} {text}")
        finally:
            OPS.set_contraction_knobs(0, 0, 0, 0, "")


@pytest.mark.parametrize(
    "text", ["nearest_even blocked(5)", "downward split(3) auto unfused", "upward exact", "stochastic sequential"]
)
def test_threads_do_not_enter_a_result(text, threads):
    for name, call in calls("float32"):
        threads(1)
        expected = as_array(call(text))
        for count in (2, 7):
            threads(count)
            assert_same(call(text), expected, f"{name} {count} threads")


@pytest.mark.parametrize("text", ["toward_zero sequential", "stochastic pairwise bits=8 seed=3"])
def test_strides_do_not_enter_a_result(text):
    x, y = (tensor(values((4, 6, 5, 7), seed, "hard"), "float32") for seed in (1, 2))
    last = [t.contiguous(memory_format=torch.channels_last) for t in (x, y)]
    apart = [torch.stack([t, t + 1], -1).flatten(-2)[..., ::2] for t in (x, y)]

    def results(a, b):
        for operation in ("add", "div"):
            yield OPS.binary(a, b, operation, text, None, 0, 2)
            yield OPS.binary(a, b[0, :, :1, :1], operation, text, None, 0, 2)
        for dims in ([0, 2, 3], [1], [3], [0]):
            yield OPS.sum(a, b, dims, False, text, None, 0, 2)
            yield OPS.sum(a, None, dims, False, text, None, 0, 2)
        yield OPS.matmul(a, b.transpose(2, 3), None, text, None, 0, 2)

    expected = [as_array(result) for result in results(x, y)]
    for i, (a, b) in enumerate((last, apart, (x, last[1]), (last[0], apart[1]))):
        assert torch.equal(a, x) and torch.equal(b, y)
        for j, (got, wanted) in enumerate(zip(results(a, b), expected, strict=True)):
            assert_same(got, wanted, f"layout {i}, result {j}")
    assert OPS.binary(*last, "add", text, None, 0, 0).stride() == last[0].stride()


def test_batch_offset_makes_a_slice_of_the_whole():
    text = "stochastic sequential bfloat16 fused seed=1"
    x, y, w = (tensor(values(s, 1, "spread"), "float32") for s in ((4, 3, 5), (4, 5, 2), (5, 2)))
    for call in (
        lambda i, j, n: OPS.binary(x[i:j], x[i:j].flip(1), "mul", text, None, 0, n),
        lambda i, j, n: OPS.sum(x[i:j], None, [2], False, text, None, 0, n),
        lambda i, j, n: OPS.matmul(x[i:j], y[i:j], None, text, None, 0, n),
        lambda i, j, n: OPS.matmul(x[i:j], w, None, text, None, 0, n),
    ):
        whole = call(0, 4, 0)
        assert torch.equal(torch.cat([call(0, 1, 0), call(1, 4, 1)]), whole)
        assert not torch.equal(torch.cat([call(0, 1, 0), call(1, 4, 0)]), whole), "control: the offset counts"


def test_controls():
    """Inputs on which rounding, order, fusing and the accumulator must show."""
    x, y = (tensor(values((3, 300), seed, "spread"), "float32") for seed in (1, 2))

    def results(op, *texts):
        return {tuple(op(text).flatten().tolist()) for text in texts}

    down, up = "downward sequential", "upward sequential"
    for operation in ("add", "sub", "mul", "div"):
        assert len(results(lambda t, o=operation: OPS.binary(x, y, o, t, None, 0, 0), down, up)) == 2
    for op in (
        lambda t: OPS.sum(x, y, [1], False, t, None, 0, 0),
        lambda t: OPS.matmul(x, y.t(), None, t, None, 0, 0),
        lambda t: OPS.gather_sum(y.t(), torch.tensor([0, 300]), torch.arange(300), x[0], t, None, 0, 0),
    ):
        texts = ["nearest_even " + w for w in ("sequential", "pairwise", "sequential auto unfused", "kahan", "exact")]
        assert len(results(op, *texts, "nearest_even sequential float64", down, up)) >= 7
    text = "stochastic sequential float16 fused keyed_by=operands"
    assert len(results(lambda t: OPS.sum(x, y, [1], False, t, None, 0, 0), text)) == 1
    assert not torch.equal(OPS.sum(x, y, [1], False, text, None, 0, 0), OPS.sum(y, x, [1], False, text, None, 0, 0)), (
        "the factors' sequence counts where operands are hashed"
    )


@pytest.mark.parametrize("text", ["downward sequential", "nearest_even sequential", "upward exact"])
def test_zeros_and_special_values(text):
    inf, nan = float("inf"), float("nan")
    x = torch.tensor([0.0, -0.0, 1.0, -1.0, inf, -inf, nan, 2.0**-149])
    a, b = (t.reshape(-1) for t in torch.meshgrid(x, x, indexing="ij"))
    rules = reference.Rules(*text.split(), pass_tag=0)
    for operation in ("add", "sub", "mul", "div"):
        for first, second in ((a, b), (a.repeat(4), b.repeat(4))):
            got = OPS.binary(first, second, operation, text, None, 0, 0)
            assert_same(
                got, reference.binary(as_array(first), as_array(second), operation, rules, "float32"), operation
            )
    zeros = torch.full((2, 3), -0.0)
    expected = reference.sum_terms(as_array(zeros), None, [1], False, rules, "float32")
    assert_same(OPS.sum(zeros, None, [1], False, text, None, 0, 0), expected, "zeros")
