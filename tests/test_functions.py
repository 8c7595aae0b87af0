# SPDX-License-Identifier: MIT
"""Elementary functions: bits against MPFR, the two evaluations against each other, invariance, errors."""

import itertools

import numpy as np
import pytest
import torch
from integers import values
from test_conv import ROUNDINGS, as_array, assert_same, tensor, words

from fpdet import _functions, core, reference
from fpdet.reference import functions as oracle

OPS = torch.ops.fpdet
FUNCTIONS = _functions.FUNCTIONS
ALGEBRAIC = ("sqrt", "rsqrt", "reciprocal")
NEAREST = "nearest_even sequential float32 fused"

# Zeros, the ends of domains, exact results, overflow and underflow of exp, tails, subnormals, near-exact results.
EDGES = [0.0, -0.0, 1.0, -1.0, float("inf"), float("-inf"), float("nan"), 0.25, 4.0, 2.25, 3.0, 2.0**-149, -(2.0**-149)]
EDGES += [2.0**-126, 2.0**127, -(2.0**127), 88.72283, 88.72284, -87.33655, -103.97208, -104.5, 17.0, -13.5, -14.25, 6.5]
EDGES += [3 * 2.0**-27, -3 * 2.0**-28, 2.0**-50, -(2.0**-24), 1.5 * 2.0**-60, 140.5, -141.0, 1 - 2.0**-24, 1 + 2.0**-23]


def operands(seed, count):
    """float32 numbers: the edges, then patterns of every exponent and numbers of moderate size by turns."""
    x = np.float32(np.concatenate([EDGES, values((count,), seed, "special")]))
    x[len(EDGES) :: 2] = np.float32(values((count,), seed + 1, "hard"))[::2] * np.float32(3)
    return x


@pytest.mark.parametrize("function", FUNCTIONS)
def test_core_equals_mpfr(function):
    x = operands(1, 16)
    for rounding, format in itertools.product(ROUNDINGS, ("float32", "float8_e4m3fn", "e5p7")):
        options = dict(bits=32, variant="b", seed=3, counter=5) if rounding == "stochastic" else {}
        got = core.function(function, x, format, rounding, **options).astype(np.float64)
        for i, (operand, result) in enumerate(zip(x, got, strict=True)):
            random = core.elementwise_bits(3, 5, 9, i, 0, 32) if options else None
            want = oracle.function(function, float(operand), format, rounding, random, 32, "b")
            assert reference.same(np.float64(result), np.float64(want)), (rounding, format, operand, result, want)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_op_equals_the_oracle(function, dtype):
    x = tensor(operands(3, 6).astype(np.float64), dtype).reshape(-1, 1)
    cases = itertools.product(ROUNDINGS, (("auto", "sequential"), ("float16", "pairwise"), ("auto", "exact")))
    for rounding, (accumulator, order) in cases:
        text, rules = words(rounding, order, accumulator, True, 8, "a", 3)
        rules = reference.Rules(**{**rules.__dict__, "batch_offset": 7})
        got = _functions.unary(function, x, text, torch.tensor([3, 5]), batch_offset=7)
        assert_same(got, oracle.unary(function, as_array(x), rules, dtype), f"{function} {text} {dtype}")


@pytest.mark.parametrize("function", ALGEBRAIC)
def test_algebraic_functions_round_float64(function):
    x = tensor(np.concatenate([EDGES, values((40,), 2, "special")]), "float64")
    for rounding, accumulator in itertools.product(ROUNDINGS, ("float64", "float16")):
        text, rules = words(rounding, "sequential", accumulator, True, 32, "c", 3)
        got = _functions.unary(function, x, text, torch.tensor([3, 5]))
        rules = reference.Rules(**{**rules.__dict__, "batch_offset": 0})
        assert_same(got, oracle.unary(function, as_array(x), rules, "float64"), f"{function} {text}")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_operand_keyed_bits(function):
    x = tensor(np.abs(values((20,), 5, "hard")), "float32")
    text = "stochastic sequential float16 fused bits=4 seed=11 keyed_by=operands"
    rules = reference.Rules("stochastic", accumulator="float16", bits=4, seed=11, keyed_by="operands")
    got = _functions.unary(function, x, text)
    assert_same(got, oracle.unary(function, as_array(x), rules, "float32"), function)
    assert torch.equal(got.flip(0), _functions.unary(function, x.flip(0), text))


