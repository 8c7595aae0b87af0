"""The demo experiment at its smoke size: controls, resumption, refusals, report."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("sklearn")
pytest.importorskip("rich")
pytest.importorskip("matplotlib")

from fpdet.__main__ import main
from fpdet.experiments import training
from fpdet.experiments.config import ConfigError
from fpdet.experiments.sources import EXPERIMENT, lockstep, report, statistics
from fpdet.experiments.sources.config import Config
from fpdet.experiments.sources.members import members
from fpdet.experiments.store import RunFolder, RunFolderError

preset = EXPERIMENT.preset

SMOKE = ("run", "sources", "--size", "smoke")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished smoke run."""
    folder = tmp_path_factory.mktemp("run") / "smoke"
    assert main([*SMOKE, "--out", str(folder)]) == 0
    return folder


def test_run_folder_holds_data_and_pictures(finished):
    names = {str(path.relative_to(finished)) for path in finished.rglob("*") if path.is_file()}
    plots = {f"plots/{name}.{kind}" for name in ("sources", "spread", "divergence") for kind in ("png", "svg")}
    tables = {"config.json", "members.csv", "steps.csv", "summary.json", "environment.json", "report.html"}
    assert plots | tables <= names
    assert not [name for name in names if name.endswith(".tmp")]
    assert (finished / "plots/sources.png").read_bytes().startswith(b"\x89PNG")
    assert len((finished / "members.csv").read_text().splitlines()) == 1 + len(members(preset("smoke", "digits")))


def test_controls_are_zero_and_sources_are_not(finished):
    summary = json.loads((finished / "summary.json").read_text())
    assert summary["controls_zero"] is True
    assert [row["name"] for row in summary["controls"]] == ["k=1 (twin)", "k=2", "k=4"]
    for row in summary["controls"]:
        assert row["first_difference"] is None
        assert row["largest_relative_l1"] == row["disagreement"] == row["accuracy_difference"] == 0
    for row in summary["sources"]:  # negative control: the same measure does see every source
        assert row["first_difference"] is not None, row["source"]
        assert max(row["final_relative_l1"]) > 0
    assert {row["source"] for row in summary["sources"]} == {"rescale", "rounding", "order", "seed"}
    assert summary["exact"][0]["largest_relative_l1"] > 0


def test_default_has_six_runs_a_source():
    config = preset("laptop", "digits")
    plan = members(config)
    for source in config.sources:
        assert 1 + sum(member.source == source for member in plan) >= 6
    assert {member.rescale for member in plan if member.source == "rescale"} == {3, 5, 7, 9, 11}
    assert [member.rescale for member in plan if member.source == "control"] == [1, 2, 4]


def test_learning_rates_times_k_are_exact():
    config = preset("laptop", "digits")
    for step in range(config.steps):
        for k in (*config.rescales, *config.controls):
            product = lockstep.schedule(config, step) * k
            assert np.float32(product) == product


def test_weights_depend_on_the_seed_alone():
    from fpdet.experiments.sources import model

    config = preset("smoke", "digits")
    torch.manual_seed(3)
    state = torch.get_rng_state()
    first = training.flat_weights(model.build(config, 1, 8, config.baseline, 0))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(4)
    assert torch.equal(training.flat_weights(model.build(config, 1, 8, config.baseline, 0)), first)
    assert not torch.equal(training.flat_weights(model.build(config, 1, 8, config.baseline, 1)), first)


def test_lockstep_batches_are_equal_and_follow_the_seed():
    config = preset("smoke", "digits")
    a, b, c = (
        torch.stack(list(training.batch_indices(config.train_images, config.batch, config.steps, seed)))
        for seed in (0, 0, 1)
    )
    assert torch.equal(a, b) and not torch.equal(a, c)
    assert a.shape == (config.steps, config.batch)
    assert len(set(a[:6].reshape(-1).tolist())) == 48  # an epoch holds every image once


