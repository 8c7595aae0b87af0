"""The oracle against MPFR, published known answers, and cases worked out by hand."""

import itertools
import math
import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from fpdet import reference as R

gmpy2 = pytest.importorskip("gmpy2")

INF, NAN = math.inf, math.nan
MPFR_ROUND = {
    "nearest_even": gmpy2.RoundToNearest,
    "toward_zero": gmpy2.RoundToZero,
    "upward": gmpy2.RoundUp,
    "downward": gmpy2.RoundDown,
}
IEEE_FORMATS = [name for name in R.FORMATS if name != "float8_e4m3fn"] + ["e3p4", "e2p2", "e11p13", "e6p30"]


def mpfr_context(format, rounding):
    """MPFR set up as an IEEE format: its exponents count 0.1xxx, and subnormalize cuts the digits below 2^emin."""
    fmt = R.format_of(format)
    return gmpy2.context(
        precision=fmt.precision,
        emax=fmt.emax + 1,
        emin=fmt.emin - fmt.precision + 2,
        subnormalize=True,
        round=MPFR_ROUND[rounding],
    )


def same(x, y):
    return R.same(np.float64(x), np.float64(y))


def operands(format, rng, count):
    """Members of the format: random bits, edges, powers of two, small integers, and near-cancelling pairs."""
    fmt = R.format_of(format)
    edges = [fmt.max_finite, fmt.min_subnormal, 3 * fmt.min_subnormal, Fraction(2) ** fmt.emin]
    edges += [
        Fraction(2) ** fmt.emin - fmt.min_subnormal,
        Fraction(1),
        Fraction(3, 2),
        1 + Fraction(2) ** (1 - fmt.precision),
    ]
    values = [0.0, -0.0, INF, -INF, NAN] + [s * float(e) for e in edges for s in (1, -1)]
    while len(values) < count:
        exponent = int(rng.integers(fmt.emin - fmt.precision, fmt.emax + 1))
        if rng.random() < 0.5:
            exponent = int(rng.integers(-3, 4))
        digits = int(rng.integers(1, 2**fmt.precision)) * int(rng.choice([1, -1]))
        x = Fraction(digits) * Fraction(2) ** (exponent - fmt.precision + 1)
        values.append(R.round_exact(x, 1, format, "toward_zero"))
    return values


# --- Rounding and the four operations -------------------------------------------------------------------------------


@pytest.mark.parametrize("rounding", MPFR_ROUND)
@pytest.mark.parametrize("format", IEEE_FORMATS)
def test_operations_equal_mpfr(format, rounding):
    rng = np.random.default_rng(1)
    values = operands(format, rng, 60)
    checked_subnormal = checked_overflow = 0
    with gmpy2.context(mpfr_context(format, rounding)) as ctx:
        as_mpfr = {id(v): gmpy2.mpfr(v) for v in values}
        for _ in range(250):
            a, b, c = (values[int(i)] for i in rng.integers(0, len(values), 3))
            x, y, z = as_mpfr[id(a)], as_mpfr[id(b)], as_mpfr[id(c)]
            for ours, theirs in (
                (R.add(a, b, format, rounding), ctx.add(x, y)),
                (R.mul(a, b, format, rounding), ctx.mul(x, y)),
                (R.div(a, b, format, rounding), ctx.div(x, y)),
                (R.fma(a, b, c, format, rounding), ctx.fma(x, y, z)),
            ):
                assert same(ours, float(theirs)), (a, b, c, ours, float(theirs))
                checked_subnormal += 0 < abs(ours) < 2.0 ** max(R.format_of(format).emin, -1022)
                checked_overflow += abs(ours) in (INF, float(R.format_of(format).max_finite))
    assert checked_subnormal and checked_overflow


@pytest.mark.parametrize("rounding", MPFR_ROUND)
def test_operands_of_a_wider_format_are_not_rounded_on_entry(rounding):
    # Exact in 200 digits, then one rounding to bfloat16: rounding the operands first would differ.
    rng = np.random.default_rng(2)
    differs = 0
    for _ in range(200):
        a, b, c = rng.standard_normal(3)
        wide = gmpy2.mpfr(gmpy2.mpq(a) * gmpy2.mpq(b) + gmpy2.mpq(c), 300)
        with gmpy2.context(mpfr_context("bfloat16", rounding)):
            want = float(gmpy2.mpfr(wide))
        assert same(R.fma(a, b, c, "bfloat16", rounding), want)
        entry = [R.convert(v, "bfloat16", rounding) for v in (a, b, c)]
        differs += not same(R.fma(*entry, "bfloat16", rounding), want)
    assert differs


@pytest.mark.parametrize(("format", "dtype"), [("float16", np.float16), ("float32", np.float32)])
def test_conversion_equals_numpy(format, dtype):
    rng = np.random.default_rng(3)
    x = rng.standard_normal(400) * 2.0 ** rng.integers(-160, 130, 400)
    with np.errstate(over="ignore"):
        for v in x:
            assert same(R.convert(v, format), float(dtype(v)))