def every_sixteen_bit_pattern(dtype):
    return torch.arange(-(2**15), 2**15, dtype=torch.int16).view(dtype)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_kernels_equal_the_definition(function):
    """Every pattern of the 16-bit types under every rounding; float32 by a sample of patterns."""
    sample = torch.arange(-(2**31), 2**31, 2**19 + 7).int().view(torch.float32)
    for x in (every_sixteen_bit_pattern(torch.bfloat16), every_sixteen_bit_pattern(torch.float16), sample):
        for rounding in ROUNDINGS if x is sample else ("nearest_even", "upward"):
            options = " bits=8" if rounding == "stochastic" else ""
            text = f"{rounding} sequential float32 fused{options}"
            fast = _functions.unary(function, x, text)
            OPS.use_function_kernels.default(False)
            slow = _functions.unary(function, x, text)
            OPS.use_function_kernels.default(True)
            assert reference.same(as_array(fast), as_array(slow)), (text, x.dtype)


def test_every_rounding_makes_a_difference():
    """The control: where all roundings agreed, equality with the oracle would prove nothing."""
    x = torch.linspace(0.1, 3, 2000)
    for function in FUNCTIONS:
        results = [_functions.unary(function, x, f"{r} sequential float32 fused") for r in ROUNDINGS]
        for a, b in itertools.combinations(range(len(ROUNDINGS)), 2):
            ties_only = {ROUNDINGS[a], ROUNDINGS[b]} == {"nearest_even", "nearest_away"}
            one_sided = {ROUNDINGS[a], ROUNDINGS[b]} == {"toward_zero", "downward"} and (results[a] > 0).all()
            assert torch.equal(results[a], results[b]) == bool(ties_only or one_sided), (function, a, b)


HOSTILE = 0x1F80 | 0xE040  # flush to zero, denormals are zero, toward zero


@pytest.mark.skipif(OPS.instruction_sets.default()[0] == "baseline", reason="MXCSR is x86's")
@pytest.mark.parametrize("count", [1, 2])
def test_neither_threads_nor_layout_nor_instructions_nor_state_enter_a_result(count, threads):
    x = tensor(values((64, 20, 2), 1, "hard"), "float32")
    turned = x.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    for function, rounding in itertools.product(FUNCTIONS, ("downward", "stochastic", "to_odd")):
        text = f"{rounding} sequential float32 fused"
        threads(1)
        expected = as_array(_functions.unary(function, x, text))
        assert reference.same(expected[3:], as_array(_functions.unary(function, x[3:], text, batch_offset=3)))
        threads(count)
        for name in (*OPS.instruction_sets.default(), "portable"):
            OPS.set_instruction_set.default(name)
            before = OPS.read_environments.default()[0]
            OPS.write_environments.default(HOSTILE)
            try:
                got = [_functions.unary(function, each, text) for each in (x, turned)]
            finally:
                OPS.write_environments.default(before)
                OPS.set_instruction_set.default("")
            assert all(reference.same(as_array(each), expected) for each in got), (function, text, name)


def test_control_another_sample_or_seed_draws_other_bits():
    x = torch.linspace(0.1, 3, 500)
    for function in FUNCTIONS:
        one, offset, seed = (
            _functions.unary(function, x, f"stochastic sequential float32 fused seed={s}", batch_offset=n)
            for s, n in ((1, 0), (1, 1), (2, 0))
        )
        assert not torch.equal(one, offset) and not torch.equal(one, seed), function


def test_results_of_no_elements_and_of_one():
    assert _functions.unary("exp", torch.empty(0, 3), NEAREST).shape == (0, 3)
    assert _functions.unary("exp", torch.tensor(0.0), NEAREST) == 1.0


def test_bad_input_raises_before_any_work():
    x = torch.ones(3)
    with pytest.raises(ValueError, match="function: expected one of exp, expm1"):
        _functions.unary("cosh", x, NEAREST)
    inside = "expected float32, bfloat16 or float16 and an accumulator inside float32"
    with pytest.raises(NotImplementedError, match=inside):
        _functions.unary("exp", x.double(), NEAREST)
    with pytest.raises(NotImplementedError, match=inside):
        _functions.unary("gelu", x, "nearest_even sequential float64 fused")
    with pytest.raises(NotImplementedError, match=r"expected float32, bfloat16 or float16, got torch\.int64"):
        _functions.unary("sqrt", x.long(), NEAREST)
    with pytest.raises(RuntimeError, match=inside):
        OPS.unary.default(x.double(), "exp", NEAREST, None, 9, 0)
    with pytest.raises(RuntimeError, match="function: expected one of exp"):
        OPS.unary.default(x, "cosh", NEAREST, None, 9, 0)
    with pytest.raises(TypeError, match="expected float32 or float16 and a format inside float32"):
        core.exp(np.ones(3))
    with pytest.raises(TypeError, match="expected float32 or float16 and a format inside float32"):
        core.exp(np.ones(3, np.float32), "float64")
    assert core.sqrt(2.0, "float64") == 2.0**0.5


def test_the_op_is_registered_for_the_compiler():
    for function in ("exp", "sqrt"):
        torch.library.opcheck(
            OPS.unary.default,
            (torch.rand(4, 3), function, NEAREST, None, 9, 0),
            test_utils=("test_schema", "test_faketensor"),
        )
