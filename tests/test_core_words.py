# SPDX-License-Identifier: MIT
"""Arithmetics in words, as core reads and prints them."""

import pytest

from fpdet import core

CANONICAL = [
    "nearest_even blocked(512) auto fused",
    "nearest_away pairwise float32 unfused",
    "toward_zero exact",
    "upward kahan float32",
    "downward neumaier auto",
    "to_odd split(7) bfloat16 fused",
    "stochastic strided(32) float8_e4m3fn unfused bits=8 variant=c seed=7 keyed_by=operands",
    "nearest_even shuffled(18446744073709551615) auto fused",
    "nearest_even shuffled(3,vary=call) auto fused",
    "nearest_even shuffled(3,vary=element) auto fused",
    "nearest_even split(4).shuffled(9) e6p9 fused",
    "stochastic exact seed=1",
    "nearest_even sequential auto fused",
    "nearest_even reverse float64 fused",
]


@pytest.mark.parametrize("text", CANONICAL)
def test_arithmetic_strings_print_as_they_parse(text):
    assert core.parse_arithmetic(text)["text"] == text


@pytest.mark.parametrize(
    "text, canonical",
    [
        ("upward blocked(1)", "upward pairwise auto fused"),
        ("upward pairwise(64) e8p24", "upward blocked(64) float32 fused"),
        (
            "  stochastic  shuffled( 7 , vary=call )  auto unfused bits=32 seed=0",
            "stochastic shuffled(7,vary=call) auto unfused",
        ),
    ],
)
def test_arithmetic_strings_become_canonical(text, canonical):
    assert core.parse_arithmetic(text)["text"] == canonical


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "arithmetic: expected '<rounding> <order>"),
        ("sideways exact", "rounding: expected one of nearest_even"),
        ("upward sorted", "order: expected one of sequential, reverse, .*got 'sorted'"),
        ("upward blocked", "order: expected one of"),
        ("upward blocked(0)", "expected an integer from 1 to 2147483648, got '0'"),
        ("upward blocked(x)", "expected an integer from 1"),
        ("upward shuffled(-1)", "seed of .* expected an integer from 0"),
        ("upward shuffled(1,vary=often)", "expected vary=call or vary=element"),
        ("upward exact float32", "exact has neither accumulator nor fused word, got 'float32'"),
        ("upward kahan float32 fused", "kahan has no fused word, got 'fused'"),
        ("upward pairwise fused", "expected an accumulator before it"),
        ("upward pairwise auto fast", "expected fused or unfused"),
        ("upward pairwise auto fused more", "options belong to stochastic|expected an option"),
        ("upward pairwise auto fused bits=8", "options belong to stochastic alone"),
        ("stochastic pairwise auto fused bit=8", "expected an option out of"),
    ],
)
def test_arithmetic_strings_that_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        core.parse_arithmetic(text)
