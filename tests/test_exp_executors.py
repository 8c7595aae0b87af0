"""Executors of experiments: equal results from one process, several, or Ray; lost workers; resumption; refusals."""

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray
import torch
from experiment_tasks import Tiny, TinySettings, tries
from ray.cluster_utils import Cluster
from workers import free_port

from fpdet.__main__ import main
from fpdet.experiments import cluster, executors, load, plots, runner, work
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
            return executors.chosen("ray", int(workers), request.getfixturevalue("nodes").address)
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


def test_goes_on_where_another_executor_stopped(chosen, tmp_path, monkeypatch):
    settings = load("linear_pde").preset("smoke")
    expected = runner.run(load("linear_pde"), settings, tmp_path / "whole")["digest"]
    save, out = RunFolder.save, tmp_path / "run"

    def finished():
        return {path: path.stat().st_mtime_ns for path in (out / "members").glob("*.json")}

    for until, executor in ((2, "local 1"), (5, "cluster 2")):

        def interrupted(self, *given, until=until):
            if len(finished()) == until:
                raise KeyboardInterrupt
            save(self, *given)

        with monkeypatch.context() as patch:
            patch.setattr(RunFolder, "save", interrupted)
            with pytest.raises(KeyboardInterrupt):
                runner.run(load("linear_pde"), settings, out, executor=chosen(executor))
        times = finished()
        assert len(times) == until
    assert runner.run(load("linear_pde"), settings, out, executor=chosen("local 1"))["digest"] == expected
    assert finished().items() >= times.items()


# ---- lost workers and failing units --------------------------------------------------------------------------


@pytest.mark.parametrize("where", ("local 2", "cluster 2"))
def test_killed_worker_is_replaced(chosen, tmp_path, capsys, where):
    expected = tiny(tmp_path / "calm", tmp_path / "calm notes", executors.Here())
    assert tiny(tmp_path / "run", tmp_path / "notes", chosen(where), "kill") == expected
    assert tries(tmp_path / "notes") == 2 and tries(tmp_path / "notes", 4) == 1
    assert "retry 1 of 2" in capsys.readouterr().out


def test_killed_worker_without_retries_fails_the_run(chosen, tmp_path, monkeypatch):
    monkeypatch.setattr(executors, "RETRIES", 0)  # negative control of the test above
    with pytest.raises(executors.WorkerLostError, match=r"sum · unit 3: its worker was lost .*; tried 1 time\. "):
        tiny(tmp_path / "run", tmp_path / "notes", chosen("cluster 2"), "kill")
    assert tries(tmp_path / "notes") == 1
    assert (tmp_path / "run" / "members" / "00-base-base.json").is_file()


def test_worker_that_always_dies_is_tried_three_times():
    told = SimpleNamespace(began=lambda index: None, lost=lambda index, text: None, step=None)
    tried = []
    pool = SimpleNamespace(slots=2, submit=lambda index, unit, fetch: tried.append(index))
    pool.next = lambda on_step: (tried[-1], work.Lost("signal 9"))
    with pytest.raises(executors.WorkerLostError, match=r"^g · a: its worker was lost \(signal 9\); tried 3 times\. "):
        list(executors.finished(pool, [Unit("a", "g")], [], None, told))
    assert tried == [0, 0, 0]


def test_killed_node_is_done_without(nodes, chosen, tmp_path):
    expected = tiny(tmp_path / "calm", tmp_path / "calm notes", executors.Here())
    try:
        assert tiny(tmp_path / "run", tmp_path / "notes", chosen("cluster 2"), "kill node") == expected
        assert tries(tmp_path / "notes") == 2
    finally:
        nodes.add_node(num_cpus=2)