def test_nearest_away_and_to_odd_from_their_definitions():
    # float8_e5m2: 1, 1.25, 1.5, 1.75 are neighbours; the last bit of 1.25 and 1.75 is 1.
    table = {1.0: (1.0, 1.0), 1.125: (1.25, 1.25), 1.25: (1.25, 1.25), 1.3: (1.25, 1.25), 1.375: (1.5, 1.25)}
    table |= {1.45: (1.5, 1.25), 1.6: (1.5, 1.75), 1.9: (2.0, 1.75), 2.0: (2.0, 2.0)}
    for x, (away, odd) in table.items():
        for sign in (1, -1):
            assert R.convert(sign * x, "float8_e5m2", "nearest_away") == sign * away
            assert R.convert(sign * x, "float8_e5m2", "to_odd") == sign * odd
    tiny = R.FORMATS["float8_e5m2"].min_subnormal
    assert R.round_exact(tiny / 2, 1, "float8_e5m2", "nearest_away") == float(tiny)
    assert R.round_exact(tiny / 2, 1, "float8_e5m2", "nearest_even") == 0.0
    assert R.round_exact(tiny / 1000, 1, "float8_e5m2", "to_odd") == float(tiny)
    assert same(R.round_exact(-tiny / 1000, 1, "float8_e5m2", "toward_zero"), -0.0)


def test_round_to_odd_prevents_double_rounding():
    rng = np.random.default_rng(4)
    for _ in range(500):
        x = Fraction(int(rng.integers(1, 2**60))) / 2**30
        for rounding in MPFR_ROUND:
            odd = R.round_exact(x, 1, "e11p14", "to_odd")
            assert R.convert(odd, "e11p12", rounding) == R.round_exact(x, 1, "e11p12", rounding)


def test_overflow_by_rounding():
    top = 65504.0
    want = {
        "nearest_even": (INF, -INF),
        "nearest_away": (INF, -INF),
        "toward_zero": (top, -top),
        "upward": (INF, -top),
        "downward": (top, -INF),
        "to_odd": (top, -top),
    }
    for rounding, (positive, negative) in want.items():
        for x in (70000.0, 1e300):
            assert R.convert(x, "float16", rounding) == positive
            assert R.convert(-x, "float16", rounding) == negative
        assert R.convert(INF, "float16", rounding) == INF
    assert R.convert(65520.0, "float16") == INF  # a tie between 65504 and 65536
    assert R.convert(math.nextafter(65520.0, 0), "float16") == top
    assert R.convert(1e300, "float16", "stochastic", 0) == INF
    assert R.convert(65512.0, "float16", "stochastic", 0, 8) == top  # d = 1/4
    assert R.convert(65512.0, "float16", "stochastic", 255, 8) == INF


def test_float8_e4m3fn_has_no_infinity():
    assert R.convert(464.0, "float8_e4m3fn") == 448.0  # a tie, 448 is even
    assert math.isnan(R.convert(465.0, "float8_e4m3fn"))
    assert R.convert(1e9, "float8_e4m3fn", "toward_zero") == 448.0
    assert R.convert(1e9, "float8_e4m3fn", "to_odd") == 448.0
    assert math.isnan(R.convert(449.0, "float8_e4m3fn", "upward"))
    assert R.convert(-449.0, "float8_e4m3fn", "upward") == -448.0
    assert math.isnan(R.convert(INF, "float8_e4m3fn", "toward_zero"))
    assert math.isnan(R.div(1.0, 0.0, "float8_e4m3fn"))


def test_signs_of_zero():
    for rounding in R.ROUNDINGS:
        cancelled = -0.0 if rounding == "downward" else 0.0
        random = 0 if rounding == "stochastic" else None
        for x, y, want in (
            (1.0, -1.0, cancelled),
            (0.0, -0.0, cancelled),
            (-0.0, -0.0, -0.0),
            (0.0, 0.0, 0.0),
        ):
            assert same(R.add(x, y, "float32", rounding, random), want)
            assert same(R.fma(x, 1.0, y, "float32", rounding, random), want)
        assert same(R.mul(-0.0, 3.0, "float32", rounding, random), -0.0)
        assert same(R.fma(-0.0, 3.0, 0.0, "float32", rounding, random), cancelled)
        assert same(R.div(3.0, -INF, "float32", rounding, random), -0.0)


@pytest.mark.parametrize("variant", "abc")
@pytest.mark.parametrize("bits", [1, 3, 6])
def test_stochastic_counts_of_away(variant, bits):
    """Of the 2^N values of R, exactly floor, half-up or half-even of d*2^N round away."""
    for numerator in range(1, 512):
        d = Fraction(numerator, 512)
        counts = {
            "a": math.floor(d * 2**bits),
            "b": math.floor(d * 2**bits + Fraction(1, 2)),
            "c": round(d * 2**bits),
        }
        away = [R.away_from_zero("stochastic", False, False, d, r, bits, variant) for r in range(2**bits)]
        assert sum(away) == counts[variant]
        assert away == sorted(away)  # the largest R round away


