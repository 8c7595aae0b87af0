"""Runs an experiment: its units by an executor, resumption, tables, report. It alone writes in the run folder."""

import hashlib
import json
import os
import platform
import time

import numpy as np
import torch
from rich.console import Console

import fpdet
from fpdet.experiments import executors, load
from fpdet.experiments.progress import Bar, Clock, duration
from fpdet.experiments.store import RunFolder, RunFolderError, read_tables
from fpdet.experiments.work import Shared, available_threads, words


def run(experiment, settings, out, root=None, console=None, executor=None):
    """Run, or go on with, an `Experiment` in folder `out`; returns the summary.

    Everything that can be wrong is checked before the folder is made. `executor` is what `executors.chosen` gave; no
    bit depends on it.

    Raises:
        ConfigError, DataError, ValueError: a bad setting, data file, arithmetic, executor or run folder.
        WorkerLostError: a unit lost its workers.
    """
    console = console or Console()
    executor = executor or executors.Here()
    started = time.perf_counter()
    units = experiment.units(settings)
    executors.check_needs(units)
    prepared = experiment.prepare(settings, root)
    with executor.started(Shared(experiment, settings, prepared)) as pool:
        folder = RunFolder(out, experiment.name, settings)
        with folder.locked():
            results = [folder.result(index, unit) for index, unit in enumerate(units)]
            if None in results:
                folder.write_json("environment.json", environment(settings))
            _announce(console, folder, units, results, pool.slots, executor.processors(settings.threads))
            _run_units(pool, folder, units, results, console)
            summary = _finish(experiment, folder, units, results)
    experiment.show(console, summary)
    good, sentence = experiment.verdict(summary)
    console.print(sentence, style="green" if good else "bold red", markup=False)
    console.print(f"report: {folder.path / 'report.html'}   ({duration(time.perf_counter() - started)})")
    return summary


def _announce(console, folder, units, results, workers, processors):
    left = Clock(units, results).left(workers)
    at_once = f", {workers} at a time" if workers > 1 else ""
    console.print(f"{len(units)} runs of {folder.experiment}{at_once}; about {duration(left)}")
    kept = sum(result is not None for result in results)
    if kept:
        console.print(f"{kept} finished runs found in {folder.path}, they are not repeated")
    if available_threads() < processors:
        console.print(f"[yellow]threads: {processors} asked for, {available_threads()} processors here[/]")


def _run_units(pool, folder, units, results, console):
    recent = {}  # the last record used, since a baseline is asked for again and again

    def fetch(index):
        if index not in recent:
            recent.clear()
            recent[index] = folder.load(index, units[index])
        return recent[index]

    kept = [index for index, result in enumerate(results) if result is not None]
    with Bar(console, units, results, lambda: pool.slots) as bar:
        for index, (result, record) in executors.finished(pool, units, kept, fetch, bar):
            folder.save(index, units[index], result, record)
            results[index] = folder.result(index, units[index])
            bar.finished(index, result["seconds"])


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


def environment(settings):
    """What this process runs on."""
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
