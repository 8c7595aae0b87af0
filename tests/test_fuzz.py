"""Random geometries against the oracle, and outputs that must not know of one another."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from integers import values
from test_conv import OPS, as_array, assert_same, tensor, words

import fpdet
from fpdet import reference


@st.composite
def geometries(draw):
    """(samples, groups, C and K per group, and per axis: input size, kernel, stride, padding, dilation)."""
    axes = draw(st.integers(1, 3))
    small = st.integers(1, 2)
    per_axis = []
    for _ in range(axes):
        kernel, dilation, padding = draw(st.integers(1, 3)), draw(small), draw(st.integers(0, 3))
        reach = dilation * (kernel - 1) + 1
        size = draw(st.integers(max(1, reach - 2 * padding), max(1, reach - 2 * padding) + (6 if axes == 1 else 2)))
        per_axis.append((size, kernel, draw(st.integers(1, 3)), padding, dilation))
    return draw(small), draw(small), draw(small), draw(st.integers(1, 3)), per_axis


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    geometries(),
    st.sampled_from(["nearest_even", "toward_zero", "upward", "downward"]),
    st.sampled_from(["sequential", "reverse", "blocked(3)", "pairwise", "split(4)", "strided(3)", "shuffled(1)"]),
    st.booleans(),
    st.sampled_from(["float32", "float64", "bfloat16", "float16"]),
)
def test_random_geometries_equal_the_oracle(geometry, rounding, order, fused, dtype):
    n, groups, c, k, per_axis = geometry
    size, kernel, stride, padding, dilation = map(list, zip(*per_axis, strict=True))
    text, rules = words(rounding, order, "auto", fused, 32, "a", 1)
    x = tensor(values((n, groups * c, *size), 1, "hard"), dtype)
    weight = tensor(values((groups * k, c, *kernel), 2, "hard"), dtype)
    attributes = (stride, padding, dilation, groups)
    expected = reference.convolution(as_array(x), as_array(weight), None, *attributes, rules=rules, dtype=dtype)
    out = list(expected.shape[2:])
    assert_same(OPS.convolution(x, weight, None, *attributes, out, text, None, 0, 0), expected, f"{text} {geometry}")
    grad = tensor(values(expected.shape, 3, "hard"), dtype)
    got = OPS.convolution_grad_input(grad, weight, None, *attributes, size, text, None, 1, 0)
    expected = reference.convolution_grad_input(
        as_array(grad), as_array(weight), size, None, *attributes, rules=rules, dtype=dtype
    )
    assert_same(got, expected, f"grad_input {text} {geometry}")
    got = OPS.convolution_grad_weight(grad, x, *attributes, kernel, text, None, 2)
    expected = reference.convolution_grad_weight(
        as_array(grad), as_array(x), kernel, *attributes, rules=rules, dtype=dtype
    )
    assert_same(got, expected, f"grad_weight {text} {geometry}")


def passes(x, weight, grad, size, kernel, attributes, text):
    """Digests of forward, grad_input and grad_weight."""
    return [
        fpdet.digest(OPS.convolution(x, weight, None, *attributes, list(grad.shape[2:]), text, None, 0, 0)),
        fpdet.digest(OPS.convolution_grad_input(grad, weight, None, *attributes, size, text, None, 1, 0)),
        fpdet.digest(OPS.convolution_grad_weight(grad, x, *attributes, kernel, text, None, 2)),
    ]


def laid_out(t, layout):
    """The same values elsewhere: in another memory format, or with gaps between lines and elements."""
    if layout == "channels last":
        return t.contiguous(memory_format=torch.channels_last)
    if layout == "gaps":
        wide = torch.full((*t.shape[:3], 2 * t.shape[3] + 1), float("nan"), dtype=t.dtype)
        wide[..., 1::2] = t
        return wide[..., 1::2]
    return t


def sizes(*most, least=()):
    """Samples, groups, C and K per group, height, width, kernel, stride, padding, dilation."""
    return st.tuples(*(st.integers(low, high) for low, high in zip(least or (1,) * 10, most, strict=True)))


FAMILIES = st.one_of(
    sizes(2, 2, 70, 20, 9, 9, 3, 2, 2, 2),
    # Products of matrices: 1x1 kernels, where rows and columns may change places and axes become one.
    sizes(3, 2, 70, 70, 9, 9, 1, 2, 0, 1, least=(1, 1, 1, 1, 1, 1, 1, 1, 0, 1)),
    # Few channels and long lines, which a stride takes apart.
    sizes(2, 3, 3, 3, 6, 40, 3, 3, 2, 1, least=(1, 1, 1, 1, 1, 12, 1, 1, 0, 1)),
)


ORDERS = ["sequential", "reverse", "pairwise", "split(7)", "split(200)", "strided(5)", "strided(90)", "shuffled(1)"]
ORDERS += [f"blocked({n})" for n in range(2, 9)]
# Tiles, instruction set, threads, memory layout: what must not be seen in a result.
CIRCUMSTANCES = st.tuples(
    st.tuples(*(st.integers(0, most) for most in (70, 40, 70, 3))),
    st.sampled_from(OPS.instruction_sets()),
    st.integers(1, 3),
    st.sampled_from(["rows", "channels last", "gaps"]),
)


def assert_fast_equals_slow(geometry, text, dtype, methods, circumstances):
    tiles, cpu, threads, layout = circumstances
    n, groups, c, k, height, width, kernel, stride, padding, dilation = geometry
    reach = dilation * (kernel - 1) + 1
    size = [max(height, reach - 2 * padding), max(width, reach - 2 * padding)]
    out = [(each + 2 * padding - reach) // stride + 1 for each in size]
    x = tensor(values((n, groups * c, *size), 1, "hard"), dtype)
    weight = tensor(values((groups * k, c, kernel, kernel), 2, "hard"), dtype)
    grad = tensor(values((n, groups * k, *out), 3, "hard"), dtype)
    x, weight, grad = (laid_out(t, layout) for t in (x, weight, grad))
    given = (x, weight, grad, size, [kernel] * 2, ([stride] * 2, [padding] * 2, [dilation] * 2, groups))
    before = torch.get_num_threads()
    try:
        OPS.set_contraction_knobs(0, 0, 0, 0, "none has this name: the slow path's")
        expected = passes(*given, text)
        OPS.set_instruction_set(cpu)
        torch.set_num_threads(threads)
        for chosen in methods:
            OPS.set_contraction_knobs(*tiles, chosen)
            assert passes(*given, text) == expected, (chosen or "by shape", text, geometry, tiles)
    finally:
        torch.set_num_threads(before)
        OPS.set_instruction_set("")
        OPS.set_contraction_knobs(0, 0, 0, 0, "")


@settings(max_examples=600, deadline=None, derandomize=True)
@given(
    FAMILIES,
    st.sampled_from(["nearest_even", "toward_zero", "upward", "downward"]),
    st.sampled_from(ORDERS),
    st.booleans(),
    st.sampled_from(["float32", "float64", "bfloat16", "float16"]),
    st.sampled_from(OPS.contraction_methods()),
    CIRCUMSTANCES,
)
def test_fast_paths_equal_the_slow_path(geometry, rounding, order, fused, dtype, method, circumstances):
    text = words(rounding, order, "auto", fused, 32, "a", 1)[0]
    assert_fast_equals_slow(geometry, text, dtype, (method, ""), circumstances)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    FAMILIES,
    st.one_of(
        # Few bits have lanes of their own in a block of random words; narrow formats sums below their normal range.
        st.tuples(st.just("stochastic"), st.sampled_from([3, 8, 13, 16, 23, 32]), st.sampled_from("aaabc")),
        st.tuples(st.sampled_from(["nearest_away", "to_odd", "nearest_even", "downward"]), st.just(32), st.just("a")),
    ),
    st.sampled_from(ORDERS),
    st.sampled_from(["float32", "tfloat32", "bfloat16", "float16", "e4p3"]),
    st.booleans(),
    st.sampled_from(["float32", "bfloat16", "float16"]),
    CIRCUMSTANCES,
)
def test_emulated_arithmetic_equals_the_slow_path(geometry, rounding, order, accumulator, fused, dtype, circumstances):
    text = words(rounding[0], order, accumulator, fused, *rounding[1:], 1)[0]
    assert_fast_equals_slow(geometry, text, dtype, ("emulated", ""), circumstances)


def test_the_slow_path_is_the_one_that_is_forced():
    """Control: an unknown name leaves a convolution to the slow path, a method's name does not."""
    text = words("nearest_even", "pairwise", "auto", True, 32, "a", 1)[0]
    try:
        has = {}
        for method in ("none", "folded", "exact", ""):
            OPS.set_contraction_knobs(0, 0, 0, 0, method)
            has[method] = OPS.convolution_has_kernel("float32", text)
    finally:
        OPS.set_contraction_knobs(0, 0, 0, 0, "")
    assert has == {"none": False, "folded": True, "exact": False, "": True}


