"""Every pass of convolution against the oracle (fpdet.reference), bit for bit."""

import itertools

import numpy as np
import pytest
import torch
from integers import splitmix64, values

import fpdet._library  # noqa: F401  (registers the ops)
from fpdet import reference

OPS = torch.ops.fpdet
DTYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
ROUNDINGS = ("nearest_even", "nearest_away", "toward_zero", "upward", "downward", "to_odd", "stochastic")
ORDERS = (
    "sequential",
    "reverse",
    "blocked(5)",
    "pairwise",
    "split(3)",
    "split(1000)",
    "strided(4)",
    "shuffled(3)",
    "shuffled(3,vary=call)",
    "shuffled(3,vary=element)",
    "split(5).shuffled(9)",
    "kahan",
    "neumaier",
    "exact",
)
ACCUMULATORS = ("auto", "float64", "float32", "tfloat32", "bfloat16", "float16", "float8_e4m3fn", "float8_e5m2", "e6p7")
SHAPES = (  # N, C, K, groups, input size, kernel, stride, padding, dilation
    (2, 2, 3, 1, (5, 4), (3, 2), (1, 1), (1, 0), (1, 1)),
    (1, 4, 4, 2, (6, 5), (2, 3), (2, 1), (1, 2), (1, 2)),
    (2, 2, 2, 2, (5, 6), (2, 2), (3, 2), (0, 1), (2, 1)),
    (2, 2, 4, 1, (9,), (3,), (2,), (2,), (2,)),
    (1, 2, 2, 1, (3, 4, 3), (2, 2, 2), (1, 2, 1), (1, 0, 1), (1, 1, 2)),
)


def words(rounding, order, accumulator, fused, bits, variant, seed, keyed_by="position"):
    """The Arithmetic in words, and as the oracle's Rules."""
    rules = reference.Rules(
        rounding,
        order,
        "auto",
        fused,
        bits=bits,
        variant=variant,
        seed=seed,
        keyed_by=keyed_by,
        counter=5,
        batch_offset=3,
    )
    text = [rounding, order]
    if order != "exact":
        rules = reference.Rules(**{**rules.__dict__, "accumulator": accumulator})
        text.append(accumulator)
    if order not in ("exact", "kahan", "neumaier"):
        text.append("fused" if fused else "unfused")
    if rounding == "stochastic":
        text += [f"bits={bits}", f"variant={variant}", f"seed={seed}", f"keyed_by={keyed_by}"]
    return " ".join(text), rules


def cases(count):
    """A fixed sample of the product of all settings, in which every pair of two settings' values is common."""
    picks = splitmix64(count * 10, 2024).reshape(count, 10)
    every = itertools.cycle(itertools.product(ROUNDINGS, ORDERS))
    for row, (rounding, order) in zip(picks, every, strict=False):
        pick = [int(word >> np.uint64(20)) for word in row]
        yield (
            rounding,
            order,
            ACCUMULATORS[pick[0] % len(ACCUMULATORS)],
            bool(pick[1] % 2),
            (1, 5, 8, 11, 16, 32)[pick[2] % 6],
            "abc"[pick[3] % 3],
            list(DTYPES)[pick[4] % 4],
            SHAPES[pick[5] % len(SHAPES)],
            ("spread", "hard", "special", "small")[pick[6] % 4],
            pick[7] % 1000,
            ("position", "position", "operands")[pick[8] % 3],
        )


def tensor(array, dtype):
    return torch.from_numpy(np.ascontiguousarray(array)).to(DTYPES[dtype])


def as_array(t):
    return t.to(torch.float64).numpy()


def assert_same(got, expected, label):
    got = as_array(got)
    assert got.shape == expected.shape, label
    unequal = ~((got.view(np.uint64) == expected.view(np.uint64)) | (np.isnan(got) & np.isnan(expected)))
    if unequal.any():
        first = tuple(int(i[0]) for i in np.nonzero(unequal))
        raise AssertionError(
            f"{label}: {unequal.sum()} of {unequal.size} differ, first at {first}: "
            f"got {float(got[first]).hex()}, expected {float(expected[first]).hex()}"
        )