def test_stochastic_below_the_least_subnormal_and_on_exact_values():
    tiny = R.FORMATS["float16"].min_subnormal
    results = [R.round_exact(-tiny / 4, 1, "float16", "stochastic", r, 4) for r in range(16)]
    assert results.count(-float(tiny)) == 4 and sum(same(v, -0.0) for v in results) == 12
    assert all(R.convert(1.5, "float16", "stochastic", r, 2) == 1.5 for r in range(4))


@pytest.mark.parametrize("bad", ["e1p3", "e12p3", "e5p1", "e5p54", "float128"])
def test_format_words_are_checked(bad):
    with pytest.raises(ValueError, match="format"):
        R.format_of(bad)


# --- Philox and random bits -----------------------------------------------------------------------------------------


def test_philox_known_answers():
    """Random123's kat_vectors, philox4x32 with 10 rounds."""
    ones = 0xFFFFFFFF
    pi = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344)
    assert R.philox((0, 0), (0, 0, 0, 0)) == (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)
    assert R.philox((ones, ones), (ones,) * 4) == (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)
    assert R.philox((0xA4093822, 0x299F31D0), pi) == (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)


def test_random_bits_are_the_top_bits_of_lanes():
    key = R.element_key(seed=7, counter=5, pass_tag=1, n=2, element=3)
    k1 = R.philox((7, 0), (5, 0, 1, 2))
    assert key == R.philox(k1[:2], (3, 0, k1[2], k1[3]))
    block0 = R.philox(key[:2], (0, 0, key[2], key[3]))
    block1 = R.philox(key[:2], (1, 0, key[2], key[3]))
    assert [R.random_bits(key, e, 32) for e in range(8)] == [*block0, *block1]
    assert [R.random_bits(key, e, 16) for e in range(3)] == [block0[0] & 0xFFFF, block0[0] >> 16, block0[1] & 0xFFFF]
    assert R.random_bits(key, 16 + 5, 8) == block1[1] >> 8 & 0xFF
    assert R.random_bits(key, 16 + 5, 3) == (block1[1] >> 8 & 0xFF) >> 5
    assert R.random_bits(key, 1, 20) == block0[1] >> 12


def test_neighbours_share_the_blocks_of_an_elementwise_op():
    key = R.sample_key(seed=7, counter=5, pass_tag=6, n=2)
    assert key == R.philox((7, 0), (5, 0, 6, 2))

    def block(number, event):
        return R.philox(key[:2], (number, 0, key[2] ^ event, key[3]))

    assert [R.elementwise_bits(key, i, 0, 32) for i in range(8)] == [*block(0, 0), *block(1, 0)]
    assert [R.elementwise_bits(key, i, 3, 32) for i in range(4)] == [*block(0, 3)]
    assert R.elementwise_bits(key, 8 + 3, 1, 16) == block(1, 1)[1] >> 16
    assert R.elementwise_bits(key, 16 + 5, 0, 3) == (block(1, 0)[1] >> 8 & 0xFF) >> 5
    assert R.elementwise_bits(key, -1, 0, 32) == R.philox(key[:2], (2**32 - 1, 2**30 - 1, *key[2:]))[3]


def test_an_elementwise_op_draws_by_place_in_the_batch():
    x = np.full((3, 5), 1 + 2.0**-9)
    rules = R.Rules("stochastic", seed=7, counter=5, bits=16, batch_offset=4)
    key = R.sample_key(7, 5, R.ROUND, 0)
    draws = [R.elementwise_bits(key, 4 * 5 + i, 0, 16) for i in range(15)]
    want = [R.convert(1 + 2.0**-9, "bfloat16", "stochastic", r, 16) for r in draws]
    assert R.round_tensor(x, "bfloat16", rules).ravel().tolist() == want
    assert len(set(want)) == 2
    buffer = np.zeros(2)
    got, _ = R.sgd_step(x[0, :2], x[0, :2], buffer, lr=0.1, momentum=0.9, n=3, rules=rules, dtype="float32")
    key = R.sample_key(7, 5, R.SGD, 3)
    for i in range(2):
        rounder = R.Rounder("float32", "stochastic", lambda event, *_, i=i: R.elementwise_bits(key, i, event, 16), 16)
        step = R.convert(0.1, "float32")
        assert got[i] == rounder.fma(-step, 1 + 2.0**-9, 1 + 2.0**-9, 11)


def test_operand_keys_depend_on_operation_operands_and_seed_only():
    bits = R.operand_bits(7, "add", (1.0, 2.0), 32)
    others = {
        R.operand_bits(*args, 32) for args in ((7, "mul", (1.0, 2.0)), (7, "add", (2.0, 1.0)), (8, "add", (1.0, 2.0)))
    }
    assert bits not in others and len(others) == 3
    rules = R.Rules("stochastic", "sequential", "bfloat16", bits=8, seed=7, keyed_by="operands")
    x = np.full((3, 1, 1, 2), 1 / 3, np.float32)
    w = np.full((2, 1, 1, 1), 1 / 7, np.float32)
    assert len(set(R.convolution(x, w, rules=rules).reshape(-1))) == 1


# --- Orders ---------------------------------------------------------------------------------------------------------