@pytest.mark.parametrize("order", ["kahan", "neumaier"])
def test_compensation_belongs_to_one_output(order):
    """Each output channel alone has the bits it has among others, as if no compensation leaked across columns."""
    x, weight = tensor(values((2, 40, 3), 1), "float32"), tensor(values((6, 40, 1), 2), "float32")
    text = f"nearest_even {order} float32"
    whole = OPS.convolution(x, weight, None, [1], [0], [1], 1, [3], text, None, 0, 0)
    for k in range(6):
        alone = OPS.convolution(x, weight[k : k + 1], None, [1], [0], [1], 1, [3], text, None, 0, 0)
        assert torch.equal(alone, whole[:, k : k + 1])
    plain = OPS.convolution(x, weight, None, [1], [0], [1], 1, [3], "nearest_even sequential float32 fused", None, 0, 0)
    assert not torch.equal(plain, whole), "control: the compensation does something"


@pytest.mark.parametrize("order", ["kahan", "neumaier"])
def test_compensated_sums_are_nearer_the_exact_one(order):
    terms = tensor(abs(values((1, 1, 20000), 3)), "float32")
    exact = OPS.channel_sum(terms, "nearest_even exact", None, 3)
    plain = OPS.channel_sum(terms, "nearest_even sequential float32 fused", None, 3)
    compensated = OPS.channel_sum(terms, f"nearest_even {order} float32", None, 3)
    assert (compensated - exact).abs() < (plain - exact).abs() / 10