@pytest.mark.parametrize("case", list(cases(294)), ids=lambda c: "-".join(map(str, c[:7])).replace(" ", ""))
def test_all_passes_equal_the_oracle(case):
    rounding, order, accumulator, fused, bits, variant, dtype, shape, kind, seed, keyed_by = case
    n, c, k, groups, size, kernel, stride, padding, dilation = shape
    text, rules = words(rounding, order, accumulator, fused, bits, variant, seed, keyed_by)
    draw = torch.tensor([seed, 5])
    x = tensor(values((n, c, *size), seed + 1, kind), dtype)
    weight = tensor(values((k, c // groups, *kernel), seed + 2, "small" if kind == "small" else "hard"), dtype)
    bias = tensor(values((k,), seed + 3, "spread"), dtype)
    out = [
        (s + 2 * p - d * (r - 1) - 1) // t + 1
        for s, r, t, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
    ]
    grad = tensor(values((n, k, *out), seed + 4, kind), dtype)
    label = f"{text} {dtype} {shape} {kind} seed={seed}"
    a_x, a_w, a_b, a_g = map(as_array, (x, weight, bias, grad))
    attributes = (stride, padding, dilation, groups)

    got = OPS.convolution(x, weight, bias, *attributes, out, text, draw, 0, 3)
    assert got.dtype == x.dtype
    assert_same(got, reference.convolution(a_x, a_w, a_b, *attributes, rules=rules, dtype=dtype), f"forward {label}")

    got = OPS.convolution_grad_input(grad, weight, None, *attributes, list(size), text, draw, 1, 3)
    expected = reference.convolution_grad_input(a_g, a_w, size, None, *attributes, rules=rules, dtype=dtype)
    assert_same(got, expected, f"grad_input {label}")

    got = OPS.convolution_grad_weight(grad, x, *attributes, list(kernel), text, draw, 2)
    expected = reference.convolution_grad_weight(a_g, a_x, kernel, *attributes, rules=rules, dtype=dtype)
    assert_same(got, expected, f"grad_weight {label}")

    got = OPS.channel_sum(grad, text, draw, 3)
    assert_same(got, reference.channel_sum(a_g, rules=rules, dtype=dtype), f"channel_sum {label}")


def test_transposed_convolution_has_its_bias_last():
    x, weight, bias = values((2, 3, 4), 1), values((3, 2, 3), 2), values((2,), 3)
    rules = reference.Rules("upward", "pairwise", "float32", False)
    expected = reference.conv_transpose(x, weight, bias, stride=2, padding=1, rules=rules, dtype="float32")
    tensors = (tensor(a, "float32") for a in (x, weight, bias))
    got = OPS.convolution_grad_input(
        *tensors, [2], [1], [1], 1, [expected.shape[2]], "upward pairwise float32 unfused", None, 0, 0
    )
    assert_same(got, expected, "conv_transpose")


def test_padding_is_a_zero_that_takes_part():
    """An infinite weight on a padded zero gives NaN; under downward a padded -0 product shows in the sign."""
    x = torch.zeros(1, 1, 2)
    weight = torch.tensor([[[float("inf"), 0.0, -1.0]]])
    y = OPS.convolution(x, weight, None, [1], [1], [1], 1, [2], "downward sequential float32 fused", None, 0, 0)
    assert torch.isnan(y).all()
    weight = torch.tensor([[[-1.0, -1.0, -1.0]]])
    y = OPS.convolution(x, weight, None, [1], [1], [1], 1, [2], "downward sequential float32 fused", None, 0, 0)
    assert torch.signbit(y).all()  # +0 + -0 is -0 under downward


def test_controls_roundings_and_orders_differ():
    """The comparison above can fail: on integers of few digits, where ties are common, other roundings and orders
    give other bits."""
    x, weight = (tensor(7 * values(s, i, "small"), "bfloat16") for i, s in enumerate([(2, 8, 6, 6), (4, 8, 3, 3)]))
    results = {}
    for rounding, order in itertools.product(ROUNDINGS, ORDERS):
        if order in ("split(1000)", "kahan", "neumaier"):
            continue
        text, _ = words(rounding, order, "bfloat16", True, 32, "a", 1)
        y = OPS.convolution(x, weight, None, [1, 1], [1, 1], [1, 1], 1, [6, 6], text, torch.tensor([1, 5]), 0, 0)
        results[text] = y
    for (a, x_a), (b, x_b) in itertools.combinations(results.items(), 2):
        assert not torch.equal(x_a, x_b), f"{a} and {b} give the same bits"


def test_more_than_two_to_the_31_terms_raise():
    x = torch.ones(1).expand(1, 1, 1 << 32)
    with pytest.raises(RuntimeError, match="2\\^31"):
        OPS.channel_sum(x, "nearest_even sequential float32 fused", None, 3)


def test_offsets_beyond_31_bits():
    """Operands whose strides reach beyond 2^31 elements: an expanded tensor, and a window far into it."""
    base = tensor(values((3, 1, 2), 5), "float32")
    x = base.expand(3, 1 << 31, 2)
    weight = tensor(values((1, 1, 2), 6), "float32")
    text = "nearest_even sequential float32 fused"
    narrow = x[:, (1 << 31) - 2 :]
    got = OPS.convolution(narrow, weight.expand(2, 1, 2), None, [1], [0], [1], 2, [1], text, None, 0, 0)
    expected = OPS.convolution(base, weight, None, [1], [0], [1], 1, [1], text, None, 0, 0)
    assert torch.equal(got, expected.expand(3, 2, 1))
    # Long in one dimension: the far end of 2^32 positions, visited with a stride of 2^30.
    line = torch.ones(1).expand(1, 1, (1 << 32) + 1)
    got = OPS.convolution(line, torch.ones(1, 1, 1), None, [1 << 30], [0], [1], 1, [5], text, None, 0, 0)
    assert torch.equal(got, torch.ones(1, 1, 5))