TREES = {
    ("sequential", 4): "(((0 1) 2) 3)",
    ("reverse", 4): "(((3 2) 1) 0)",
    ("blocked(2)", 5): "(((0 1) (2 3)) 4)",
    ("blocked(512)", 3): "((0 1) 2)",
    ("pairwise", 7): "(((0 1) (2 3)) ((4 5) 6))",
    ("pairwise", 6): "(((0 1) (2 3)) (4 5))",
    ("pairwise(3)", 7): "((((0 1) 2) ((3 4) 5)) 6)",
    ("split(3)", 7): "(((0 1) (2 3)) ((4 5) 6))",
    ("split(4)", 6): "(((0 (1 2)) 3) (4 5))",
    ("split(5)", 2): "(0 1)",
    ("strided(3)", 8): "((((0 3) 6) ((1 4) 7)) (2 5))",
    ("strided(8)", 3): "((0 1) 2)",
    ("sequential", 1): "0",
    ("pairwise", 0): "()",
}


@pytest.mark.parametrize(("order", "T"), TREES)
def test_trees(order, T):
    assert R.tree_text(R.tree(order, T)) == TREES[order, T]


def leaves(tree):
    return [tree] if isinstance(tree, int) else [leaf for part in tree for leaf in leaves(part)]


@pytest.mark.parametrize(
    "order", ["shuffled(3)", "shuffled(3,vary=call)", "shuffled(3,vary=element)", "split(4).shuffled(3)", "strided(4)"]
)
def test_every_term_occurs_once(order):
    for T in range(1, 40):
        assert sorted(leaves(R.tree(order, T, counter=2, pass_tag=1, n=3, element=4))) == list(range(T))


def test_shuffled_orders_and_what_they_depend_on():
    words = {i: R.philox((3, 0), (i, 0, 0, 0)) for i in range(9)}
    assert leaves(R.tree("shuffled(3)", 9)) == sorted(words, key=lambda i: words[i][0] + (words[i][1] << 32))
    fixed = {leaves_of("shuffled(3)", c, e) for c, e in itertools.product(range(3), range(3))}
    call = {leaves_of("shuffled(3,vary=call)", c, e) for c, e in itertools.product(range(3), range(3))}
    element = {leaves_of("shuffled(3,vary=element)", c, e) for c, e in itertools.product(range(3), range(3))}
    assert (len(fixed), len(call), len(element)) == (1, 3, 9)
    assert not fixed & call
    # Parts of split(4) over 8 terms, in the order of their numbers' Philox values.
    arrival = sorted(range(4), key=lambda j: words[j][0] + (words[j][1] << 32))
    assert leaves(R.tree("split(4).shuffled(3)", 8)) == [t for j in arrival for t in (2 * j, 2 * j + 1)]


def leaves_of(order, counter, element):
    return tuple(leaves(R.tree(order, 9, counter=counter, element=element)))


def test_order_words():
    assert R.parse_order("pairwise") == R.parse_order(("blocked", 1)) == R.parse_order("blocked(1)")
    assert R.parse_order(("shuffled", 5)) == R.parse_order("shuffled(5)")
    bad = [
        "blocked",
        "blocked(0)",
        "split()",
        "shuffled",
        "shuffled(1,vary=never)",
        "blocked(4).shuffled(1)",
        "Exact",
        "",
    ]
    for word in bad:
        with pytest.raises(ValueError, match="order"):
            R.parse_order(word)
    for word in ("kahan", "neumaier", "exact"):
        with pytest.raises(ValueError, match="not a tree"):
            R.tree(word, 3)


# --- One output element ---------------------------------------------------------------------------------------------


def reduce(terms, order="sequential", rounding="nearest_even", accumulator="float32", dtype="float32", bias=None, **kw):
    return R.reduce_element(list(terms), R.Rules(rounding, order, accumulator, **kw), dtype, bias)


def test_order_and_rounding_by_hand():
    # float8_e5m2 has 3 digits: 4 + 0.5 is a tie between 4 and 5, 4 is even.
    terms = [4.0, 0.5, 0.5]
    small = {"accumulator": "float8_e5m2"}
    assert reduce(terms, **small) == 4.0
    assert reduce(terms, "reverse", **small) == 5.0
    assert reduce(terms, rounding="upward", **small) == 6.0
    assert reduce(terms, rounding="nearest_away", **small) == 6.0
    assert reduce(terms, rounding="toward_zero", **small) == 4.0
    assert reduce([4.0, 0.5, 0.5, 0.5], "pairwise", **small) == 5.0
    assert reduce(terms, bias=0.5, **small) == 4.0
    assert reduce(terms, "exact", bias=0.5) == 5.5


def test_fused_and_unfused_by_hand():
    terms = [(1.25, 1.25), (1.0, -1.5)]  # 1.5625 - 1.5; 1.5625 rounds to 1.5 in three digits
    assert reduce(terms, accumulator="float8_e5m2", fused=False) == 0.0
    assert reduce([(1.0, -1.5), (1.25, 1.25)], accumulator="float8_e5m2", fused=True) == 0.0625


