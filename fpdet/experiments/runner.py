"""Runs an experiment: units one after another, progress, resumption, tables, report."""

import hashlib
import json
import math
import os
import platform
import time
from contextlib import contextmanager

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

import fpdet
from fpdet.experiments import load
from fpdet.experiments.store import RunFolder, RunFolderError, read_tables


def run(experiment, settings, out, root=None, console=None):
    """Run, or go on with, an `Experiment` in folder `out`; returns the summary.

    Everything that can be wrong is checked before the folder is made.

    Raises:
        ConfigError, DataError, ValueError: a bad setting, data file, arithmetic or run folder.
    """
    console = console or Console()
    started = time.perf_counter()
    units = experiment.units(settings)
    prepared = experiment.prepare(settings, root)
    folder = RunFolder(out, experiment.name, settings)
    with folder.locked():
        results = [folder.result(index, unit) for index, unit in enumerate(units)]
        _announce(console, folder, units, results, settings)
        with deterministic(settings.threads):
            _run_units(experiment, folder, units, results, prepared, console)
        summary = _finish(experiment, folder, units, results)
    experiment.show(console, summary)
    good, sentence = experiment.verdict(summary)
    console.print(sentence, style="green" if good else "bold red", markup=False)
    console.print(f"report: {folder.path / 'report.html'}   ({duration(time.perf_counter() - started)})")
    return summary


def _announce(console, folder, units, results, settings):
    todo = sum(unit.seconds for unit, result in zip(units, results, strict=True) if result is None)
    console.print(f"{len(units)} runs of {folder.experiment}; about {duration(todo)}")
    kept = sum(result is not None for result in results)
    if kept:
        console.print(f"{kept} finished runs found in {folder.path}, they are not repeated")
    if available_threads() < settings.threads:
        console.print(f"[yellow]threads: {settings.threads} asked for, {available_threads()} processors here[/]")


def _run_units(experiment, folder, units, results, prepared, console):
    recent = {}  # the last record used, since a baseline is asked for again and again

    def done(index):
        if index not in recent:
            recent.clear()
            recent[index] = folder.load(index, units[index])
        return recent[index]

    with _progress(console) as progress:
        clock = _Clock(units, results)
        bar = progress.add_task("", total=clock.total, left="")
        for index, unit in enumerate(units):
            if results[index] is None:

                def on_step(share, index=index):
                    progress.update(bar, completed=clock.at(index, share), left=clock.left())

                progress.update(bar, description=f"{unit.group} · {unit.name}")
                began = time.perf_counter()
                result, record = experiment.compute(folder.settings, unit, prepared, done, on_step)
                result = words(result)
                result["seconds"] = round(time.perf_counter() - began, 3)
                folder.save(index, unit, result, record)
                results[index] = folder.result(index, unit)
                clock.finished(index, result["seconds"])
            progress.update(bar, completed=clock.at(index, 1.0), left=clock.left())


def finish(folder):
    """Write tables, summary, plots and report of a run folder whose units have all finished.

    Raises:
        RunFolderError: a unit is missing, or a process is using the folder.
    """
    experiment = load(folder.experiment)
    units = experiment.units(folder.settings)
    with folder.locked():
        results = [folder.result(index, unit) for index, unit in enumerate(units)]
        missing = [unit.name for unit, result in zip(units, results, strict=True) if result is None]
        if missing:
            raise RunFolderError(f"{folder.path}: expected {len(units)} finished runs, missing {', '.join(missing)}")
        return _finish(experiment, folder, units, results)


def _finish(experiment, folder, units, results):
    def record(index):
        return folder.load(index, units[index])[1]

    summary, tables = experiment.summarise(folder.settings, units, results, record)
    summary = words(summary)
    summary["digest"] = digest(results)
    summary["seconds"] = round(sum(result["seconds"] for result in results), 1)
    folder.write_json("summary.json", summary)
    folder.write_json("environment.json", environment(folder.settings))
    for name, rows in tables.items():
        folder.write_csv(f"{name}.csv", rows)
    experiment.write_report(folder, units, results, summary, read_tables(folder.path))
    return summary


def digest(results):
    """SHA-256 of everything the units gave, but for the seconds they took: equal for two runs of equal settings."""
    sha = hashlib.sha256()
    for result in results:
        kept = {name: value for name, value in result.items() if name not in ("seconds", "sha256")}
        sha.update(json.dumps(kept, sort_keys=True).encode())
    return sha.hexdigest()


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


def environment(settings):
    """What the run ran on."""
    return {
        "build": fpdet.build_info(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processors": available_threads(),
        "threads": settings.threads,
        "torch_environment": {
            k: v for k, v in sorted(os.environ.items()) if k.startswith(("ATEN_CPU", "OMP_", "MKL_", "ONEDNN_"))
        },
    }


def available_threads():
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


class _Clock:
    """Estimates the time left: guessed seconds, scaled by what units of the same class took."""

    def __init__(self, units, results):
        self.kinds = [unit.cost_class for unit in units]
        self.costs = [unit.seconds for unit in units]
        self.total = sum(self.costs)
        self.rates = {}
        self.fraction = [0.0 if result is None else 1.0 for result in results]
        self.started = {}
        for index, result in enumerate(results):
            if result is not None:
                self.finished(index, result["seconds"])

    def finished(self, index, seconds):
        self.rates[self.kinds[index]] = seconds / self.costs[index]

    def at(self, index, fraction):
        """Note how far a unit is; returns the guessed seconds done in all."""
        now = time.perf_counter()
        first, start = self.started.setdefault(index, (now, fraction))
        if fraction - start > 0.05:
            self.rates[self.kinds[index]] = (now - first) / ((fraction - start) * self.costs[index])
        self.fraction[index] = fraction
        return sum(cost * part for cost, part in zip(self.costs, self.fraction, strict=True))

    def left(self):
        seconds = sum(
            cost * (1 - part) * self.rates.get(kind, 1.0)
            for cost, part, kind in zip(self.costs, self.fraction, self.kinds, strict=True)
        )
        return f"{duration(seconds)} left"


def _progress(console):
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
        console=console,
    )


def duration(seconds):
    """Seconds in words."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
