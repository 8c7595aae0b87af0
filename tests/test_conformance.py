"""The conformance command: what its matrix covers, the recorded bits on a CPU, planted errors."""

import json

import pytest
import torch

from fpdet.conformance import matrix, mutants, record, runner
from fpdet.conformance.inputs import KINDS


@pytest.fixture(scope="module")
def cases():
    return matrix.cases()


@pytest.fixture(scope="module")
def result():
    return record.make_record(torch.device("cpu"), runner.golden())


def test_every_pair_of_settings_meets(cases):
    required = matrix.required_pairs()
    met = set().union(*map(matrix.pairs, cases))
    assert len(cases) >= 500 and not required - met
    assert len(required) > 600
    values = {name for pair in required for name, _ in pair}
    assert values == set(matrix.FACTORS)


def test_the_coverage_test_can_fail(cases):
    some = [case for case in cases if case.order != "kahan"]
    assert matrix.required_pairs() - set().union(*map(matrix.pairs, some))


def test_cases_have_names_of_their_own_and_the_promised_operands(cases):
    assert len({case.name for case in cases}) == len(cases)
    assert {case.kind for case in cases} == set(KINDS)
    kinds = {}
    for case in cases:
        flat = torch.cat([t.double().flatten() for t in runner.operands(case)])
        least = {"float64": 2.0**-1022, "float16": 2.0**-14}.get(case.dtype, 2.0**-126)
        found = kinds.setdefault((case.dtype, case.kind), set())
        found |= {"inf"} if flat.isinf().any() else set()
        found |= {"-0"} if ((flat == 0) & flat.signbit()).any() else set()
        found |= {"subnormal"} if ((flat != 0) & (flat.abs() < least)).any() else set()
    for dtype in matrix.DTYPES:
        assert "inf" in kinds[dtype, "special"] and "-0" in kinds[dtype, "cancelling"]
        assert "subnormal" in kinds[dtype, "subnormal"] and not kinds[dtype, "spread"]


def test_the_cpu_has_the_recorded_bits(result):
    assert not result["mismatches"], record.table(result)
    assert set(result["digests"]) == set(runner.golden())
    assert set(result) == {
        "gpu", "driver", "cuda", "torch", "commit", "cases", "mismatches", "digests", "seconds"
    }  # fmt: skip


def test_only_bits_are_recorded(monkeypatch, tmp_path, cases):
    assert all(map(record.is_digest, runner.golden().values()))
    monkeypatch.setattr(record, "GOLDEN", tmp_path / "golden.json")
    monkeypatch.setattr(record, "cases", lambda: cases[:2])
    assert record.main("cpu", record=True) == 0
    monkeypatch.setattr(record, "run", lambda case, device: "RuntimeError: planted")
    with pytest.raises(ValueError, match="expected a digest to record, got RuntimeError: planted"):
        record.main("cpu", record=True)
    assert len(json.loads((tmp_path / "golden.json").read_text())) == 2


def test_digests_tell_results_apart(result):
    assert len(set(result["digests"].values())) > 0.9 * result["cases"]


@pytest.mark.parametrize("mutant", mutants.MUTANTS, ids=lambda mutant: mutant.__name__)
def test_planted_errors_are_flagged(mutant, cases):
    met, noticed = mutants.flagged(mutant, cases[::3], runner.golden(), torch.device("cpu"))
    assert met > 0 and noticed > 0


def test_there_are_ten_planted_errors():
    assert len(mutants.MUTANTS) == 10


def test_a_mismatch_ends_with_status_1(monkeypatch, tmp_path, capsys, cases):
    monkeypatch.setattr(record, "cases", lambda: cases[:4])
    expected = {case.name: runner.golden()[case.name] for case in cases[:4]}
    monkeypatch.setattr(record, "golden", lambda: expected)
    assert record.main("cpu", tmp_path) == 0
    expected[cases[2].name] = "0" * 64
    assert record.main("cpu", tmp_path) == 1
    written = json.loads((tmp_path / "conformance-cpu.json").read_text())
    assert written["mismatches"] == [cases[2].name] and written["cases"] == 4
    assert cases[2].name in capsys.readouterr().out


def test_without_a_gpu_the_command_says_so(monkeypatch):
    from fpdet.__main__ import main

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["conformance", "--device", "cuda"]) == 2