def test_finished_run_repeats_nothing(finished, monkeypatch):
    monkeypatch.setattr(lockstep, "train", lambda *_: pytest.fail("a finished run was repeated"))
    before = (finished / "members.csv").read_bytes()
    assert main([*SMOKE, "--out", str(finished)]) == 0
    assert (finished / "members.csv").read_bytes() == before
    assert main(["report", str(finished)]) == 0


def test_resumes_after_an_interrupt_with_equal_bits(finished, tmp_path, monkeypatch, capsys):
    folder, train, calls = tmp_path / "run", lockstep.train, []

    def interrupted(config, member, *rest):
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(member.name)
        return train(config, member, *rest)

    monkeypatch.setattr(lockstep, "train", interrupted)
    assert main([*SMOKE, "--out", str(folder)]) == 130
    assert "the same command goes on" in capsys.readouterr().err
    kept = {path.name: path.read_bytes() for path in (folder / "members").iterdir()}
    assert len(kept) == 6
    assert main(["report", str(folder)]) == 2
    assert "missing k=4" in capsys.readouterr().err

    def counted(config, member, *rest):
        calls.append(member.name)
        return train(config, member, *rest)

    monkeypatch.setattr(lockstep, "train", counted)
    assert main([*SMOKE, "--out", str(folder)]) == 0
    assert len(calls) == len(members(preset("smoke", "digits")))
    assert {name: (folder / "members" / name).read_bytes() for name in kept} == kept
    seconds = re.compile(r",[\d.]+$", re.MULTILINE)
    texts = [seconds.sub("", (where / "members.csv").read_text()) for where in (folder, finished)]
    assert texts[0] == texts[1]
    assert (folder / "steps.csv").read_text() == (finished / "steps.csv").read_text()


def test_resumes_after_kill(finished, tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "fpdet", *SMOKE, "--out", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    try:
        until = time.monotonic() + 120
        while len(list((folder / "members").glob("*.json"))) < 2 and child.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.005)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    times = {path: path.stat().st_mtime_ns for path in (folder / "members").glob("*.json")}
    assert len(times) >= 2
    assert main([*SMOKE, "--out", str(folder)]) == 0
    assert all(path.stat().st_mtime_ns == at for path, at in times.items())
    assert (folder / "steps.csv").read_text() == (finished / "steps.csv").read_text()
    assert not list(folder.rglob("*.tmp"))


