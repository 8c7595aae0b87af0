# SPDX-License-Identifier: MIT
"""Exact sums, orders and trees of fpdet.core, bit for bit.

Exact sums are compared with rationals rounded once by MPFR (which has its own code for that) in the four IEEE
roundings and by fpdet.reference in all seven, and with math.fsum. Orders are compared with fpdet.reference; the
controls are data on which orders, roundings and exactness must differ.
"""

import itertools
import math
from fractions import Fraction

import gmpy2
import numpy as np
import pytest

from fpdet import _core, core
from fpdet import reference as ref

IEEE = {
    "nearest_even": gmpy2.RoundToNearest,
    "toward_zero": gmpy2.RoundToZero,
    "upward": gmpy2.RoundUp,
    "downward": gmpy2.RoundDown,
}
DETERMINISTIC = [r for r in core.ROUNDINGS if r != "stochastic"]


def bits(x):
    x = np.atleast_1d(np.asarray(x, dtype=np.float64))
    return np.where(np.isnan(x), np.uint64(0x7FF8 << 48), x.view(np.uint64))


def same(x, y):
    return bool((bits(x) == bits(y)).all())


def by_mpfr(total: Fraction, format, rounding):
    f = core.format_info(format)
    with gmpy2.context(
        precision=f["precision"],
        emin=f["exponent_min"] - f["precision"] + 2,
        emax=f["exponent_max"] + 1,
        subnormalize=True,
        round=IEEE[rounding],
    ):
        return float(gmpy2.mpfr(gmpy2.mpq(total.numerator, total.denominator)))


