"""Every experiment at its smoke size: controls, equal digests, resumption, refusals; and the harness around them."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import pytest

pytest.importorskip("sklearn")
pytest.importorskip("rich")
pytest.importorskip("matplotlib")

from fpdet.__main__ import main
from fpdet.experiments import EXPERIMENTS, config, load, plots, runner, work
from fpdet.experiments.config import ConfigError
from fpdet.experiments.store import RunFolder

NEW = tuple(name for name in EXPERIMENTS if name != "sources")  # tests/test_demo.py has that one


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A function: experiment -> the folder of its finished smoke run."""
    root, made = tmp_path_factory.mktemp("runs"), {}

    def folder(name):
        if name not in made:
            assert main(["run", name, "--size", "smoke", "--out", str(root / name)]) == 0, name
            made[name] = root / name
        return made[name]

    return folder


@pytest.fixture
def undrawn(monkeypatch):
    """Figures cost most of a smoke run; where a test is of something else they are left out."""
    monkeypatch.setattr(plots, "rendered", lambda figures: {})


def summary_of(folder):
    return json.loads((folder / "summary.json").read_text())


def results_of(name, settings):
    """The results of every unit, without a folder."""
    experiment = load(name)
    units, prepared, done = experiment.units(settings), experiment.prepare(settings, None), []
    with work.deterministic(settings.threads):
        for unit in units:
            result, record = experiment.compute(settings, unit, prepared, done.__getitem__, lambda share: None)
            done.append((work.words(result), record))
    return [result for result, _ in done]


@pytest.mark.parametrize("name", NEW)
def test_smoke_run_holds_data_and_pictures(finished, name):
    folder = finished(name)
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "environment.json", "summary.json", "report.html", "members", "plots"} <= names
    assert any(folder.glob("*.csv"))
    pngs = list((folder / "plots").glob("*.png"))
    assert pngs and all(png.read_bytes().startswith(b"\x89PNG") for png in pngs)
    assert {p.stem for p in pngs} == {p.stem for p in (folder / "plots").glob("*.svg")}
    page = (folder / "report.html").read_text()
    assert "http" not in page.replace("http-equiv", "") and "<script" not in page
    assert load(name).verdict(summary_of(folder))[0]


@pytest.mark.parametrize("name", NEW)
def test_two_runs_have_equal_digests(finished, name):
    settings = load(name).preset("smoke")
    digest = summary_of(finished(name))["digest"]
    assert runner.digest(results_of(name, settings)) == digest


@pytest.mark.parametrize("name", ("heat", "variance"))
def test_another_seed_has_another_digest(finished, name):
    change = ["seed=5"] if name == "heat" else ["seeds=3,4"]  # negative control of the test above
    settings = load(name).preset("smoke").change(change)
    assert runner.digest(results_of(name, settings)) != summary_of(finished(name))["digest"]


@pytest.mark.parametrize("name", ("divergence", "variance"))
def test_a_whole_network_is_fpdets_and_the_same_on_two_threads(name):
    settings = load(name).preset("smoke").change(["network=whole"])
    results = results_of(name, settings)
    assert all(result["torch_ops"] == [] for result in results)
    digest = runner.digest(results)
    assert runner.digest(results_of(name, settings.change(["threads=2"]))) == digest
    plain = [result["digests"] for result in results_of(name, load(name).preset("smoke"))]
    assert all(a["digests"] != b for a, b in zip(results, plain, strict=True))  # the setting reaches every unit


def test_resumes_after_kill_with_equal_digest(finished, tmp_path, undrawn):
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "fpdet", "run", "heat", "--size", "smoke", "--out", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    try:
        until = time.monotonic() + 120
        while len(list((folder / "members").glob("*.json"))) < 2 and child.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.002)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    times = {path: path.stat().st_mtime_ns for path in (folder / "members").glob("*.json")}
    assert len(times) >= 2
    assert main(command[3:]) == 0
    assert all(path.stat().st_mtime_ns == at for path, at in times.items())
    assert summary_of(folder)["digest"] == summary_of(finished("heat"))["digest"]


def test_folder_in_use_is_refused(finished, tmp_path, capsys):
    settings = load("heat").preset("smoke")
    arguments = ["run", "heat", "--size", "smoke", "--out", str(tmp_path)]
    with RunFolder(tmp_path, "heat", settings).locked():
        assert main(arguments) == 2
        assert f"in use by process {os.getpid()}" in capsys.readouterr().err
        assert main(["report", str(tmp_path)]) == 2
    with RunFolder(tmp_path).locked():  # free again
        pass


def test_full_disk_is_one_error_and_keeps_what_is_done(tmp_path, capsys, monkeypatch, undrawn):
    arguments = ["run", "heat", "--size", "smoke", "--out", str(tmp_path / "run")]
    calls, fsync = [], os.fsync

    def full(file):
        calls.append(file)
        if len(calls) > 6:  # config, environment, two files of each of two units
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(file)

    monkeypatch.setattr(os, "fsync", full)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert "the disk is full; what has finished is kept" in error and error.count("\n") == 1
    kept = list((tmp_path / "run" / "members").glob("*.json"))
    assert len(kept) == 2 and not list((tmp_path / "run").rglob("*.tmp"))


