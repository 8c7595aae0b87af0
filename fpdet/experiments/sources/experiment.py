"""The experiment ``sources``: members, tables, report."""

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from fpdet.experiments.config import one_of
from fpdet.experiments.data import DATASETS
from fpdet.experiments.experiment import Experiment
from fpdet.experiments.sources import lockstep, report, statistics
from fpdet.experiments.sources.config import Config
from fpdet.experiments.sources.members import describe, members
from fpdet.experiments.sources.model import TORCH_OPS
from fpdet.experiments.training import load


class Sources(Experiment):
    """One source of difference varied at a time, from equal weights on equal batches."""

    name = "sources"
    about = "How much of the spread in test accuracy comes from rounding, from order, and from the seed"
    Settings = Config

    def preset(self, size, data=None):
        data = data or "digits"
        one_of("data", data, DATASETS)
        return super().preset(size, data).change([f"data={data}"])

    def prepare(self, settings, root):
        return load(settings, root)

    def units(self, settings):
        return members(settings)

    def compute(self, settings, unit, prepared, done, on_step):
        reference = None
        if unit.needs:
            result, record = done(*unit.needs)
            reference = record["recorded"], result["digests"]
        return lockstep.train(settings, unit, prepared, reference, lambda step: on_step(step / settings.steps))

    def summarise(self, settings, units, results, records):
        predictions = [np.asarray(records(index)["predictions"]) for index in range(len(units))]
        summary = statistics.summarise(settings, results, predictions)
        summary["torch_ops"] = list(TORCH_OPS)
        tables = {
            "members": [_member_row(result) for result in results],
            "steps": [row for result in results for row in _step_rows(result)],
        }
        return summary, tables

    def write_report(self, folder, units, results, summary, tables):
        report.write(folder, [describe(unit) for unit in units], results, summary)

    def show(self, console, summary):
        """The result as a table for the terminal."""
        console.print(_table(summary))
        for remark in report.remarks(summary):
            console.print(remark, markup=False)

    def verdict(self, summary):
        if not summary["controls"]:
            return True, "no controls were run"
        if summary["controls_zero"]:
            return True, f"controls: all {len(summary['controls'])} equal the baseline bit for bit, at every step"
        return False, "controls: NOT zero; nothing above can be trusted"


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


def _table(summary):
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


EXPERIMENT = Sources()