def test_a_run_starts_at_plus_zero():
    assert same(reduce([-0.0]), 0.0)
    assert same(reduce([-0.0], rounding="downward"), -0.0)
    assert same(reduce([(-0.0, 1.0)], rounding="toward_zero", fused=False), 0.0)
    assert same(reduce([]), 0.0)
    assert same(reduce([], bias=-0.0), 0.0)


def test_conversion_rounds_once_more():
    third = 1 / 3
    assert reduce([third], accumulator="float64", rounding="upward") == R.convert(third, "float32", "upward")
    assert reduce([third], accumulator="bfloat16") == R.convert(third, "bfloat16")
    assert reduce([third], accumulator="auto", dtype="float64") == third
    assert reduce([1.0, 2.0**-10], accumulator="auto", dtype="bfloat16", rounding="upward") == 1 + 2.0**-7


def mpfr_chain(products, rounding, format):
    """Fused sequential sum by MPFR."""
    with gmpy2.context(mpfr_context(format, rounding)) as ctx:
        acc = gmpy2.mpfr(0.0)
        for a, b in products:
            acc = ctx.fma(gmpy2.mpfr(a, 53), gmpy2.mpfr(b, 53), acc)
        return float(acc)


@pytest.mark.parametrize("rounding", MPFR_ROUND)
@pytest.mark.parametrize("format", ["float32", "bfloat16", "float16"])
def test_sequential_dot_equals_mpfr(format, rounding):
    rng = np.random.default_rng(6)
    products = [tuple(map(float, rng.standard_normal(2).astype(np.float16))) for _ in range(60)]
    ours = reduce(products, accumulator=format, dtype=format, rounding=rounding)
    assert same(ours, mpfr_chain(products, rounding, format))


@pytest.mark.parametrize("rounding", MPFR_ROUND)
@pytest.mark.parametrize("kind", ["gaussian", "cancelling", "few_bits", "subnormal", "zeros", "overflow"])
def test_exact_equals_mpfr_sum(kind, rounding):
    rng = np.random.default_rng(7)
    for _ in range(20):
        x = rng.standard_normal(12).astype(np.float32).astype(np.float64)
        if kind == "cancelling":
            x = x * 2.0 ** rng.integers(-60, 60, 12)
            x = rng.permutation(np.concatenate([x, -x, [2.0**-80] * int(rng.integers(0, 2))]))
        elif kind == "few_bits":
            x = rng.integers(-4, 5, 12) / 4
        elif kind == "subnormal":
            x = rng.integers(-5, 6, 12) * 2.0**-150
        elif kind == "zeros":
            x = rng.choice([0.0, -0.0], 2)
        elif kind == "overflow":
            x = rng.choice([3e38, -3e38], 5)
        summands = [gmpy2.mpfr(float(v), 53) for v in x]
        with gmpy2.context(mpfr_context("float32", rounding)):
            want = float(gmpy2.fsum(summands))
        terms = [float(v) for v in x]
        assert same(reduce(terms, "exact", rounding), want), terms
        assert same(reduce([(v, 1.0) for v in terms[1:]], "exact", rounding, bias=terms[0]), want)


def test_exact_specials():
    for rounding in R.ROUNDINGS:
        mixed = -0.0 if rounding == "downward" else 0.0
        for terms, want in (
            ([(INF, 1.0), (1.0, 2.0)], INF),
            ([(INF, 1.0), (INF, -1.0)], NAN),
            ([(INF, 0.0)], NAN),
            ([(NAN, 0.0)], NAN),
            ([(-0.0, 1.0), (2.0, -0.0)], -0.0),
            ([(-0.0, 1.0), (2.0, 0.0)], mixed),
            ([(2.0, 3.0), (-6.0, 1.0)], mixed),
            ([], 0.0),
        ):
            assert same(reduce(terms, "exact", rounding), want)
    assert same(reduce([(-0.0, 1.0)], "exact", bias=-0.0), -0.0)
    assert same(reduce([(1.0, 1.0)], "exact", bias=-INF), -INF)


def test_kahan_and_neumaier_by_hand():
    # float8_e5m2 (3 digits, ties to even). Kahan on 4, 0.5, 0.5: after 4+0.5 -> 4, c = (4-4)-0.5 = -0.5;
    # then y = 0.5+0.5 = 1, u = 5, c = (5-4)-1 = 0.
    assert reduce([4.0, 0.5, 0.5], "kahan", accumulator="float8_e5m2") == 5.0
    assert reduce([4.0, 0.5, 0.5], "neumaier", accumulator="float8_e5m2") == 5.0
    # Neumaier keeps what Kahan loses: 1, M, 1, -M.
    terms = [1.0, 2.0**30, 1.0, -(2.0**30)]
    assert reduce(terms, "kahan") == 0.0
    assert reduce(terms, "neumaier") == 2.0
    assert math.isnan(reduce([3e38, 3e38], "kahan", bias=0.0)) is False  # the sum itself is an infinity
    assert reduce([3e38, 3e38], "kahan") == INF
    assert math.isnan(reduce([3e38, 3e38], "neumaier"))  # INF - INF in the compensation
    assert math.isnan(reduce([3e38, 3e38, 1.0], "kahan"))


