"""Runs the experiment: members one after another, progress, tables, report."""

import os
import platform
import time

import numpy as np
import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import fpdet
from fpdet.experiments import data, lockstep, report, statistics
from fpdet.experiments.model import TORCH_OPS, multiply_adds
from fpdet.experiments.sources import BASELINE, describe, guess_seconds, members
from fpdet.experiments.store import RunFolder, RunFolderError


def run(config, out, root=None, console=None):
    """Run, or go on with, the experiment in folder `out`; returns the summary.

    Everything that can be wrong is checked before the folder is made.

    Raises:
        ConfigError, DataError, ValueError: a bad setting, data file, arithmetic or run folder.
    """
    console = console or Console()
    started = time.perf_counter()
    plan = members(config)
    train, test = data.load(config.data, root)
    train, test = data.split(config.data, train, test, config.train_images, config.test_images, config.seed)
    batches = lockstep.prepare(train, test)
    folder = RunFolder(out, config)
    macs_forward, macs_step = multiply_adds(config, *batches.shape)
    costs = [guess_seconds(config, member, macs_step, macs_forward) for member in plan]
    done = [folder.load(index, member) for index, member in enumerate(plan)]
    kept = sum(item is not None for item in done)
    todo = sum(cost for cost, item in zip(costs, done, strict=True) if item is None)
    console.print(
        f"{len(plan)} runs of {config.steps} steps on {config.data} ({config.train_images} training images), "
        f"{macs_step * config.batch:,} multiply-adds a step; about {_duration(todo)}"
    )
    if kept:
        console.print(f"{kept} finished runs found in {folder.path}, they are not repeated")
    if lockstep.available_threads() < config.threads:
        console.print(f"[yellow]threads: {config.threads} asked for, {lockstep.available_threads()} processors here[/]")
    with lockstep.deterministic(config.threads), _progress(console) as progress:
        clock = _Clock(plan, costs, done)
        bar = progress.add_task("", total=sum(costs), left="")
        reference = None
        for index, member in enumerate(plan):
            if done[index] is None:

                def on_step(step, index=index):
                    progress.update(bar, completed=clock.at(index, step / config.steps), left=clock.left())

                progress.update(bar, description=f"{member.source} · {member.name}" if index else BASELINE)
                done[index] = lockstep.train(config, member, batches, reference, on_step)
                folder.save(index, member, *done[index])
                clock.finished(index, done[index][0]["seconds"])
            progress.update(bar, completed=clock.at(index, 1.0), left=clock.left())
            if index == 0:
                reference = done[0][1]["recorded"], done[0][0]["digests"]
    summary = finish(folder, done)
    console.print(table(summary))
    for remark in report.remarks(summary):
        console.print(remark, markup=False)
    console.print(verdict(summary))
    console.print(f"report: {folder.path / 'report.html'}   ({_duration(time.perf_counter() - started)})")
    return summary


def finish(folder, done=None):
    """Write tables, summary, plots and report of a run folder whose members have all finished.

    Raises:
        RunFolderError: a member is missing.
    """
    plan = members(folder.config)
    if done is None:
        done = [folder.load(index, member) for index, member in enumerate(plan)]
    missing = [member.name for member, item in zip(plan, done, strict=True) if item is None]
    if missing:
        raise RunFolderError(f"{folder.path}: expected {len(plan)} finished runs, missing {', '.join(missing)}")
    results = [result for result, _ in done]
    predictions = [np.asarray(record["predictions"]) for _, record in done]
    summary = statistics.summarise(folder.config, results, predictions)
    summary["torch_ops"] = list(TORCH_OPS)
    summary["seconds"] = round(sum(result["seconds"] for result in results), 1)
    folder.write_json("summary.json", summary)
    folder.write_json("environment.json", environment(folder.config))
    folder.write_csv("members.csv", [_member_row(result) for result in results])
    folder.write_csv("steps.csv", [row for result in results for row in _step_rows(result)])
    report.write(folder, [describe(member) for member in plan], results, summary)
    return summary


def _member_row(result):
    names = ("source", "name", "arithmetic", "step_arithmetic", "rescale", "data_seed", "test_correct", "test_accuracy")
    row = {name: result[name] for name in names}
    row["first_difference"] = result["first_difference"]
    row["final_relative_l1"] = result["relative_l1"][-1]
    row["final_loss"] = result["losses"][-1]
    row["finite"] = result["finite"]
    row["weights_sha256"] = result["digests"][-1]
    row["seconds"] = result["seconds"]
    return row


def _step_rows(result):
    for step, distance in zip(result["steps"], result["relative_l1"], strict=True):
        yield {
            "source": result["source"],
            "name": result["name"],
            "step": step,
            "loss": result["losses"][step - 1],
            "relative_l1": distance,
        }


def environment(config):
    """What the run ran on."""
    return {
        "build": fpdet.build_info(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processors": lockstep.available_threads(),
        "threads": config.threads,
        "torch_environment": {
            k: v for k, v in sorted(os.environ.items()) if k.startswith(("ATEN_CPU", "OMP_", "MKL_", "ONEDNN_"))
        },
    }


def table(summary):
    """The result as a table for the terminal."""
    view = Table(
        title="What moves the test accuracy",
        title_style="bold",
        caption=report.CAPTION,
        caption_justify="left",
        box=SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )
    for name in report.HEADINGS:
        view.add_column(name, justify="left" if name == "source" else "right", no_wrap=True)
    for row in summary["sources"]:
        view.add_row(*report.cells(row))
    view.add_section()
    for row in (*summary["controls"], *summary["exact"]):
        view.add_row(*report.against_cells(row))
    return view


def verdict(summary):
    """One sentence on the controls."""
    if not summary["controls"]:
        return "[yellow]no controls were run[/]"
    if summary["controls_zero"]:
        return f"[green]controls: all {len(summary['controls'])} equal the baseline bit for bit, at every step[/]"
    return "[bold red]controls: NOT zero; nothing above can be trusted[/]"


class _Clock:
    """Estimates the time left: guessed seconds, scaled by what members of the same class took."""

    def __init__(self, plan, costs, done):
        self.kinds = [member.cost_class for member in plan]
        self.costs = costs
        self.rates = {}
        self.fraction = [0.0 if item is None else 1.0 for item in done]
        self.started = {}
        for index, item in enumerate(done):
            if item is not None:
                self.finished(index, item[0]["seconds"])

    def finished(self, index, seconds):
        self.rates[self.kinds[index]] = seconds / self.costs[index]

    def at(self, index, fraction):
        """Note how far a member is; returns the guessed seconds done in all."""
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
        return f"{_duration(seconds)} left"


def _progress(console):
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
        console=console,
    )


def _duration(seconds):
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