@pytest.mark.parametrize("key, value", [("schema", 0), ("fpdet", "0.0.1"), ("torch", "1.0"), ("fpdet", None)])
def test_run_folder_of_another_version_is_refused(tmp_path, capsys, key, value):
    RunFolder(tmp_path, "sources", preset("smoke", "digits"))
    header = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**header, key: value}))
    assert main([*SMOKE, "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert f"expected a run folder of {key} " in error and f"got {value!r}" in error
    assert main(["report", str(tmp_path)]) == 2


def test_run_folder_with_other_settings_is_refused(tmp_path, capsys):
    RunFolder(tmp_path, "sources", preset("smoke", "digits"))
    assert main([*SMOKE, "--set", "steps=7", "--out", str(tmp_path)]) == 2
    assert "steps: 6 there, 7 now" in capsys.readouterr().err


def test_folder_of_something_else_is_refused_and_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("x")
    assert main([*SMOKE, "--out", str(tmp_path)]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    assert main(["report", str(tmp_path)]) == 2
    assert "expected a run folder with config.json" in capsys.readouterr().err
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{")
    assert main([*SMOKE, "--out", str(tmp_path / "run")]) == 2
    assert "expected JSON" in capsys.readouterr().err


def test_damaged_member_is_refused(tmp_path):
    config = preset("smoke", "digits")
    folder, member = RunFolder(tmp_path, "sources", config), members(config)[0]
    folder.save(0, member, {"name": "baseline"}, {"weights": torch.ones(2)})
    assert folder.load(0, member)[1]["weights"].tolist() == [1, 1]
    path = next((tmp_path / "members").glob("*.pt"))
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(RunFolderError, match=r"SHA-256 .* delete .* to run this part again"):
        folder.load(0, member)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--set", "step=7"], "unknown setting 'step' (did you mean 'steps'?)"),
        (["--set", "steps"], "--set: expected name=value, got 'steps'"),
        (["--set", "steps=many"], "steps: expected int, got 'many'"),
        (["--set", "steps=0"], "steps: expected at least 1, got 0"),
        (["--set", "nesterov=maybe"], "nesterov: expected true or false, got 'maybe'"),
        (["--set", "controls=3"], "controls: expected powers of two (exact scaling), got 3"),
        (["--set", "learning_rate=nan"], "learning_rate: expected a positive number, got nan"),
        (["--set", "sources=rounding,ordr"], "did you mean 'order'?"),
        (["--set", "data_seeds=0,1"], "data_seeds: expected seeds other than seed=0"),
        (["--set", "roundings=upwards"], "upward"),
        (["--set", "orders=shuffled(x)"], "shuffled(x)"),
        (["--size", "laptp"], "did you mean 'laptop'?"),
        (["--data", "cifar"], "did you mean 'cifar10'?"),
        (["--data", "cifar10"], "--root: expected the folder of cifar10"),
        (["--set", "train_images=5000"], "digits: expected train_images + test_images <= 1797"),
    ],
)
def test_bad_input_is_one_error_and_leaves_nothing(tmp_path, capsys, arguments, message):
    folder = tmp_path / "run"
    assert main([*SMOKE, "--out", str(folder), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("fpdet: error: ") and error.count("\n") == 1
    assert not folder.exists()


def test_unknown_experiment(capsys):
    assert main(["run", "source"]) == 2
    assert "did you mean 'sources'?" in capsys.readouterr().err


def test_config_reads_back():
    config = preset("laptop", "cifar10").change(["orders=shuffled(1,vary=call),pairwise", "rescales=", "momentum=0"])
    assert config.orders == ("shuffled(1,vary=call)", "pairwise") and config.rescales == ()
    assert Config.from_json(json.loads(json.dumps(config.to_json()))) == config
    with pytest.raises(ConfigError, match=r"steps: expected int, got '6'"):
        Config.from_json({"steps": "6"})


def test_report_escapes_what_it_prints(finished):
    summary = json.loads((finished / "summary.json").read_text())
    planted = "<script>alert(1)</script>\"'&"
    summary["torch_ops"] = [planted]
    summary["controls"][0]["name"] = planted
    paths = sorted((finished / "members").glob("*.json"))
    results = [{**json.loads(path.read_text()), "name": planted} for path in paths]
    page = report.html(
        RunFolder(finished).settings, [planted] * len(results), results, summary, {"sources": (b"", b"")}
    )
    assert "<script" not in page and "&lt;script&gt;" in page
    assert "http" not in page.replace("http-equiv", "")  # self-contained


def test_diverged_training_is_a_result(tmp_path):
    assert main([*SMOKE, "--out", str(tmp_path / "run"), "--set", "learning_rate=1e38"]) in (0, 1)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert any(row["not_finite"] for row in summary["sources"])


def test_statistics():
    assert statistics.spread([5.0] * 6, 500, 0) == {"sd": 0.0, "low": 0.0, "high": 0.0, "holds_zero": True}
    spread = statistics.spread([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2000, 0)
    assert math.isclose(spread["sd"], 3.5**0.5) and 0 < spread["low"] < spread["sd"] < spread["high"]
    assert not spread["holds_zero"]
    assert statistics.spread([1.0], 10, 0)["sd"] is None
    pairs = statistics.disagreement([np.array([0, 1]), np.array([0, 2]), np.array([1, 2])])
    assert pairs == {"mean": 4 / 3, "least": 1, "most": 2}
    a, b = torch.tensor([1.0, 0.0, 2.0]), torch.tensor([1.0, 0.0, -2.0])
    assert training.relative_l1(a, a) == 0 and math.isclose(training.relative_l1(a, b), 2 / 3)


def test_list_and_info(capsys):
    assert main(["list"]) == 0
    assert "sources:" in capsys.readouterr().out
    assert main(["info"]) == 0
    assert json.loads(capsys.readouterr().out)["version"]
