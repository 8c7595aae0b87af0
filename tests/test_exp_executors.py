"""Executors of experiments: equal results from one process, several, or Ray; lost workers; resumption; refusals."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import ray
from experiment_tasks import Tiny, TinySettings, tries
from ray.cluster_utils import Cluster
from workers import free_port

from fpdet.__main__ import main
from fpdet.experiments import cluster, executors, load, plots, processes, runner
from fpdet.experiments.config import ConfigError
from fpdet.experiments.experiment import Unit
from fpdet.experiments.store import RunFolder, identity
from fpdet.experiments.work import UndeclaredNeedError

TESTS = Path(__file__).parent


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    monkeypatch.setattr(plots, "rendered", lambda figures: {})


@pytest.fixture(scope="module")
def nodes():
    """A Ray cluster: a node without processors, one of two, one of one."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    soon = {"health_check_initial_delay_ms": 500, "health_check_period_ms": 500, "health_check_failure_threshold": 3}
    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": soon}
    made = Cluster(initialize_head=True, head_node_args=head)
    try:
        made.add_node(num_cpus=2)
        made.add_node(num_cpus=1)
        yield made
    finally:
        made.shutdown()
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before


@pytest.fixture
def chosen(request):
    """A function: a word -> its executor."""

    def choose(words):
        name, _, workers = words.partition(" ")
        if name == "cluster":
            return executors.chosen("ray", address=request.getfixturevalue("nodes").address)
        return executors.chosen(name, int(workers))

    return choose


def tiny(out, folder, executor, mode=""):
    """Run the small experiment; its digest."""
    folder.mkdir(exist_ok=True)
    settings = TinySettings(mode=mode, folder=str(folder), threads=1)
    return runner.run(Tiny(), settings, out, executor=executor)["digest"]


def contents(folder):
    """Every file of a run that holds results: tables and tensors as bytes, results without the seconds they took."""
    found = {path.name: path.read_bytes() for path in (*folder.glob("*.csv"), *folder.glob("members/*.pt"))}
    for path in (*folder.glob("members/*.json"), folder / "summary.json"):
        found[path.name] = {key: value for key, value in json.loads(path.read_text()).items() if key != "seconds"}
    return found