def test_kahan_equals_python_doubles():
    rng = np.random.default_rng(8)
    x = [float(v) for v in rng.standard_normal(100) * 10.0 ** rng.integers(-8, 8, 100)]
    s = c = 0.0
    for t in x:
        y = t - c
        u = s + y
        c = (u - s) - y
        s = u
    assert reduce(x, "kahan", accumulator="float64", dtype="float64") == s
    s = c = 0.0
    for t in x:
        u = s + t
        c += (s - u) + t if abs(s) >= abs(t) else (t - u) + s
        s = u
    assert reduce(x, "neumaier", accumulator="float64", dtype="float64") == s + c


# --- Events ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "fused", "events"),
    [
        ("sequential", True, [1, 3, 5, 6, 7]),
        ("sequential", False, [0, 1, 2, 3, 4, 5, 6, 7]),
        ("reverse", False, [4, 5, 2, 3, 0, 1, 6, 7]),
        ("pairwise", True, [1, 3, 5, 6, 7, 8, 9]),
        ("kahan", True, [0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 16, 17, 18, 19, 20, 25, 26]),
        ("neumaier", True, [0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 16, 17, 18, 19, 20, 24, 25, 26]),
        ("exact", True, [7]),
    ],
)
def test_events_of_three_products_and_a_bias(monkeypatch, order, fused, events):
    seen = []
    monkeypatch.setattr("fpdet.reference.reduction.random_bits", lambda key, event, bits: seen.append(event) or 0)
    rules = R.Rules("stochastic", order, "float32", fused, pass_tag=0)
    R.reduce_element([(1 / 3, 1 / 7)] * 3, rules, "bfloat16", bias=1 / 9)
    assert seen == events


def test_stochastic_sum_by_hand():
    rules = R.Rules("stochastic", "sequential", "bfloat16", bits=8, seed=9, counter=4, pass_tag=2)
    key = R.element_key(9, 4, 2, 5, 6)
    acc = R.fma(1 / 3, 1 / 7, 0.0, "bfloat16", "stochastic", R.random_bits(key, 1, 8), 8)
    acc = R.fma(1 / 3, 1 / 9, acc, "bfloat16", "stochastic", R.random_bits(key, 3, 8), 8)
    assert R.reduce_element([(1 / 3, 1 / 7), (1 / 3, 1 / 9)], rules, "bfloat16", n=5, element=6) == acc


# --- Convolution ----------------------------------------------------------------------------------------------------


def integers(rng, *shape):
    return rng.integers(-8, 9, shape).astype(np.float64)