def data(kind, n, rng):
    """Hard sums: what defeats a working precision, whatever it is."""
    if kind == "wide":  # every exponent: no two terms overlap
        return np.ldexp(rng.standard_normal(n), rng.integers(-1070, 1000, n))
    if kind == "cancelling":  # the sum is 2^-1000 of the terms
        x = np.ldexp(rng.standard_normal(n // 2), rng.integers(0, 300, n // 2))
        return rng.permutation(np.concatenate([x, -x, np.ldexp(rng.standard_normal(n % 2 + 1), -700)]))
    if kind == "growing":
        return np.ldexp(1.0, np.arange(n) * 2 - n) * rng.choice([-1.0, 1.0], n)
    if kind == "few_bit":  # sums are representable or ties
        return rng.integers(-8, 9, n) / 16 + 2.0**24 * (rng.integers(0, 40, n) == 0)
    if kind == "tie":  # a tie in float32, tipped by the last term alone
        return np.array([1.0, 2.0**-24, rng.choice([0.0, 1.0, -1.0]) * 2.0**-1000])
    if kind == "subnormal":
        return np.ldexp(rng.integers(-(2**40), 2**40, n).astype(np.float64), -1074)
    if kind == "overflow":
        return rng.choice([1.0, -1.0], n, p=[0.9, 0.1]) * 1.7e308
    return rng.standard_normal(n)


KINDS = ["wide", "cancelling", "growing", "few_bit", "tie", "subnormal", "overflow", "normal"]


@pytest.mark.parametrize("kind", KINDS)
def test_exact_sum(kind):
    rng = np.random.default_rng(KINDS.index(kind))
    for n in (1, 2, 3, 17, 100, 401):
        x = data(kind, n, rng)
        total = sum(map(Fraction, x.tolist()), Fraction(0))
        for format, rounding in itertools.product(("float64", "float32", "bfloat16", "e11p20"), DETERMINISTIC):
            got = core.sum_exact(x, rounding, format)
            sign = -1 if rounding == "downward" and total == 0 else 1
            assert same(got, ref.round_exact(total, sign, format, rounding)), (kind, n, format, rounding)
            if rounding in IEEE and total != 0:
                assert same(got, by_mpfr(total, format, rounding)), (kind, n, format, rounding)
        if kind != "overflow":
            assert same(core.sum_exact(x), math.fsum(x.tolist()) + 0.0)


@pytest.mark.parametrize("kind", KINDS)
def test_exact_dot(kind):
    rng = np.random.default_rng(100 + KINDS.index(kind))
    for n in (1, 5, 150):
        a, b = data(kind, n, rng), data(kind, n, rng)
        b = b[: a.size] if b.size >= a.size else np.resize(b, a.size)
        if kind == "cancelling":  # ... and its products: a·b + a·(-b) + something tiny
            a, b = np.concatenate([a, a, [2.0**-1000]]), np.concatenate([b, -b, [3 * 2.0**-1074]])
        total = sum((Fraction(x) * Fraction(y) for x, y in zip(a.tolist(), b.tolist(), strict=True)), Fraction(0))
        for format, rounding in itertools.product(("float64", "float32"), DETERMINISTIC):
            got = core.dot_exact(a, b, rounding, format)
            sign = -1 if rounding == "downward" and total == 0 else 1
            assert same(got, ref.round_exact(total, sign, format, rounding)), (kind, n, format, rounding)
            if rounding in IEEE and total != 0:
                assert same(got, by_mpfr(total, format, rounding)), (kind, n, format, rounding)


def test_exact_differs_from_every_order():
    """Control: a sum that no order gets right in float32, nor even in float64."""
    x = np.array([1e30, 1.0, -1e30, 2.0**-60, 1e-45], np.float32)
    assert core.sum_exact(x, "upward") == np.float32(1 + 2.0**-23)
    assert core.sum_exact(x) == 1
    for order in ("sequential", "reverse", "pairwise", "kahan"):
        assert core.reduce(x, order) != 1
        assert core.reduce(x.astype(np.float64), order, "float64") != 1


SPECIALS = [0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan, 5e-324]


@pytest.mark.parametrize("rounding", ["nearest_even", "toward_zero", "downward", "upward", "to_odd"])
def test_special_terms_and_zero_signs(rounding):
    """NaN, infinities and zeros as an IEEE addition of all terms gives; an exact zero as design and MPFR's sum."""
    rounder = ref.Rules(rounding=rounding).rounder("float64", 0, 0)
    for n in (0, 1, 2, 3):
        for terms in itertools.product(SPECIALS, repeat=n):
            got = core.sum_exact(np.array(terms, np.float64), rounding)
            assert same(got, ref.exact_sum(list(terms), None, rounder)), (terms, rounding)
    for a, b, c, d in itertools.product(SPECIALS, repeat=4):
        got = core.dot_exact([a, c], [b, d], rounding)
        assert same(got, ref.exact_sum([(a, b), (c, d)], None, rounder)), (a, b, c, d, rounding)


def test_zero_signs_written_out():
    assert not np.signbit(core.sum_exact(np.array([]), "downward"))
    assert np.signbit(core.sum_exact([-0.0, -0.0])) and np.signbit(core.sum_exact([-0.0], "upward"))
    assert not np.signbit(core.sum_exact([0.0, -0.0])) and np.signbit(core.sum_exact([0.0, -0.0], "downward"))
    assert not np.signbit(core.sum_exact([1.0, -1.0, -0.0])) and np.signbit(
        core.sum_exact([1.0, -1.0, 0.0], "downward")
    )
    assert not np.signbit(core.sum_exact([0.0, 0.0], "downward"))


def test_infinity_in_a_format_without_one():
    assert np.isnan(core.sum_exact([np.inf, 1.0], "toward_zero", "float8_e4m3fn"))
    assert core.sum_exact([400.0, 400.0], "toward_zero", "float8_e4m3fn") == 448
    assert np.isnan(core.sum_exact([400.0, 400.0], "nearest_even", "float8_e4m3fn"))


def test_clear_and_merge():
    rng = np.random.default_rng(1)
    x = data("wide", 300, rng)
    for cut in (0, 1, 150, 300):
        parts = []
        for half in (x[:cut], x[cut:]):
            s = _core.ExactSum()
            for junk in (1e300, math.inf, -0.0):  # clear() forgets it all
                s.add(junk)
            s.clear()
            for v in half.tolist():
                s.add_product(v, 1.0)
            parts.append(s)
        parts[0].merge(parts[1])
        assert same(parts[0].round(), core.sum_exact(x))
        assert same(parts[0].round("float32", "upward"), core.sum_exact(x, "upward", "float32"))
        parts[0].clear()
        assert same(parts[0].round("float64", "downward"), 0.0)


def test_billions_of_terms_do_not_overflow():
    """Doubling by merging with itself: more than 2^40 terms, through every propagation of carries."""
    for terms in ([1.7e308, 1.7e308], [-1.7e308, 3.0], [5e-324, -1.0], [-(2.0**-1000), 2.0**1000]):
        s = _core.ExactSum()
        total = Fraction(0)
        for v in terms:
            s.add_product(v, v)
            s.add_product(v, -1.0)
            total += Fraction(v) ** 2 - Fraction(v)
        for step in range(45):
            s.merge(s)
            total *= 2
            for v in terms if step > 40 else []:  # adding propagates carries too: merging alone must do
                s.add(v)
                total += Fraction(v)
        # Cancel down to what a double can show: nothing may have been lost.
        t = _core.ExactSum()
        t.merge(s)
        for rounding in DETERMINISTIC:
            assert same(s.round("float64", rounding), ref.round_exact(total, 1, "float64", rounding))
        for _ in range(100):
            v = t.round("float64", "toward_zero")
            if v == 0 or math.isinf(v) or abs(v) > 1.7e308:
                break
            t.add(-v)
            total -= Fraction(v)
            assert same(t.round("float64", "to_odd"), ref.round_exact(total, 1, "float64", "to_odd"))


def test_stochastic_exact_sum():
    """One rounding, one event (2T+1), unbiased between the neighbours of the exact sum."""
    x = np.tile(np.array([1.0, 2.0**-26, 2.0**-60], np.float32), (2000, 1))
    got = core.sum_exact(x, "stochastic", "bfloat16", seed=3, bits=8)
    total = sum(map(Fraction, x[0].tolist()))
    draws = [core.random_bits(3, 0, 0, n, 0, 2 * 3 + 1, 8) for n in range(2000)]
    assert same(got, [ref.round_exact(total, 1, "bfloat16", "stochastic", r, 8, "a") for r in draws])
    half = core.sum_exact(np.tile([1.0, 2.0**-8], (2000, 1)), "stochastic", "bfloat16", seed=3)
    assert 900 < (half > 1).sum() < 1100
    keyed = core.sum_exact(np.tile([1.0, 2.0**-8], (50, 1)), "stochastic", "bfloat16", seed=3, keyed_by="operands")
    assert np.unique(keyed).size == 1


# Orders.

TREES = [
    "sequential",
    "reverse",
    "blocked(3)",
    "blocked(512)",
    "pairwise",
    "split(4)",
    "strided(5)",
    "shuffled(7)",
    "shuffled(7,vary=call)",
    "shuffled(7,vary=element)",
    "split(4).shuffled(9)",
]


@pytest.mark.parametrize("order", TREES)
def test_trees(order):
    for n in [*range(1, 40), 64, 65, 200]:
        assert core.tree(order, n) == ref.tree(order, n), n
    assert core.tree(order, 0) == ()


def test_trees_written_out():
    assert core.tree("sequential", 4) == (((0, 1), 2), 3)
    assert core.tree("reverse", 3) == ((2, 1), 0)
    assert core.tree("blocked(2)", 5) == (((0, 1), (2, 3)), 4)
    assert core.tree("pairwise", 6) == (((0, 1), (2, 3)), (4, 5))
    assert core.tree("split(3)", 7) == (((0, 1), (2, 3)), ((4, 5), 6))
    assert core.tree("strided(2)", 5) == (((0, 2), 4), (1, 3))
    with pytest.raises(ValueError, match="expected an order that is a tree, got 'kahan'"):
        core.tree("kahan", 3)


def reference_rules(order, rounding, format, fused=True, **options):
    return ref.Rules(rounding, order, format, fused, **options)


@pytest.mark.parametrize("rounding", core.ROUNDINGS)
@pytest.mark.parametrize("order", [*TREES, "kahan", "neumaier"])
def test_orders_by_reference(order, rounding):
    rng = np.random.default_rng(11)
    for n, format in ((0, "float32"), (1, "float64"), (13, "float32"), (41, "bfloat16"), (29, "float16")):
        a, b = (np.ldexp(rng.standard_normal((2, n)), rng.integers(-6, 6, (2, n))).astype(np.float32) for _ in "ab")
        options = {"seed": 5, "bits": 16, "variant": "b"} if rounding == "stochastic" else {}
        rules = reference_rules(order, rounding, format, **options)
        got = core.reduce(a, order, format, rounding, **options)
        # The result is the accumulator's value: in the reference, an output of the accumulator's format.
        want = [ref.reduce_element(row, rules, format, n=i) for i, row in enumerate(a.tolist())]
        assert same(got, want), (order, rounding, n, format, "reduce")
        for fused in (True, False) if order not in ("kahan", "neumaier") else (True,):
            rules = reference_rules(order, rounding, format, fused, **options)
            got = core.dot(a, b, order, format, rounding, fused, **options)
            pairs = [list(zip(x, y, strict=True)) for x, y in zip(a.tolist(), b.tolist(), strict=False)]
            want = [ref.reduce_element(row, rules, format, n=i) for i, row in enumerate(pairs)]
            assert same(got, want), (order, rounding, n, format, fused)


def test_integers_sum_exactly_in_every_order_and_rounding():
    x = np.random.default_rng(12).integers(-9, 10, 300).astype(np.float32)
    for order, rounding in itertools.product([*TREES, "kahan", "neumaier", "exact"], core.ROUNDINGS):
        assert core.reduce(x, order, rounding=rounding) == x.astype(np.float64).sum()
        assert core.dot(x, x, order, rounding=rounding) == (x.astype(np.float64) ** 2).sum()


def test_orders_and_fusion_differ_where_they_must():
    """Control: on rough data no two orders agree, nor do fused and unfused."""
    rng = np.random.default_rng(13)
    a, b = np.ldexp(rng.standard_normal((2, 30, 1000)), rng.integers(-9, 9, (2, 30, 1000))).astype(np.float32)
    rows = {order: core.dot(a, b, order).tobytes() for order in [*TREES, "kahan", "exact"]}
    assert len(set(rows.values())) == len(rows)
    assert (core.dot(a, b, "blocked(8)") != core.dot(a, b, "blocked(8)", fused=False)).any()


def test_reduce_surface():
    x16 = np.ones(3, np.float16)
    assert core.reduce(x16).dtype == np.float32 and core.reduce(x16, "exact").dtype == np.float16
    assert core.reduce(np.ones((2, 0, 5))).shape == (2, 0)
    assert core.dot(np.ones((4, 5)), np.ones(5)).shape == (4,)
    for call, message in (
        (lambda: core.reduce(1.0), "terms: expected at least one dimension"),
        (lambda: core.reduce([1.0], "exact", "float32"), "exact has no accumulator"),
        (lambda: core.dot([1.0], [1.0], "kahan", fused=False), "kahan has no fused word"),
        (lambda: core.reduce([1.0], "blocked(0)"), "from 1 to 2147483648"),
        (lambda: core.tree("pairwise", -1), "n: expected 0 to"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
