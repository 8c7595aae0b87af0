"""Arithmetic: its string, JSON, what it refuses, and that both parsers agree."""

import pickle
from itertools import product

import pytest

import fpdet
from fpdet import Arithmetic, Format, PassArithmetic, _core
from fpdet._arithmetic import FORMATS, ROUNDINGS, as_arithmetic

ORDERS = [
    "sequential",
    "reverse",
    "blocked(7)",
    "pairwise",
    "split(4)",
    "strided(8)",
    "shuffled(3)",
    "shuffled(3,vary=call)",
    "shuffled(18446744073709551615,vary=element)",
    "split(4).shuffled(7)",
    "kahan",
    "neumaier",
    "exact",
]


def every():
    for rounding, order in product(ROUNDINGS, ORDERS):
        accumulators = ("auto",) if order == "exact" else ("auto", *FORMATS, "e6p9")
        for accumulator in accumulators:
            yield Arithmetic(rounding, order, accumulator)
            if order not in ("kahan", "neumaier", "exact"):
                yield Arithmetic(rounding, order, accumulator, False)
    yield Arithmetic("stochastic", bits=8, variant="c", seed=2**64 - 1, keyed_by="operands")


def test_string_and_json_return_the_same():
    for a in every():
        assert Arithmetic.parse(str(a)) == a
        assert Arithmetic.from_json(a.to_json()) == a
        assert pickle.loads(pickle.dumps(a)) == a
        assert hash(Arithmetic.parse(str(a))) == hash(a)


def test_strings_differ():
    texts = [str(a) for a in every()]
    assert len(set(texts)) == len(texts)


def test_core_reads_every_string_as_it_is():
    for a in every():
        assert _core.parse_arithmetic(str(a))["text"] == str(a)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (Arithmetic(), "nearest_even blocked(512) auto fused"),
        (Arithmetic("toward_zero", "exact"), "toward_zero exact"),
        (Arithmetic("upward", "kahan", "float32"), "upward kahan float32"),
        (Arithmetic(order="pairwise(4)"), "nearest_even blocked(4) auto fused"),
        (Arithmetic(order="blocked(1)"), "nearest_even pairwise auto fused"),
        (Arithmetic("stochastic", seed=7), "stochastic blocked(512) auto fused seed=7"),
        (Arithmetic(accumulator=Format(5, 8)), "nearest_even blocked(512) e5p8 fused"),
    ],
)
def test_canonical_text(given, text):
    assert str(given) == text


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Arithmetic("nearest_evn"), ValueError, ["rounding", "did you mean 'nearest_even'"]),
        (lambda: Arithmetic(3), TypeError, ["rounding", "int"]),
        (lambda: Arithmetic(order="blokced(4)"), ValueError, ["order", "did you mean 'blocked'"]),
        (lambda: Arithmetic(order="blocked"), ValueError, ["order", "blocked(4)"]),
        (lambda: Arithmetic(order="blocked(0)"), ValueError, ["blocked", "got 0"]),
        (lambda: Arithmetic(order="kahan(3)"), ValueError, ["kahan takes no number"]),
        (lambda: Arithmetic(order="shuffled(1,vary=cal)"), ValueError, ["vary", "'call'"]),
        (lambda: Arithmetic(order=None), TypeError, ["order"]),
        (lambda: Arithmetic(accumulator="float23"), ValueError, ["accumulator", "float32"]),
        (lambda: Arithmetic(accumulator="e12p8"), ValueError, ["exponent_bits", "got 12"]),
        (lambda: Arithmetic(fused=1), TypeError, ["fused", "bool", "int"]),
        (lambda: Arithmetic(order="kahan", fused=False), ValueError, ["fused", "kahan"]),
        (lambda: Arithmetic(order="exact", fused=False), ValueError, ["fused", "exact"]),
        (lambda: Arithmetic(order="exact", accumulator="float64"), ValueError, ["accumulator", "exact"]),
        (lambda: Arithmetic("stochastic", bits=33), ValueError, ["bits", "[1, 32]", "33"]),
        (lambda: Arithmetic("stochastic", seed=-1), ValueError, ["seed", "-1"]),
        (lambda: Arithmetic("stochastic", variant="d"), ValueError, ["variant"]),
        (lambda: Arithmetic(seed=3), ValueError, ["seed", "stochastic"]),
        (lambda: Arithmetic.parse("upward exact float32"), ValueError, ["accumulator", "exact"]),
        (lambda: Arithmetic.parse("upward kahan auto fused"), ValueError, ["fused", "kahan"]),
        (lambda: Arithmetic.parse("upward sequential auto fusd"), ValueError, ["did you mean 'fused'"]),
        (lambda: Arithmetic.parse("stochastic exact sed=3"), ValueError, ["did you mean 'seed'"]),
        (lambda: Arithmetic.parse("stochastic exact seed=x"), ValueError, ["seed", "'x'"]),
        (lambda: Arithmetic.parse("a b c d e"), ValueError, ["expected"]),
        (lambda: Arithmetic.from_json('{"roundin": 3}'), ValueError, ["did you mean 'rounding'"]),
        (lambda: PassArithmetic(forward=3), TypeError, ["forward", "int"]),
        (lambda: as_arithmetic("upward exact | upward exact"), ValueError, ["grad_input"]),
        (lambda: as_arithmetic(3.5), TypeError, ["arithmetic", "float"]),
    ],
)
def test_refusals_name_argument_expected_got(make, error, words):
    with pytest.raises(error) as caught:
        make()
    for word in words:
        assert word in str(caught.value)


def test_passes_join_into_one_text():
    same = PassArithmetic("upward exact", "upward exact", "upward exact")
    assert str(same) == "upward exact"
    differ = PassArithmetic(grad_weight="downward exact")
    assert str(differ).count(" | ") == 2
    assert as_arithmetic(str(differ)) == differ


def test_frozen():
    with pytest.raises(AttributeError):
        Arithmetic().rounding = "upward"


def test_public_names_resolve():
    for name in fpdet.__all__:
        assert getattr(fpdet, name) is not None
    with pytest.raises(AttributeError, match="colour"):
        fpdet.colour  # noqa: B018


def test_core_needs_no_torch():
    import subprocess
    import sys

    code = "import fpdet.core, fpdet, sys; fpdet.Arithmetic(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
