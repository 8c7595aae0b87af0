"""The benchmark's commands, in seconds; nothing here depends on a time."""

import csv
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

pytest.importorskip("rich")
pytest.importorskip("matplotlib")
pytest.importorskip("scipy")

import test_bench_compare
from rich.console import Console

import fpdet
from benchmarks import bars, cases, check, control, page, pointwise, record, rows, suite
from benchmarks.cli import main
from benchmarks.measure import Contender, measure
from benchmarks.problems import parse
from fpdet.__main__ import main as fpdet_main

ROOT = Path(__file__).resolve().parents[1]
QUICK = ("--rounds", "2", "--most", "20000", "--threads", "1")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run over the smoke list."""
    folder = tmp_path_factory.mktemp("bench") / "run"
    words = ("--arithmetic", "upward sequential", "nearest_even pairwise")
    assert fpdet_main(["bench", "--shapes", "smoke", *QUICK, *words, "--out", str(folder)]) == 0
    return folder


def test_a_run_folder_holds_data_and_pictures(finished):
    names = {str(path.relative_to(finished)) for path in finished.rglob("*") if path.is_file()}
    assert {"run.json", "rows.csv", "report.html", "plots/cost.png", "plots/roofline.png"} <= names
    with open(finished / "rows.csv") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 4 * 3 * 2
    assert {row["kind"] for row in table} == {"3x3", "1x1", "7x7", "depthwise"}
    for row in table:
        assert float(row["ms_p20"]) <= float(row["ms_p50"]) <= float(row["ms_p80"])
        assert float(row["gflops"]) > 0 and float(row["gbs"]) > 0 and 0 < float(row["of_peak"])
        assert float(row["x_baseline"]) > 0 and float(row["x_deterministic"]) > 0
        assert len(row["digest"]) == 16 and int(row["scratch"]) > 0


def test_digests_are_those_of_the_results(finished):
    found = {(r["shape"], r["pass"], r["arithmetic"]): r["digest"] for r in rows.rows(record.read(finished))}
    (shape, which, words), digest = next((key, value) for key, value in found.items() if "pairwise" in key[2])
    problem = parse(shape)
    call = cases.Convolution(problem, *cases.data.operands(problem)).fpdet(which, fpdet.Arithmetic.parse(words), True)
    assert fpdet.digest(call())[:16] == digest
    assert len(set(found.values())) > len(found) // 2, "control: results differ, and so do their digests"


def test_report_and_compare_of_a_finished_run(finished, capsys):
    before = (finished / "report.html").read_bytes()
    assert main(["report", str(finished)]) == 0
    assert (finished / "report.html").read_bytes() == before
    assert main(["compare", str(finished), str(finished)]) == 0
    assert "nothing" in capsys.readouterr().out


def test_compare_exits_1_when_something_got_slower(finished, tmp_path, capsys):
    run = record.read(finished)
    for case in run["cases"]:
        for entry in case["entries"]:
            entry["seconds"] = [1 + 0.001 * i for i in range(9)]
    record.write(tmp_path / "a.json", run)
    run["cases"][0]["entries"][2]["seconds"] = [1.2 + 0.001 * i for i in range(9)]
    record.write(tmp_path / "b.json", run)
    assert main(["compare", str(tmp_path / "a.json"), str(tmp_path / "b.json")]) == 1
    assert "x 1.20" in capsys.readouterr().out
    assert main(["compare", str(tmp_path / "b.json"), str(tmp_path / "a.json")]) == 0


def test_an_unfinished_run_goes_on_and_repeats_nothing(tmp_path, capsys):
    command = ["--problem", "n1c2h4k2r1", *QUICK, "--out", str(tmp_path / "run")]
    assert main([*command, "--seconds", "0"]) == 0
    assert "0 of 3 cases" in capsys.readouterr().out
    assert not (tmp_path / "run" / "run.json").exists()
    assert main(command) == 0
    first = (tmp_path / "run" / "cases.jsonl").read_bytes()
    with open(tmp_path / "run" / "cases.jsonl", "a") as file:
        file.write('{"key": {"op"')  # what an interruption leaves
    assert main(command) == 0
    assert (tmp_path / "run" / "cases.jsonl").read_bytes().startswith(first)
    whole = record.read(tmp_path / "run")
    assert len(whole["cases"]) == 3 and "stopped after" not in page.markdown(whole)
    (tmp_path / "run" / "run.json").unlink()
    assert record.read(tmp_path / "run") == whole
    assert "stopped after 2 of its 3 cases" in page.markdown({**whole, "cases": whole["cases"][:2]})
    assert main(["--problem", "n1c2h4k2r1", "--rounds", "3", "--out", str(tmp_path / "run")]) == 2
    assert "holds another run (settings." in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--shapes", "nix"], "shapes: expected one of"),
        (["--problem", "n1"], "--problem: expected c, h, k, r"),
        (["--problem", "n1c1h1k1r1", "--arithmetic", "nearest"], "rounding: expected one of"),
        (["report", "nowhere"], "expected the record of a run"),
        (["compare", "pyproject.toml", "x"], "expected the record of a run"),
    ],
)
def test_bad_input_is_one_error(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_without_the_folder_the_command_says_what_to_do(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("fpdet.__main__.__file__", str(tmp_path / "fpdet" / "__main__.py"))
    assert fpdet_main(["bench"]) == 2
    assert "expected the folder benchmarks beside" in capsys.readouterr().err


# ---- bits --------------------------------------------------------------------------------------------

CHECK = (
    "--check",
    "--problem",
    "n2c3h6k5r3p1",
    "n2c4h6k4r3p1g4",
    "--arithmetic",
    "upward pairwise",
    "nearest_even exact",
)


def test_check_passes(capsys):
    assert main([*CHECK, "--data", "gaussian", "uint8"]) == 0
    assert "0 wrong of 24" in capsys.readouterr().out


def test_check_names_the_row_of_a_wrong_kernel(monkeypatch, capsys):
    """The control: one bit of one result."""
    right = cases.Convolution.fpdet

    def wrong(self, which, arithmetic, raw=False):
        call = right(self, which, arithmetic, raw)

        def changed():
            result = call().clone()
            if which == "grad_weight" and arithmetic.rounding == "upward" and self.problem.groups > 1:
                result.view(-1)[0] = torch.nextafter(result.view(-1)[0], torch.tensor(float("inf")))
            return result

        return changed

    monkeypatch.setattr(cases.Convolution, "fpdet", wrong)
    assert main(CHECK) == 1
    out = capsys.readouterr().out
    assert "wrong: n2c2h4w6k2r3p1g2 grad_weight gaussian upward pairwise float32" in out and "1 wrong of 12" in out


def test_checks_of_the_pointwise_ops_see_a_wrong_result(monkeypatch):
    assert check.rounding("float16", "downward") and check.rounding("bfloat16", "stochastic bits=8")
    assert check.sgd("stochastic sequential", pointwise.HYPER)
    right = fpdet.round
    monkeypatch.setattr(fpdet, "round", lambda x, format, rounding, **k: right(x, format, "upward", **k))
    assert not check.rounding("float16", "downward"), "control"


# ---- the default suite -------------------------------------------------------------------------------


def test_the_suite_has_every_bar(monkeypatch):
    """Made-up times, all equal: every bar gets its number, 1 where it is a ratio."""
    monkeypatch.setattr(pointwise, "LISTS", {name: [(3, 4)] for name in pointwise.LISTS})
    parts = [part.name for part in suite.PARTS if part.name != "others"]
    every = suite.cases(only=parts)
    assert len({json.dumps(case.key, sort_keys=True) for case in every}) == len(every)
    lines = bars.lines(made_up(suite.cases(only=parts, quick=True)))
    what = " ".join(line.what for line in lines)
    assert all(word in what for word in (*bars.CLASSES, *cases.PASSES, "slowest layer", "directed", *suite.ORDERED[:4]))
    assert all(
        word in what
        for word in ("unfused", "exact", "32 random bits", "8 random bits", "bfloat16", "float16", "SGD step, 1GiB")
    )
    assert [line.measured for line in lines if line.unit == "x"] == pytest.approx([1.0] * (len(lines) - 2))
    assert all(line.reached == (line.unit == "x") for line in lines), "a second is no call of 40 µs"


def made_up(chosen):
    """A record of cases whose every call took a second."""
    kept = []
    for case in chosen:
        entries = [{**c.tags, "threads": 1, "seconds": [1.0, 1.0]} for c in case.contenders()]
        kept.append({"key": case.key, "work": case.work, "baselines": list(case.baselines), "entries": entries})
    return {"schema": 1, "peaks": {}, "cases": kept}


def test_lists_of_the_optimizer():
    sizes = {name: sum(torch.Size(s).numel() for s in shapes) for name, shapes in pointwise.LISTS.items()}
    assert sizes == {"resnet50": 25_557_032, "1GiB": 1 << 28}
    assert len(pointwise.LISTS["resnet50"]) == 161


def test_measure_interleaves_and_counts():
    calls = []
    contenders = [Contender({}, lambda name=name: calls.append(name)) for name in "ab"]
    first, second = measure(contenders, (1,), 3)
    assert len(first.seconds) == len(second.seconds) == 3 and first.calls > 1
    switches = sum(one != two for one, two in pairwise(calls))
    assert switches >= 3, "the contenders take turns"


@pytest.mark.parametrize(("disturbed", "chosen"), [((), 2), ((0,), 2), ((0, 1), 2), ((0, 1, 2), 1)])
def test_one_disturbance_does_not_choose_the_threads(monkeypatch, disturbed, chosen):
    """Two threads take 1 ms, 2 ms in the disturbed pilots; one thread takes 1.8 ms. Control: all are disturbed."""
    seen = []

    def sample(contender, threads, calls):
        if threads == 1:
            return 1.8e-3
        seen.append(calls)
        return 2e-3 if len(seen) - 1 in disturbed else 1e-3

    monkeypatch.setattr("benchmarks.measure.sample", sample)
    (timing,) = measure([Contender({}, lambda: None)], (1, 2), 0)
    assert timing.threads == chosen


@pytest.mark.parametrize(("first_samples", "chosen"), [(8, 2), (24, 1)])
def test_a_lasting_disturbance_does_not_choose_the_threads(monkeypatch, first_samples, chosen):
    """As above, while four contenders are looked at once each. Control: while they are, three times."""
    seen = []

    def sample(contender, threads, calls):
        seen.append(threads)
        return 1.8e-3 if threads == 1 else 2e-3 if len(seen) <= first_samples else 1e-3

    monkeypatch.setattr("benchmarks.measure.sample", sample)
    timings = measure([Contender({}, lambda: None)] * 4, (1, 2), 0)
    assert [timing.threads for timing in timings] == [chosen] * 4


# ---- the page ----------------------------------------------------------------------------------------


def test_the_page_is_what_its_generator_makes():
    assert (ROOT / page.PAGE).read_text() == page.markdown(*page.results(ROOT))
    assert all(path.stat().st_size < 1_000_000 for path in (ROOT / page.RESULTS).glob("cpu*.json"))


def test_the_pages_pictures_are_there():
    for name in page.names(record.read(ROOT / page.RESULT)):
        assert (ROOT / page.PICTURES / f"performance-{name}.png").read_bytes().startswith(b"\x89PNG")


def test_page_writes_what_it_reads(finished, tmp_path):
    (tmp_path / "docs" / "img").mkdir(parents=True)
    (tmp_path / "benchmarks").mkdir()
    paths = page.write(tmp_path, record.read(finished))
    assert paths[0].read_text() == page.markdown(*page.results(tmp_path))
    assert {path.stem for path in paths[1:]} == {f"performance-{name}" for name in page.names(record.read(finished))}


def test_a_run_elsewhere_stands_beside_the_result(finished, tmp_path):
    (tmp_path / "docs" / "img").mkdir(parents=True)
    (tmp_path / "benchmarks").mkdir()
    run = record.read(finished)
    alone = page.write(tmp_path, run)[0].read_text()
    machine = {**run["machine"], "processor": "another processor"}
    text = page.write(tmp_path, {**run, "machine": machine}, beside="other")[0].read_text()
    assert text == page.markdown(*page.results(tmp_path))
    assert "another processor" in text and "another processor" not in alone
    assert text.startswith(alone[: alone.index("## Plots")].rstrip())
    for line in bars.lines(run):
        shown = [row for row in text.splitlines() if row.startswith(f"| {line.what} |")]
        assert len(shown) == 2


def test_the_control_tells_a_planted_slow_down_from_runs_of_the_same(tmp_path, monkeypatch):
    """On records made up: the times of real runs are no business of a test."""
    made = []

    def measure(folder, planted):
        made.append(planted)
        folder.mkdir(parents=True)
        record.write(folder / "run.json", noisy_record(len(made), factor=1.2 if planted else 1.0))

    monkeypatch.setattr(control, "_measure", measure)
    outcome = control.run(tmp_path, 3, Console(quiet=True))
    processes = control.PROCESSES
    assert made == [False] * 4 * processes + [True] * processes and outcome.passed and len(outcome.found) == 4
    assert control.run(tmp_path, 3, Console(quiet=True)) == outcome, "finished runs are kept"
    assert len(made) == 5 * processes
    assert not replace(outcome, false=[["3x3"]]).passed and not replace(outcome, found=[]).passed


def test_processes_of_one_binary_are_one_run(tmp_path):
    parts = [noisy_record(seed, factor=1.0) for seed in (1, 2)]
    for number, part in enumerate(parts):
        (tmp_path / f"process-{number}").mkdir()
        record.write(tmp_path / f"process-{number}" / "run.json", part)
    whole = record.read(tmp_path)
    for case, *those in zip(whole["cases"], *(part["cases"] for part in parts), strict=True):
        for entry, *ones in zip(case["entries"], *(one["entries"] for one in those), strict=True):
            assert entry["seconds"] == [x for one in ones for x in one["seconds"]]

    with pytest.raises(record.RecordError, match="expected runs of one binary"):
        record.joined([parts[0], {**parts[1], "machine": {"library": "another"}}])
    with pytest.raises(record.RecordError, match="settings: expected runs of one binary"):
        record.joined([parts[0], {**parts[1], "settings": {"threads": [3]}}])
    parts[1]["cases"][0]["entries"][-1]["digest"] = "another"
    with pytest.raises(record.RecordError, match="have other bits"):
        record.joined(parts)


def noisy_record(seed, factor):
    slower = range(test_bench_compare.ROWS)
    return {"machine": {}, **test_bench_compare.record(seed, slower=slower, factor=factor)}
