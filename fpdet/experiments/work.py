"""One unit's work, in whatever process: how torch is set, what the unit may ask for, and how its answer travels.

Between processes everything travels pickled, so a unit never shares memory with another.
"""

import functools
import math
import os
import pickle
import socket
import time
import traceback
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from fpdet.experiments.config import ConfigError
from fpdet.experiments.store import identity


class UndeclaredNeedError(RuntimeError):
    """An experiment asked for a unit that its `Unit.needs` does not name: a mistake of the experiment."""


class WorkerTraceback(Exception):
    """The traceback of an exception that a worker sent, as text; the cause of that exception."""

    def __str__(self):
        return f"\n{self.args[0]}"


@dataclass(frozen=True)
class Shared:
    """What all units of a run share: made once, given once to every worker."""

    experiment: object
    settings: object
    prepared: object


@dataclass(frozen=True)
class Lost:
    """The answer of a unit whose worker died; `reason` says how."""

    reason: str


class Failure:
    """The answer of a unit that raised, on its way to the process that raises it again."""

    def __init__(self, error):
        self.text = "".join(traceback.format_exception(error))
        self.error = error if _travels(error) else RuntimeError(f"{type(error).__name__}: {error}")

    def reraise(self):
        """Raise the exception, its traceback in the worker as its cause."""
        raise self.error from WorkerTraceback(self.text)


def _travels(error):
    try:
        return type(pickle.loads(pickle.dumps(error))) is type(error)
    except Exception:  # whatever an exception's own __reduce__ or __init__ raises
        return False


def compute(shared, unit, needed, on_step):
    """The (result, record) of one unit; `needed` holds those of `unit.needs`, by index.

    Raises:
        UndeclaredNeedError: the experiment asked for another.
    """

    def done(index):
        if index not in needed:
            raise UndeclaredNeedError(
                f"{shared.experiment.name}, unit {unit.name!r}: expected done(i) of i in its needs {unit.needs}, "
                f"got done({index}); name it in Unit.needs"
            )
        return needed[index]

    with deterministic(shared.settings.threads):
        began = time.perf_counter()
        result, record = shared.experiment.compute(shared.settings, unit, shared.prepared, done, on_step)
        result = words(result)
        result["seconds"] = round(time.perf_counter() - began, 3)
    return result, record


def answer(driver, shared, unit, needed, on_step):
    """The bytes that a worker sends back: a pickled (result, record), or a `Failure`.

    Args:
        driver: `store.identity` of the process that asks.
        shared: a pickled `Shared`.
        needed: {index: pickled (result, record)} of `unit.needs`.
    """
    try:
        check_build(driver)
        needed = {index: pickle.loads(pair) for index, pair in needed.items()}
        return pickle.dumps(compute(pickle.loads(shared), unit, needed, on_step))
    except BaseException as error:  # SystemExit too: it is the unit's, and says nothing of the worker
        return pickle.dumps(Failure(error))


def check_build(driver):
    """Raise ConfigError unless this process computes with the very library of the process that asks."""
    for key, value in driver.items():
        if _own()[key] != value:
            raise ConfigError(
                f"process {os.getpid()} of {socket.gethostname()}: expected {key} {value}, as where the run began, "
                f"got {_own()[key]}; install the same build of fpdet and torch wherever units run"
            )


@functools.cache
def _own():
    return identity()


def words(value):
    """A JSON value whose NaN and infinities have become the words "nan", "inf", "-inf"."""
    if isinstance(value, dict):
        return {key: words(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [words(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def deterministic(threads):
    """torch's deterministic mode with a fixed number of threads; the settings before come back afterwards."""
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.get_num_threads(),
    )
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.set_num_threads(before[2])


def available_threads():
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
