# SPDX-License-Identifier: MIT
"""What correct rounding of the elementary functions rests on: bounds against MPFR, records of the runs over all inputs,
constants; and planted mistakes that these checks must see."""

import json
import re
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from benchmarks import prove
from fpdet import core, reference
from fpdet.reference import functions as oracle

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "csrc" / "build"))
TRANSCENDENTAL = [word for word in core.FUNCTIONS if word not in ("sqrt", "rsqrt", "reciprocal")]
RECORDS = sorted(prove.RECORDS.glob("*.json"))
PRECISION = 1200  # of MPFR: enclosures near 0 have errors down to 2^-520 of the value
LEAST = Fraction(1, 2**182)
ACCURATE, FAST = "outside the bound", "fast outside the bound"
SAMPLE = 2**9


def patterns(count):
    """float32 patterns: half of them spread over all, half over 2^-30 ... 2^8 of either sign."""
    spread = np.arange(count // 2, dtype=np.uint64) * (2**32 // (count // 2)) + 12345
    exponents = np.arange(count // 2, dtype=np.uint64)
    moderate = (97 << 23) + exponents * ((38 << 23) // (count // 2)) + 4321
    moderate |= (exponents % 2) << 31
    return [int(x) for x in (*spread, *moderate)]


def value(pattern):
    return float(np.array(pattern, np.uint32).view(np.float32))


def compiled(name, include, folder):
    """csrc/prove/NAME.cpp with the headers under `include`, unoptimised."""
    import plan

    flags = [*plan.HOST_FLAGS, "-O0", *(plan.INSTRUCTION_SETS["avx2"] if _runs("avx2") else [])]
    source = ROOT / "csrc" / "prove" / f"{name}.cpp"
    command = [plan.Plan(folder).compiler, *flags, f"-I{include}", str(source), "-o", str(folder / name)]
    subprocess.run(command, check=True)
    return folder / name


def enclosures(include, folder, asked):
    """(c, d.hi, d.lo, error, fast) or None for each (word, pattern), by the headers under `include`."""
    lines = "".join(f"{word} {pattern}\n" for word, pattern in asked)
    program = compiled("enclosures", include, folder)
    done = subprocess.run([program], input=lines, capture_output=True, text=True, check=True)
    answers = done.stdout.splitlines()
    assert len(answers) == len(asked)
    return [None if line == "number" else tuple(map(float.fromhex, line.split())) for line in answers]


def _runs(word):
    path = Path("/proc/cpuinfo")
    return path.exists() and word in path.read_text().split()


def problems(word, pattern, answer, fast_units):
    """What of an enclosure is not true of f(x)."""
    c, high, low, error, fast = answer
    below, above = oracle.enclosure(word, value(pattern), PRECISION)
    f = (below + above) / 2
    if error == 0:  # next to c: the one case of a distance that is not known
        if abs(c) == 2.0**200:
            return [] if f > 2**200 else ["not beyond every overflow"]
        inside = 0 < abs(f - Fraction(c)) < LEAST * (abs(Fraction(c)) or 1) and (f > Fraction(c)) == (high > 0)
        return [] if inside else ["not next to its limit"]
    found = []
    if abs(Fraction(c) + Fraction(high) + Fraction(low) - f) > Fraction(error):
        found.append(ACCURATE)
    if fast != 0 and abs(Fraction(fast) - f) > Fraction(np.spacing(abs(fast))) * fast_units:
        found.append(FAST)
    return found


def fast_units(include):
    text = (include / "core" / "functions" / "rounding_test.h").read_text()
    return 2 ** int(re.search(r"kFastErrorBits = (\d+);", text)[1])


def count_problems(include, folder, asked):
    answers = enclosures(include, folder, asked)
    units = fast_units(include)
    found = [(*at, problems(*at, a, units)) for at, a in zip(asked, answers, strict=True) if a is not None]
    return [entry for entry in found if entry[2]]


def test_enclosures_hold_what_mpfr_finds(tmp_path):
    asked = [(word, pattern) for word in TRANSCENDENTAL for pattern in patterns(SAMPLE)]
    assert count_problems(ROOT / "csrc", tmp_path, asked) == []


MUTANTS = {
    "fast bound too small": ("gelu", "rounding_test.h", "kFastErrorBits = 7", "kFastErrorBits = 0", FAST),
    "accurate bound 2^20 too small": ("exp", "rounding_test.h", "0x1p-96", "0x1p-116", ACCURATE),
    "last digit of log 2's second piece": ("exp", "constants.h", r"(kStep2 = \S+)a(p-46)", r"\1b\2", ACCURATE),
    "a coefficient's sign": ("exp", "exponential.h", r"w \* 0\.5\)", "w * -0.5)", ACCURATE),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_control_planted_mistakes_are_seen(mutant, tmp_path):
    word, name, pattern, replacement, expected = MUTANTS[mutant]
    shutil.copytree(ROOT / "csrc" / "core", tmp_path / "core")
    path = tmp_path / "core" / "functions" / name
    text, count = re.subn(pattern, replacement, path.read_text(), count=1)
    assert count == 1
    path.write_text(text)
    found = count_problems(tmp_path, tmp_path, [(word, x) for x in patterns(2 * SAMPLE)])
    assert {problem for *_, words in found for problem in words} == {expected}


@pytest.mark.parametrize("word", TRANSCENDENTAL)
def test_digits_are_those_of_mpfr(word):
    count = prove.bounds()["grid_digits"] - 1
    asked = patterns(2 * SAMPLE)
    record = prove.RECORDS / f"{word}.json"
    if record.exists():
        asked += [hard["pattern"] for hard in json.loads(record.read_text())["hardest"]]
    for pattern in asked:
        got = core.digits(word, value(pattern))
        if not isinstance(got, tuple):
            assert oracle.exact_value(word, value(pattern)) is not None
            continue
        negative, exponent, significand, succeeded = got
        assert succeeded
        want = oracle.digits(word, value(pattern), count)
        if want[1] < -182 or want[1] > 180:  # stand-ins
            assert (exponent < -182 or exponent > 180) and negative == want[0]
        else:
            assert (negative, exponent, significand >> (128 - count)) == want, (pattern, value(pattern))
            assert significand & (2 ** (128 - count) - 1)  # sticky: never taken for exact


def test_every_function_has_its_record():
    assert {path.stem for path in RECORDS} == set(core.FUNCTIONS)


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_belongs_to_these_sources_and_shows_what_it_claims(path):
    record = json.loads(path.read_text())
    assert record["function"] == path.stem
    assert record["source_digest"] == prove.digest(path.stem), f"run again: fpdet prove {path.stem}"
    assert record["bounds"] == prove.bounds()
    assert prove.proved(record) and not record["undecided"]
    for change in ({"wrong_fast": [1]}, {"undecided": {"1": False}}, {"numbers": 0}, {"fast_error_units": 129}):
        assert not prove.proved({**record, **change})


def test_the_hardest_inputs_round_as_mpfr_rounds_them():
    for path in RECORDS:
        for hard in json.loads(path.read_text())["hardest"][:2]:
            x = value(hard["pattern"])
            for rounding in core.ROUNDINGS:
                options = dict(bits=32, variant="b", seed=1) if rounding == "stochastic" else {}
                random = core.elementwise_bits(1, 0, 9, 0, 0, 32) if options else None
                got = core.function(path.stem, np.float32(x), "float32", rounding, **options)
                want = oracle.function(path.stem, x, "float32", rounding, random, 32, "b")
                assert reference.same(np.float64(got), np.float64(want)), (path.stem, x, rounding)


def test_the_digest_sees_code_and_not_comments():
    word = "exp"
    plain = prove.digest(word)
    assert prove.digest(word, lambda p: p.read_text() + "\n// more words\n\n") == plain
    assert prove.digest(word, lambda p: p.read_text().replace("0x1p-96", "0x1p-97")) != plain
    assert {path.name for path in prove.sources("gelu")} >= {"erfcx.h", "exponential.h", "rounding_test.h", "prove.cpp"}
    assert "erfcx.h" not in {path.name for path in prove.sources("log")}


def test_an_interrupted_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(prove, "FOLDER", tmp_path)
    monkeypatch.setattr(prove, "CHUNK", 2**10)
    program = compiled("prove", ROOT / "csrc", tmp_path)
    monkeypatch.setattr(prove, "build", lambda: (program, "unoptimised"))
    whole = prove.run("exp", 2**12)
    assert whole["decided_accurate"] == 2**12 - 1 and whole["numbers"] == 1  # exp(+0) = 1
    (tmp_path / "exp.json").unlink()
    half = prove.run("exp", 2**11)
    assert half["next"] == 2**11
    resumed = prove.run("exp", 2**12)
    assert {**resumed, "seconds": 0} == {**whole, "seconds": 0}


def test_constants_are_what_their_script_computes():
    import constants

    for path, text in constants.files().items():
        assert path.read_text() == text, f"run again: python {constants.__file__}"