def scatter_forward(x, w, b, stride, padding, dilation, groups, out):
    """Another way to the same integers: every product is added where it belongs."""
    N, K, axes = x.shape[0], w.shape[0], x.ndim - 2
    y = np.zeros((N, K, *out)) + (0 if b is None else b.reshape(1, K, *[1] * axes))
    per_group = K // groups
    for k in range(K):
        for c in range(w.shape[1]):
            for r in itertools.product(*map(range, w.shape[2:])):
                for h in itertools.product(*map(range, x.shape[2:])):
                    o = [h[a] + padding[a] - r[a] * dilation[a] for a in range(axes)]
                    if all(o[a] % stride[a] == 0 and 0 <= o[a] // stride[a] < out[a] for a in range(axes)):
                        at = tuple(o[a] // stride[a] for a in range(axes))
                        y[(slice(None), k, *at)] += (
                            x[(slice(None), k // per_group * w.shape[1] + c, *h)] * w[(k, c, *r)]
                        )
    return y


CONVS = [
    dict(x=(2, 3, 7), w=(4, 3, 3), stride=(2,), padding=(1,), dilation=(1,), groups=1),
    dict(x=(1, 4, 8), w=(4, 2, 2), stride=(3,), padding=(0,), dilation=(2,), groups=2),
    dict(x=(2, 2, 5, 6), w=(2, 1, 3, 2), stride=(1, 2), padding=(2, 1), dilation=(1, 1), groups=2),
    dict(x=(1, 2, 4, 5), w=(4, 2, 1, 2), stride=(3, 2), padding=(0, 1), dilation=(1, 2), groups=1),
    dict(x=(1, 2, 3, 4, 3), w=(2, 1, 2, 2, 2), stride=(1, 2, 1), padding=(0, 1, 1), dilation=(1, 1, 2), groups=2),
]


@pytest.mark.parametrize("case", CONVS)
def test_convolution_passes_on_integers(case):
    rng = np.random.default_rng(9)
    x, w = integers(rng, *case["x"]), integers(rng, *case["w"])
    b = integers(rng, w.shape[0])
    settings = {k: case[k] for k in ("stride", "padding", "dilation", "groups")}
    y = R.convolution(x, w, b, **settings)
    assert np.array_equal(y, scatter_forward(x, w, b, *settings.values(), y.shape[2:]))
    dy = integers(rng, *y.shape)
    dx = R.convolution_grad_input(dy, w, x.shape[2:], **settings)
    dw = R.convolution_grad_weight(dy, x, w.shape[2:], **settings)
    # <dy, conv(x', w)> is linear in x' and w': the gradients are its coefficients.
    probe, probe_w = integers(rng, *x.shape), integers(rng, *w.shape)
    assert np.sum(dx * probe) == np.sum(dy * R.convolution(probe, w, **settings))
    assert np.sum(dw * probe_w) == np.sum(dy * R.convolution(x, probe_w, **settings))
    assert np.array_equal(R.channel_sum(dy), dy.sum(axis=(0, *range(2, dy.ndim))))


@pytest.mark.parametrize("case", CONVS)
def test_conv_transpose_is_the_adjoint_with_a_bias(case):
    rng = np.random.default_rng(10)
    w, axes = integers(rng, *case["w"]), len(case["x"]) - 2
    settings = {k: case[k] for k in ("stride", "padding", "dilation", "groups")}
    v = integers(rng, 1, w.shape[0], *[3] * axes)
    b = integers(rng, w.shape[1] * case["groups"])
    extra = tuple(s - 1 for s in settings["stride"])
    y = R.conv_transpose(v, w, b, output_padding=extra, **settings)
    back = R.convolution_grad_input(v, w, y.shape[2:], **settings)
    assert np.array_equal(y, back + b.reshape(1, -1, *[1] * axes))
    want = [
        (3 - 1) * s - 2 * p + d * (k - 1) + e + 1
        for s, p, d, k, e in zip(
            settings["stride"], settings["padding"], settings["dilation"], w.shape[2:], extra, strict=True
        )
    ]
    assert list(y.shape[2:]) == want


def test_order_of_the_terms_of_each_pass(monkeypatch):
    """Operands that name their own index show which products are summed, and in which order."""
    seen = []
    monkeypatch.setattr("fpdet.reference.conv.reduce_element", lambda terms, *_: seen.append(terms) or 0.0)
    x = np.arange(1.0, 13.0).reshape(1, 2, 6)
    w = np.arange(101.0, 107.0).reshape(1, 2, 3)
    R.convolution(x, w, stride=2, padding=1)
    assert seen[0] == [(101.0, 0.0), (102.0, 1.0), (103.0, 2.0), (104.0, 0.0), (105.0, 7.0), (106.0, 8.0)]
    seen.clear()
    dy = np.arange(1.0, 7.0).reshape(1, 2, 3)
    w = np.arange(101.0, 107.0).reshape(2, 1, 3)
    R.convolution_grad_input(dy, w, (6,), stride=2, padding=1)
    # Position 0 is met by tap 1 alone, position 1 by taps 0 and 2: (k, r), those that the stride lets meet.
    assert seen[0] == [(102.0, 1.0), (105.0, 4.0)]
    assert seen[1] == [(101.0, 2.0), (103.0, 1.0), (104.0, 5.0), (106.0, 4.0)]
    assert seen[5] == [(101.0, 0.0), (103.0, 3.0), (104.0, 0.0), (106.0, 6.0)]  # outside the grid: +0, taking part
    seen.clear()
    x = np.arange(1.0, 9.0).reshape(2, 1, 4)
    dy = np.arange(101.0, 105.0).reshape(2, 1, 2)
    R.convolution_grad_weight(dy, x, (3,), stride=2, padding=1)
    assert seen[0] == [(101.0, 0.0), (102.0, 2.0), (103.0, 0.0), (104.0, 6.0)]


def test_a_stride_that_skips_inputs_leaves_plus_zero_or_the_bias():
    dy = np.ones((1, 1, 2), np.float32)
    w = np.ones((1, 1, 1), np.float32)
    for rounding in R.ROUNDINGS:
        dx = R.convolution_grad_input(dy, w, (5,), stride=3, rules=R.Rules(rounding))
        assert R.same(dx, np.array([[[1.0, 0, 0, 1, 0]]]))
    y = R.conv_transpose(dy, w, np.array([0.25]), stride=3)
    assert R.same(y, np.array([[[1.25, 0.25, 0.25, 1.25]]]))


def test_padding_takes_part():
    x, w = np.ones((1, 1, 1), np.float32), np.full((1, 1, 3), -INF, np.float32)
    w[0, 0, 1] = 1
    assert np.isnan(R.convolution(x, w, padding=1)).all()
    w = np.array([[[-1.0, -0.0, -1.0]]], np.float32)
    assert same(R.convolution(x, w, padding=1, rules=R.Rules("downward"))[0, 0, 0], -0.0)
    assert same(R.convolution(x, w, padding=1, rules=R.Rules(order="exact"))[0, 0, 0], -0.0)
    assert same(R.convolution(x, w, padding=1)[0, 0, 0], 0.0)


def test_output_size_says_what_follows_the_input():
    x, w = np.arange(1.0, 5.0).reshape(1, 1, 4), np.array([[[1.0, 10.0]]])
    assert R.convolution(x, w, output_size=(4,)).tolist() == [[[21.0, 32.0, 43.0, 4.0]]]


def test_a_slice_of_the_batch_reproduces_with_batch_offset():
    rng = np.random.default_rng(11)
    x, w = rng.standard_normal((3, 2, 4)).astype(np.float32), rng.standard_normal((2, 2, 3)).astype(np.float32)
    rules = R.Rules("stochastic", "shuffled(1,vary=element)", "bfloat16", seed=3, counter=8)
    whole = R.convolution(x, w, padding=1, rules=rules)
    sliced = R.convolution(x[2:], w, padding=1, rules=R.Rules(**{**vars(rules), "batch_offset": 2}))
    assert R.same(whole[2:], sliced)
    assert not R.same(whole[2:], R.convolution(x[2:], w, padding=1, rules=rules))


# --- Elementwise ops and SGD ----------------------------------------------------------------------------------------


def test_add_and_round_tensors():
    a, b = np.array([1.0, -0.0, INF], np.float32), np.array([2.0**-30, 0.0, -INF], np.float32)
    up = float(np.nextafter(np.float32(1), np.float32(2)))
    assert R.same(R.add_tensors(a, b, R.Rules("upward")), np.array([up, 0.0, NAN]))
    assert R.same(R.add_tensors(a, b, R.Rules("downward")), np.array([1.0, -0.0, NAN]))
    x = np.array([[1.0 + 2.0**-9, -0.0], [NAN, -1e-45]], np.float32)
    assert R.same(R.round_tensor(x, "bfloat16", R.Rules("upward")), np.array([[1 + 2.0**-7, -0.0], [NAN, -0.0]]))
    # bfloat16 has numbers that float16 lacks: 65504 goes to 65536, and back in float16 to infinity.
    assert R.round_tensor(np.array([65504.0], np.float16), "bfloat16")[0] == INF
    with pytest.raises(TypeError):
        R.round_tensor(np.arange(3), "bfloat16")


def numpy_sgd(p, g, buf, lr, momentum, dampening, weight_decay, nesterov, maximize, first):
    """torch.optim.SGD's single-tensor loop on float64 arrays, not fused."""
    g = -g if maximize else g
    if weight_decay:
        g = g + p * weight_decay
    if momentum:
        buf = g.copy() if first else buf * momentum + g * (1 - dampening)
        g = g + buf * momentum if nesterov else buf
    return p + g * -lr, buf


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 5e-4])
@pytest.mark.parametrize(("momentum", "dampening", "nesterov"), [(0, 0, False), (0.9, 0.1, False), (0.9, 0, True)])
def test_sgd_equals_numpy_in_float64(momentum, dampening, nesterov, weight_decay, maximize):
    rng = np.random.default_rng(12)
    ours = theirs = (rng.standard_normal(5), None)
    settings = dict(lr=0.1, momentum=momentum, dampening=dampening, weight_decay=weight_decay)
    settings |= dict(nesterov=nesterov, maximize=maximize)
    for step in range(3):
        g = rng.standard_normal(5)
        ours = R.sgd_step(ours[0], g, ours[1], **settings, first_step=step == 0, rules=R.Rules(fused=False))
        theirs = numpy_sgd(theirs[0], g, theirs[1], **settings, first=step == 0)
        assert R.same(ours[0], theirs[0])
        assert (ours[1] is None) == (momentum == 0) and (momentum == 0 or R.same(ours[1], theirs[1]))


def test_sgd_by_hand():
    p, g = np.float32([1.0]), np.float32([1.0])
    lr = float(np.float32(0.1))
    fused, _ = R.sgd_step(p, g, lr=0.1)
    assert fused[0] == R.fma(-lr, 1.0, 1.0, "float32")
    # The scalar is rounded to nearest whatever the rounding of the operations.
    for rounding in MPFR_ROUND:
        new, _ = R.sgd_step(p, g, lr=0.1, rules=R.Rules(rounding))
        assert new[0] == R.fma(-lr, 1.0, 1.0, "float32", rounding)
    third = R.div(1.0, 3.0, "float32")
    new, _ = R.sgd_step(p, g, lr=0.1, rescale=3)
    assert new[0] == R.fma(-R.convert(0.1 * 3.0, "float32"), third, 1.0, "float32")
    same_bits, _ = R.sgd_step(p, g, lr=0.1, rescale=4)
    assert same_bits[0] == fused[0]  # powers of two do not disturb


def test_sgd_events(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "fpdet.reference.reduction.elementwise_bits", lambda key, position, event, bits: seen.append(event) or 0
    )
    x, third = np.full(1, 1 / 3), np.full(1, 1 / 7)
    settings = dict(lr=0.1, momentum=0.9, dampening=0.0, weight_decay=0.01, nesterov=True, rescale=3)
    settings |= dict(dtype="bfloat16")
    R.sgd_step(x, third, x, **settings, rules=R.Rules("stochastic", fused=False))
    assert sorted(seen) == [0, 1, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13]
    seen.clear()
    R.sgd_step(x, third, x, **settings, rules=R.Rules("stochastic"))
    assert sorted(seen) == [1, 3, 5, 7, 9, 11, 12, 13]


# --- The package itself ---------------------------------------------------------------------------------------------


def test_the_oracle_needs_neither_torch_nor_compiled_code():
    code = "import sys, fpdet.reference; print(sorted(m for m in sys.modules if m == 'torch' or m == 'fpdet._core'))"
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == "[]"