@pytest.mark.parametrize(
    "name, setting, message",
    [
        ("heat", "variant=float64", "did you mean 'variants'?"),
        ("heat", "variants=float65 upward", "variants: format: expected one of"),
        ("heat", "variants=e5p8 upward exact", "an exact sum goes into one of"),
        ("heat", "ratios=zero", "ratios: expected positive decimals, got 'zero'"),
        ("linear_pde", "kernel=5", "kernel: expected an even size"),
        ("linear_pde", "alphas=minimum", "alphas: expected a number, or one before min or max"),
        ("nonlinear_pde", "lr=0.01,-1", "lr: expected a positive number, got -1.0"),
        ("nonlinear_pde", "controls=3", "controls: expected powers of two"),
        ("divergence", "net=resnet21", "net: expected resnetD with D = 6n + 2"),
        ("divergence", "lr=0.25,0.1", "lr: expected the highest first"),
        ("divergence", "data=cifar10", "--root: expected the folder of cifar10"),
        ("ledger", "at=4", "at: expected steps from 1 to 3"),
        ("ledger", "alternatives=stochastic", "expected arithmetics that draw nothing"),
        ("variance", "rescales=3,1", "rescales: expected 1 (the baseline) first"),
        ("variance", "network=all", "network: expected one of"),
        ("variance", "sead=1", "did you mean 'seed'?"),
        ("edge_of_stability", "nets=plain2", "nets: expected NET:WIDTH"),
    ],
)
def test_bad_input_is_one_error_and_leaves_nothing(tmp_path, capsys, name, setting, message):
    folder = tmp_path / "run"
    assert main(["run", name, "--size", "smoke", "--out", str(folder), "--set", setting]) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("fpdet: error: ") and error.count("\n") == 1
    assert not folder.exists()


def test_images_only_where_images_are(tmp_path, capsys):
    assert main(["run", "heat", "--data", "digits", "--out", str(tmp_path / "run")]) == 2
    assert "--data: expected none, heat uses no images" in capsys.readouterr().err


def test_training_that_diverges_is_a_result(tmp_path, undrawn):
    folder = tmp_path / "run"
    assert main(["run", "variance", "--size", "smoke", "--out", str(folder), "--set", "lr=1e30"]) in (0, 1)
    assert "k=1 seed=1" in summary_of(folder)["not_finite"]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_config_files_name_every_setting(name):
    kind = load(name).Settings
    paths = sorted((config.CONFIGS / name).glob("*.toml"))
    assert config.sizes(name)[:2] == ("smoke", "laptop")
    for path in paths:
        settings = config.from_toml(kind, path)
        written = {line.split(" = ")[0] for line in path.read_text().splitlines() if " = " in line and line[0] != "#"}
        assert written == {field.name for field in fields(kind)}, path
        assert kind.from_json(json.loads(json.dumps(settings.to_json()))) == settings


def test_config_file_is_taken_and_checked(tmp_path, capsys, undrawn):
    text = (config.CONFIGS / "heat" / "smoke.toml").read_text().replace("steps = 40", "steps = 24")
    (tmp_path / "mine.toml").write_text(text)
    out = tmp_path / "run"
    assert main(["run", "heat", "--config", str(tmp_path / "mine.toml"), "--out", str(out)]) == 0
    assert RunFolder(out).settings.steps == 24
    (tmp_path / "bad.toml").write_text("stepz = 24\n")
    assert main(["run", "heat", "--config", str(tmp_path / "bad.toml")]) == 2
    assert "bad.toml: config: unknown setting 'stepz' (did you mean 'steps'?)" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="expected a TOML file"):
        config.from_toml(load("heat").Settings, tmp_path / "none.toml")


def test_reports_compare_runs(finished, tmp_path, capsys, undrawn):
    first, other = tmp_path / "first", tmp_path / "other"
    assert main(["run", "heat", "--size", "smoke", "--out", str(first)]) == 0
    assert main(["run", "heat", "--size", "smoke", "--set", "peak=2", "--out", str(other)]) == 0
    capsys.readouterr()
    assert main(["report", str(first), str(first)]) == 0
    assert "digests: equal" in capsys.readouterr().out
    assert main(["report", str(first), str(other)]) == 0
    text = capsys.readouterr().out
    assert "digests: they differ" in text and "peak: 1.5 | 2.0" in text
    linear = tmp_path / "linear"
    assert main(["run", "linear_pde", "--size", "smoke", "--out", str(linear)]) == 0
    assert main(["report", str(first), str(linear)]) == 2
    assert "run folders of one experiment" in capsys.readouterr().err
    assert main(["report", str(first)]) == 0


