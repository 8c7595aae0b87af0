"""The experiment ``edge_of_stability``: sharpness against 2/lr, and the growth of last-bit error on the same axis."""

import math
from itertools import pairwise

import numpy as np

from fpdet.experiments import nets, plots
from fpdet.experiments.edge_of_stability import train
from fpdet.experiments.edge_of_stability.settings import EdgeSettings
from fpdet.experiments.experiment import Experiment, Unit
from fpdet.experiments.training import load


class EdgeOfStability(Experiment):
    """One unit: one net, learning rate and weight decay; the twin and the control train beside it."""

    name = "edge_of_stability"
    about = "Full-batch gradient descent: where sharpness settles against 2/lr, and what last-bit error does there"
    Settings = EdgeSettings

    def prepare(self, settings, root):
        return load(settings, root)

    def units(self, settings):
        return [
            Unit(
                f"{net} lr={lr:g} wd={decay:g}",
                "edge",
                settings.steps * (3 + settings.lanczos / settings.every) * 6e-5 * settings.train_images,
                {"net": net, "lr": lr, "weight_decay": decay},
            )
            for net in settings.nets
            for lr in settings.lr
            for decay in settings.weight_decay
        ]

    def compute(self, settings, unit, prepared, done, on_step):
        return train.run(settings, prepared, unit.given, on_step)

    def summarise(self, settings, units, results, records):
        summary = {
            "data": settings.data,
            "train_images": settings.train_images,
            "steps": settings.steps,
            "tail": settings.tail,
            "every": settings.every,
            "rescale": settings.rescale,
            "control": settings.control,
            "runs": [_run(settings, result) for result in results],
            "torch_ops": results[0]["torch_ops"],
        }
        curves = [
            {
                "net": result["net"],
                "lr": result["lr"],
                "weight_decay": result["weight_decay"],
                "step": i * settings.every,
                "loss": result["losses"][i * settings.every],
                "sharpness": value,
                "relative_l1": result["relative_l1"][i * settings.every],
            }
            for result in results
            for i, value in enumerate(result["sharpness"])
        ]
        return summary, {"curves": curves}

    def figures(self, summary, tables):
        runs = summary["runs"]
        with plots.styled():
            figure, axes = plots.figure(3, width=4.8, height=4.2)
            for index, run in enumerate(runs):
                key = (run["net"], run["lr"], run["weight_decay"])
                rows = [row for row in tables["curves"] if (row["net"], row["lr"], row["weight_decay"]) == key]
                steps = [row["step"] for row in rows]
                label = f"{run['net']} lr {run['lr']:g} wd {run['weight_decay']:g}"
                shade = plots.colour(index)
                axes[0].plot(steps, [row["loss"] for row in rows], color=shade, lw=1, label=label)
                axes[1].plot(steps, [row["sharpness"] * run["lr"] / 2 for row in rows], color=shade, lw=1)
                axes[2].plot(steps, [max(row["relative_l1"], 1e-10) for row in rows], color=shade, lw=1)
            plots.dress(axes[0], "Loss", "step", "loss", legend=True, yscale="log")
            axes[1].axhline(1, color="red", lw=1, ls="--")
            plots.dress(axes[1], "Sharpness in units of 2/lr", "step", "sharpness * lr / 2")
            axes[1].set_ylim(0, 2)
            title = f"k = 1 against k = {summary['rescale']}"
            plots.dress(axes[2], title, "step", "relative L1 of all weights", yscale="log", ylim=(1e-10, 4))
            return {"edge": figure}

    def sections(self, summary, tables):
        rows = [
            (
                run["net"],
                f"{run['lr']:g}",
                f"{run['weight_decay']:g}",
                f"{run['two_over_lr']:g}",
                f"{run['two_over_lr_minus_decay']:g}",
                _short(run["sharpness_first"], "{:.2f}"),
                _short(run["sharpness_last"], "{:.2f}"),
                "-" if run["reached_at"] is None else run["reached_at"],
                run["rises"],
                _short(run["relative_l1_reached"], "{:.1e}"),
                _short(run["relative_l1_largest"], "{:.1e}"),
                _short(run["relative_l1_last"], "{:.1e}"),
            )
            for run in summary["runs"]
        ]
        headings = (
            "net",
            "lr",
            "wd",
            "2/lr",
            "2/lr - wd",
            "sharpness at start",
            f"mean of the last {summary['tail']} steps",
            "2/lr - wd reached at step",
            "steps at which the loss rose",
            "L1 of the twins when reached",
            "largest",
            "at the end",
        )
        text = (
            f"{summary['train_images']} images of {summary['data']}, full batch, {summary['steps']} steps. Sharpness "
            "is the largest eigenvalue of the Hessian of the loss without the weight decay's share; it is reached "
            "where, having been below, it first is 2/lr - wd or more. The loss is that without the decay's share too. "
            f"{nets.whose(summary['torch_ops'])}"
        )
        return [("What ran", text), ("Runs", (headings, rows))]

    def verdict(self, summary):
        moved = [run["net"] for run in summary["runs"] if not run["control_equal"]]
        if moved:
            return False, f"controls: k = {summary['control']} changed bits of {', '.join(moved)}"
        if not any(run["differs"] for run in summary["runs"]):
            return False, "no twin ever differed: nothing was perturbed"
        return (
            True,
            f"controls: k = {summary['control']} equals the baseline bit for bit, at every step; the twins do not",
        )


def _run(settings, result):
    sharpness = [float(value) for value in result["sharpness"]]
    losses = [float(value) for value in result["losses"]]
    edge = 2 / result["lr"] - result["weight_decay"]
    below = next((i for i, value in enumerate(sharpness) if value < edge), len(sharpness))  # it may start above
    reached = next((i * settings.every for i in range(below, len(sharpness)) if sharpness[i] >= edge), None)
    last = sharpness[-max(1, settings.tail // settings.every) :]
    distances = [float(value) for value in result["relative_l1"]]
    return {
        **{key: result[key] for key in ("net", "lr", "weight_decay", "parameters", "control_equal")},
        "two_over_lr": 2 / result["lr"],
        "two_over_lr_minus_decay": edge,
        "sharpness_first": result["sharpness"][0],
        "sharpness_last": _word(np.mean(last)),
        "sharpness_largest": _word(max(sharpness)),
        "reached_at": reached,
        "rises": sum(b > a for a, b in pairwise(losses)),
        "loss_last": result["losses"][-1],
        "finite": all(map(math.isfinite, losses)),
        "differs": any(value != 0 for value in distances),
        "relative_l1_last": result["relative_l1"][-1],
        "relative_l1_reached": None if reached is None else result["relative_l1"][reached],
        "relative_l1_largest": _word(max(distances)),
    }


def _word(value):
    return float(value) if math.isfinite(value) else str(float(value))


def _short(value, form):
    return "-" if value is None else value if isinstance(value, str) else form.format(value)


EXPERIMENT = EdgeOfStability()
