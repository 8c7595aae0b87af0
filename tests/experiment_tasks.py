"""A small experiment whose units misbehave as told, for tests/test_exp_executors.py; workers import it.

``python experiment_tasks.py OUT FOLDER``: the mode "slow" in two processes.
"""

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from fpdet.experiments.config import Settings
from fpdet.experiments.experiment import Experiment, Unit

BAD = 3  # the unit that misbehaves


@dataclass(frozen=True)
class TinySettings(Settings):
    mode: str = ""
    folder: str = ""  # where units leave notes


class Tiny(Experiment):
    """Unit 0 draws; the others add to what it drew, the last to what two units found."""

    name = "tiny"
    Settings = TinySettings

    def prepare(self, settings, root):
        return {"offset": torch.arange(4.0)}

    def units(self, settings):
        chain = [Unit("base", "base")] + [Unit(f"unit {i}", "sum", given={"i": i}, needs=(0,)) for i in range(1, 6)]
        return [*chain, Unit("last", "sum", given={"i": 6}, needs=(0, BAD))]

    def compute(self, settings, unit, prepared, done, on_step):
        index = unit.given.get("i", 0)
        with open(Path(settings.folder) / f"{index}-{os.getpid()}", "a") as note:
            note.write(".")
        if index == BAD:
            misbehave(settings)
        if settings.mode == "slow" and index > 1:
            for step in range(600):
                time.sleep(0.05)
                on_step(step / 600)
        torch.manual_seed(settings.seed)
        value = torch.rand(4) if index == 0 else done(0)[1]["value"] + index * prepared["offset"]
        if index == 6:
            value = value + done(2 if settings.mode == "undeclared" else BAD)[1]["value"]
        return {"sum": value.sum().item(), "threads": torch.get_num_threads(), "nan": float("nan")}, {"value": value}

    def summarise(self, settings, units, results, records):
        rows = [{"unit": unit.name, "sum": result["sum"]} for unit, result in zip(units, results, strict=True)]
        return {"runs": rows}, {"rows": rows}

    def write_report(self, folder, units, results, summary, tables):
        pass

    def verdict(self, summary):
        return True, "ran"


class OwnError(Exception):
    """One that pickles, and cannot be read back."""

    def __init__(self, first, second):
        super().__init__(f"{first} {second}")


def tries(folder, index=BAD):
    """How often a unit began."""
    return sum(len(path.read_text()) for path in Path(folder).glob(f"{index}-*"))


def misbehave(settings):
    first = tries(settings.folder) == 1
    if settings.mode == "kill" and first:
        os.kill(os.getpid(), signal.SIGKILL)
    if settings.mode == "kill node" and first:
        os.kill(os.getppid(), signal.SIGKILL)  # the raylet
        os.kill(os.getpid(), signal.SIGKILL)
    if settings.mode == "connection":
        raise ConnectionError("the unit's own")
    if settings.mode == "own error":
        raise OwnError(1, 2)
    if settings.mode == "exit":
        sys.exit(7)


if __name__ == "__main__":
    from experiment_tasks import Tiny, TinySettings  # not __main__'s, which workers do not have

    from fpdet.experiments import executors, runner

    runner.run(Tiny(), TinySettings(mode="slow", folder=sys.argv[2]), sys.argv[1], executor=executors.chosen(workers=2))