def test_the_environment_of_a_run_is_that_in_which_it_was_computed(tmp_path, monkeypatch, undrawn):
    arguments = ["run", "heat", "--size", "smoke", "--out", str(tmp_path)]
    assert main(arguments) == 0
    told = (tmp_path / "environment.json").read_bytes()
    monkeypatch.setenv("OMP_PLANTED", "1")
    assert main(["report", str(tmp_path)]) == 0 and main(arguments) == 0
    assert (tmp_path / "environment.json").read_bytes() == told
    next((tmp_path / "members").glob("*.json")).unlink()  # control: a part is computed again
    assert main(arguments) == 0
    assert b"OMP_PLANTED" in (tmp_path / "environment.json").read_bytes()


def test_list_tells_experiments_and_costs(capsys):
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    assert all(f"{name}: " in text for name in EXPERIMENTS) and text.count("one core: smoke ") == len(EXPERIMENTS)
    assert main(["list", "heat"]) == 0
    assert "ratios=0.1,0.2" in capsys.readouterr().out
    assert main(["list", "heet"]) == 2


# ---- what the experiments must show ------------------------------------------------------------------------


def test_heat_is_stable_below_the_limit_alone(finished):
    runs = summary_of(finished("heat"))["runs"]
    assert {run["r"]: run["stable"] for run in runs} == {"0.4": True, "0.8": False}
    wide = next(run for run in runs if run["variant"].startswith("float64") and run["r"] == "0.4")
    narrow = next(run for run in runs if run["variant"].startswith("bfloat16") and run["r"] == "0.4")
    assert 0 < wide["error"] < 1e-14 < narrow["error"]


def test_linear_pde_grows_as_the_operator_says(finished):
    summary = summary_of(finished("linear_pde"))
    assert summary["rank"] == 1 and summary["coupling"] == 0
    assert summary["fft_over_operator"] > 10
    assert [run["predicted_bounded"] for run in summary["runs"][:4]] == [False, True, True, False]
    assert all(run["largest_deviation"] < 1e-12 for run in summary["runs"][:4])  # float64
    assert any(run["largest_deviation"] > 1e-9 for run in summary["runs"][4:])  # float32


def test_nonlinear_pde_has_its_regimes(finished):
    summary = summary_of(finished("nonlinear_pde"))
    assert 0.64 < summary["onset_lr"] < 5.12 < summary["stable_threshold"] == 6.4 < 7.04
    keys = {"lr", "accumulator", "rounding", "order", "relative_l1", "lyapunov", "regime"}
    assert all(keys <= set(run) for run in summary["runs"])
    wide = {run["lr"]: run for run in summary["runs"] if run["accumulator"] == "float64"}
    assert [wide[lr]["regime"] for lr in (0.64, 5.12, 7.04)] == ["converges", "amplifies", "diverges"]
    assert wide[0.64]["lyapunov"] < 0 < wide[5.12]["lyapunov"]
    assert wide[5.12]["relative_l1"] > 0.1
    assert all(row["first_difference"] is None for row in summary["controls"])
    assert summary["planted"]["first_difference"] == 41  # planted half-way
    assert summary["planted"]["largest_relative_l1"] > 2.0**-26  # more than half of its digits: the last bit grows


def test_divergence_tells_twins_from_controls(finished):
    runs = summary_of(finished("divergence"))["runs"]
    for run in runs:
        still = run["name"] == "baseline" or "(control)" in run["name"]
        assert (run["first_difference"] is None) == still, run
        assert (run["final_relative_l1"] == 0) == still, run
    ulp = [run["first_relative_l1"] for run in runs if run["name"] == "one ulp at the start"]
    assert len(ulp) == 2 and max(ulp) < 4 * min(ulp)  # the perturbation does not shrink with lr


def test_ledger_books_what_was_trained(finished):
    summary = summary_of(finished("ledger"))
    assert summary["unwatched_equal"] and summary["recomputed_equal"] and summary["exact_never_wrong"]
    assert summary["own_wrong"] > 0
    means = {(row["pass"], row["arithmetic"]): row["relative_error"] for row in summary["passes"]}
    for kind in ("forward", "grad_input", "grad_weight"):
        assert means[kind, "nearest_even exact"] < means[kind, "nearest_even sequential auto fused"]


def test_variance_tells_members_from_controls(finished):
    folder = finished("variance")
    summary = summary_of(folder)
    assert [row["first_difference"] for row in summary["controls"]] == [None, None]
    rows = (folder / "runs.csv").read_text().splitlines()[1:]
    moved = [row for row in rows if not row.startswith("control") and "k=1 seed=1," not in row]
    assert len(moved) == len(rows) - 3 and all(",1,True" in row for row in moved)  # differ from the first step on


def test_edge_of_stability_has_its_control(finished):
    runs = summary_of(finished("edge_of_stability"))["runs"]
    assert all(run["control_equal"] and run["differs"] for run in runs)
    assert {run["two_over_lr"] for run in runs} == {16.0}