@pytest.mark.parametrize("where", ("local 1", "local 2", "cluster 2"))
def test_a_units_own_exception_is_raised_and_not_retried(chosen, tmp_path, where):
    with pytest.raises(ConnectionError, match=r"^the unit's own$"):
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
    tiny_settings = TinySettings(mode=mode, folder=str(tmp_path))
    units, pair = Tiny().units(tiny_settings), ({}, {"value": torch.zeros(4)})
    shared = pickle.dumps(work.Shared(Tiny(), tiny_settings, Tiny().prepare(tiny_settings, None)))
    unit = units[-1] if mode == "undeclared" else units[3]
    needed = {need: pickle.dumps(pair) for need in unit.needs}
    with pytest.raises(kind, match=message) as caught:
        pickle.loads(work.answer(identity(), shared, unit, needed, None)).reraise()
    assert "experiment_tasks.py" in str(caught.value.__cause__)


def test_undeclared_need_is_refused_in_one_process_too(tmp_path):
    with pytest.raises(UndeclaredNeedError, match=r"got done\(2\); name it in Unit.needs"):
        tiny(tmp_path / "run", tmp_path / "notes", executors.Here(), "undeclared")


def test_needs_of_later_units_are_refused():
    with pytest.raises(RuntimeError, match=r"unit 1, 'b': expected needs of earlier units, got 1"):
        executors.check_needs([Unit("a", "g"), Unit("b", "g", needs=(0, 1))])


def test_workers_end_with_the_run(tmp_path):
    ways = {signal.SIGINT: os.killpg, signal.SIGKILL: os.kill}  # Ctrl-C goes to the whole group
    children = {end: begun(tmp_path / end.name) for end in ways}
    for end, child in children.items():
        notes = tmp_path / end.name / "notes"
        try:
            wait_until(lambda notes=notes: tries(notes, 2) and tries(notes, 3))
        finally:
            ways[end](child.pid, end)
            _, error = child.communicate()
        assert child.returncode != 0 and error.count("Traceback") == (end == signal.SIGINT), error
        pids = {int(path.name.partition("-")[2]) for path in notes.iterdir()}
        assert len(pids) == 2 and child.pid not in pids
        wait_until(lambda pids=pids: not any(alive(pid) for pid in pids))
        assert len(list((tmp_path / end.name / "run" / "members").glob("*.json"))) == 2


def begun(folder):
    """A process that runs the small experiment in two others, and hears Ctrl-C even if this one does not."""
    (folder / "notes").mkdir(parents=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}
    command = [sys.executable, str(TESTS / "experiment_tasks.py"), str(folder / "run"), str(folder / "notes")]
    options = {"env": environment, "start_new_session": True, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **options)


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


@pytest.mark.parametrize("greeting", (b"SSH-2.0-x\r\n", b""))
def test_address_where_something_else_answers(tmp_path, capsys, monkeypatch, greeting):
    monkeypatch.setattr(cluster, "PATIENCE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        answer = threading.Thread(target=lambda: held.append(server.accept()[0]) or held[0].sendall(greeting))
        held = []
        answer.start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        error = refused(tmp_path / "run", capsys, "--executor", "ray", "--address", address)
        answer.join()
        held[0].close()
    assert "--address: expected a Ray cluster that runs" in error
    assert ("speaks no gRPC, it sent b'SSH-'" if greeting else "TimeoutError") in error


def test_more_threads_than_a_node_has(nodes, tmp_path, capsys):
    options = ("--executor", "ray", "--address", nodes.address, "--set", "threads=3")
    error = refused(tmp_path / "run", capsys, *options)
    assert "threads: expected at most 2, the processors of the cluster's largest node, got 3; --set threads=2" in error


def test_workers_of_another_build(nodes, tmp_path, capsys, monkeypatch):
    other = {**identity(), "library": "of another build"}
    monkeypatch.setattr(cluster, "identity", lambda: other)
    error = refused(tmp_path / "run", capsys, "--executor", "ray", "--address", nodes.address)
    assert "expected a node that computes with this fpdet" in error and "expected library of another build" in error
    with pytest.raises(ConfigError, match="expected library of another build, as where the run began, got"):
        pickle.loads(work.answer(other, b"", None, {}, None)).reraise()