@pytest.fixture(scope="module")
def divergence(tmp_path_factory):
    """What one process, one unit after another, gives."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "rendered", lambda figures: {})
        out = tmp_path_factory.mktemp("runs") / "run"
        assert main(["run", "divergence", "--size", "smoke", "--out", str(out)]) == 0
    return contents(out)


@pytest.mark.parametrize("options", (["local", "--workers", "2"], ["ray", "--workers", "3"]))
def test_every_executor_gives_the_same_files(divergence, tmp_path, options):
    out = tmp_path / "run"
    assert main(["run", "divergence", "--size", "smoke", "--out", str(out), "--executor", *options]) == 0
    found = contents(out)
    assert "curves.csv" in found and found == divergence
    assert not ray.is_initialized()


def test_another_seed_gives_other_files(divergence, tmp_path):  # negative control of the test above
    out = tmp_path / "run"
    assert main(["run", "divergence", "--size", "smoke", "--out", str(out), "--set", "seed=2"]) == 0
    assert contents(out)["curves.csv"] != divergence["curves.csv"]


@pytest.mark.parametrize("first, second", (("local 1", "cluster"), ("cluster", "local 1")))
def test_goes_on_where_another_executor_stopped(chosen, tmp_path, monkeypatch, first, second):
    settings = load("linear_pde").preset("smoke")
    expected = runner.run(load("linear_pde"), settings, tmp_path / "whole")["digest"]
    save, kept = RunFolder.save, []

    def interrupted(self, *given):
        if len(kept) == 3:
            raise KeyboardInterrupt
        save(self, *given)
        kept.append(given[0])

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            runner.run(load("linear_pde"), settings, tmp_path / "run", executor=chosen(first))
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "run" / "members").glob("*.json")}
    assert len(times) == 3
    summary = runner.run(load("linear_pde"), settings, tmp_path / "run", executor=chosen(second))
    assert summary["digest"] == expected
    assert all(path.stat().st_mtime_ns == at for path, at in times.items())


# ---- lost workers and failing units --------------------------------------------------------------------------


@pytest.mark.parametrize("where", ("local 2", "cluster"))
def test_killed_worker_is_replaced(chosen, tmp_path, capsys, where):
    expected = tiny(tmp_path / "calm", tmp_path / "calm notes", executors.Here())
    assert tiny(tmp_path / "run", tmp_path / "notes", chosen(where), "kill") == expected
    assert tries(tmp_path / "notes") == 2 and tries(tmp_path / "notes", 4) == 1
    assert "retry 1 of 2" in capsys.readouterr().out


@pytest.mark.parametrize("where", ("local 2", "cluster"))
def test_killed_worker_without_retries_fails_the_run(chosen, tmp_path, monkeypatch, where):
    monkeypatch.setattr(executors, "RETRIES", 0)  # negative control of the test above
    with pytest.raises(executors.WorkerLostError, match=r"sum · unit 3: its worker was lost .*1 tries"):
        tiny(tmp_path / "run", tmp_path / "notes", chosen(where), "kill")
    assert tries(tmp_path / "notes") == 1
    assert (tmp_path / "run" / "members" / "00-base-base.json").is_file()


def test_worker_that_always_dies_is_tried_three_times(tmp_path):
    with pytest.raises(executors.WorkerLostError, match=r"unit 3.* signal 9.*3 tries"):
        tiny(tmp_path / "run", tmp_path / "notes", executors.chosen(workers=2), "kill always")
    assert tries(tmp_path / "notes") == 3


def test_killed_node_is_done_without(nodes, chosen, tmp_path):
    expected = tiny(tmp_path / "calm", tmp_path / "calm notes", executors.Here())
    try:
        assert tiny(tmp_path / "run", tmp_path / "notes", chosen("cluster"), "kill node") == expected
        assert tries(tmp_path / "notes") == 2
    finally:
        nodes.add_node(num_cpus=2)


@pytest.mark.parametrize("where", ("local 1", "local 2", "cluster"))
def test_a_units_own_exception_is_raised_and_not_retried(chosen, tmp_path, where):
    with pytest.raises(ConnectionError, match="^the unit's own$"):
        tiny(tmp_path / "run", tmp_path / "notes", chosen(where), "connection")
    assert tries(tmp_path / "notes") == 1


@pytest.mark.parametrize(
    "mode, kind, message",
    (
        ("own error", RuntimeError, "OwnError: 1 2"),  # its class cannot be read back
        ("exit", SystemExit, "7"),
        ("undeclared", UndeclaredNeedError, r"'last': expected done\(i\) of i in its needs \(0, 3\), got done\(2\)"),
    ),
)
def test_exceptions_pass_between_processes(tmp_path, mode, kind, message):
    with pytest.raises(kind, match=message) as caught:
        tiny(tmp_path / "run", tmp_path / "notes", executors.chosen(workers=2), mode)
    assert "experiment_tasks.py" in str(caught.value.__cause__)


def test_undeclared_need_is_refused_in_one_process_too(tmp_path):
    with pytest.raises(UndeclaredNeedError, match=r"got done\(2\); name it in Unit.needs"):
        tiny(tmp_path / "run", tmp_path / "notes", executors.Here(), "undeclared")


def test_needs_of_later_units_are_refused():
    with pytest.raises(RuntimeError, match=r"unit 1, 'b': expected needs of earlier units, got 1"):
        executors.check_needs([Unit("a", "g"), Unit("b", "g", needs=(0, 1))])


@pytest.mark.parametrize("end", (signal.SIGINT, signal.SIGKILL))
def test_workers_end_with_the_run(tmp_path, end):
    notes = tmp_path / "notes"
    notes.mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}
    command = [sys.executable, str(TESTS / "experiment_tasks.py"), str(tmp_path / "run"), str(notes)]
    child = subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: tries(notes, 2) and tries(notes, 3))
    finally:  # Ctrl-C goes to the whole group
        os.killpg(child.pid, end) if end == signal.SIGINT else child.kill()
        _, error = child.communicate()
    assert child.returncode != 0 and error.count("Traceback") <= 1
    pids = {int(path.name.partition("-")[2]) for path in notes.iterdir()}
    assert child.pid not in pids
    wait_until(lambda: not any(alive(pid) for pid in pids))
    assert len(list((tmp_path / "run" / "members").glob("*.json"))) == 2


def wait_until(true, seconds=60):
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# ---- what is refused -----------------------------------------------------------------------------------------


def refused(out, capsys, *options):
    """The one line of error with which a run ends before its folder is made."""
    assert main(["run", "heat", "--size", "smoke", "--out", str(out), *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith("fpdet: error: ") and error.count("\n") == 1 and not out.exists()
    assert not ray.is_initialized()
    return error


@pytest.mark.parametrize(
    "options, message",
    (
        ("--executor rey", "--executor: expected one of local, ray, got 'rey' (did you mean 'ray'?)"),
        ("--workers 0", "--workers: expected at least 1, got 0"),
        ("--executor ray --workers -2", "--workers: expected at least 1, got -2"),
        ("--address 10.0.0.1:6379", "--address: expected none with --executor local, got '10.0.0.1:6379'"),
        ("--executor ray --address here", "--address: expected HOST:PORT or auto, got 'here'"),
        ("--executor ray --address ray://head:10001", "--address: expected HOST:PORT or auto, got 'ray://head:10001'"),
    ),
)
def test_options_that_mean_nothing(tmp_path, capsys, options, message):
    assert message in refused(tmp_path / "run", capsys, *options.split())


def test_ray_that_is_not_installed(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with monkeypatch.context() as patch:
        patch.setattr(ray, "is_initialized", lambda: False)
        error = refused(tmp_path / "run", capsys, "--executor", "ray")
    assert "--executor ray: expected Ray, not installed; pip install 'fpdet[ray]'" in error


def test_address_that_nobody_answers(tmp_path, capsys):
    error = refused(tmp_path / "run", capsys, "--executor", "ray", "--address", f"127.0.0.1:{free_port()}")
    assert "--address: expected a Ray cluster that runs" in error and "ConnectionRefusedError" in error


def test_more_threads_than_a_node_has(nodes, tmp_path, capsys):
    options = ("--executor", "ray", "--address", nodes.address, "--set", "threads=3")
    error = refused(tmp_path / "run", capsys, *options)
    assert "threads: expected at most 2, the processors of the cluster's largest node, got 3; --set threads=2" in error


def test_workers_of_another_build(nodes, tmp_path, capsys, monkeypatch):
    for module in (cluster, processes):
        monkeypatch.setattr(module, "identity", lambda: {**identity(), "library": "of another build"})
    error = refused(tmp_path / "run", capsys, "--executor", "ray", "--address", nodes.address)
    assert "expected a node that computes with this fpdet" in error and "expected library of another build" in error
    with pytest.raises(ConfigError, match="expected library of another build, as in the process that asks, got"):
        tiny(tmp_path / "run", tmp_path / "notes", executors.chosen(workers=2))
