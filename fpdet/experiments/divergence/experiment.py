"""The experiment ``divergence``: distance of twins over scaled iterations, per learning rate, layer and step."""

import math

import numpy as np

from fpdet.experiments import nets, plots
from fpdet.experiments.data import SHAPES
from fpdet.experiments.divergence import train
from fpdet.experiments.divergence.settings import DivergenceSettings
from fpdet.experiments.experiment import Experiment, Unit
from fpdet.experiments.training import load

ZERO = 1e-9  # the log scale of the pictures is cut below this


class Divergence(Experiment):
    """One unit: one training; the baseline of each learning rate comes before its twins."""

    name = "divergence"
    about = "Two trainings that differ in the last bit: how far their weights part, per learning rate, layer and step"
    Settings = DivergenceSettings

    def prepare(self, settings, root):
        return load(settings, root)

    def units(self, settings):
        macs = nets.multiply_adds(train.make(settings, SHAPES[settings.data])[0], *SHAPES[settings.data])
        found = []
        for lr in settings.lr:
            seconds = settings.steps(lr) * (0.02 + 3 * settings.batch * macs * 0.15e-9)
            baseline = len(found)
            twins = [("baseline", 1, False)]
            if lr == settings.lr[0]:
                twins += [(f"k={k} (control)", k, False) for k in settings.controls]
            twins.append((f"k={settings.rescale}", settings.rescale, False))
            if settings.ulp:
                twins.append(("one ulp at the start", 1, True))
            found += [
                Unit(
                    f"{name} lr={lr:g}",
                    "divergence",
                    seconds,
                    {"name": name, "lr": lr, "rescale": k, "ulp": ulp},
                    needs=() if name == "baseline" else (baseline,),
                )
                for name, k, ulp in twins
            ]
        return found

    def compute(self, settings, unit, prepared, done, on_step):
        given = unit.given
        reference = done(*unit.needs)[1]["snapshots"] if unit.needs else None
        result, record = train.run(settings, prepared, given["lr"], given["rescale"], given["ulp"], reference, on_step)
        return {"name": given["name"], **result}, record

    def summarise(self, settings, units, results, records):
        bases = {result["lr"]: result for result in results if result["name"] == "baseline"}
        runs = [_run(result, bases[result["lr"]]) for result in results]
        curves = [
            {
                "name": result["name"],
                "lr": result["lr"],
                "snapshot": i + 1,
                "step": (i + 1) * result["stride"],
                "loss": result["losses"][(i + 1) * result["stride"] - 1],
                "relative_l1": row[0],
            }
            for result in results
            for i, row in enumerate(result["relative_l1"])
        ]
        layers = [
            {"lr": result["lr"], "layer": name, "snapshot": i + 1, "relative_l1": row[1 + j]}
            for result in results
            if result["name"] == f"k={settings.rescale}"
            for i, row in enumerate(result["relative_l1"])
            for j, name in enumerate(result["layers"][1:])
            if name.endswith("weight") and ("conv" in name or "shortcut.0" in name or name.startswith("fc"))
        ]
        summary = {
            "data": settings.data,
            "net": settings.net,
            "width": settings.width,
            "arithmetic": settings.arithmetic,
            "rescale": settings.rescale,
            "runs": runs,
            "torch_ops": results[0]["torch_ops"],
        }
        return summary, {"curves": curves, "layers": layers}

    def figures(self, summary, tables):
        with plots.styled():
            first, axes = plots.figure(2, width=5.4, height=4.0)
            twin, names = f"k={summary['rescale']}", list(dict.fromkeys(row["name"] for row in tables["curves"]))
            shown = [name for name in (twin, "one ulp at the start") if name in names]
            for axis, name in zip(axes, shown, strict=False):
                lrs = list(dict.fromkeys(row["lr"] for row in tables["curves"]))
                for index, lr in enumerate(lrs):
                    rows = [row for row in tables["curves"] if (row["name"], row["lr"]) == (name, lr)]
                    axis.plot(
                        [row["snapshot"] for row in rows],
                        [max(row["relative_l1"], ZERO) for row in rows],
                        color=plots.colour(index),
                        label=f"lr {lr:g}",
                    )
                plots.dress(axis, f"Twin: {name}", "scaled iteration", "relative L1 of all weights", legend=True)
                axis.set(yscale="log", ylim=(ZERO, 4))
            return {"distance": first, "layers": _heat_maps(tables["layers"])}

    def sections(self, summary, tables):
        rows = [
            (
                run["name"],
                f"{run['lr']:g}",
                run["steps"],
                "never" if run["first_difference"] is None else run["first_difference"],
                _short(run["first_relative_l1"]),
                _short(run["final_relative_l1"]),
                run["farthest_layer"] or "-",
                _short(run["final_loss"], "{:.3f}"),
            )
            for run in summary["runs"]
            if run["name"] != "baseline"
        ]
        headings = ("twin", "lr", "steps", "differs from snapshot", "first L1", "last L1", "farthest layer", "loss")
        text = (
            f"{summary['net']} of width {summary['width']} on {summary['data']}, plain SGD, arithmetic "
            f"{summary['arithmetic']}. {nets.whose(summary['torch_ops'])}"
        )
        return [("What ran", text), ("Twins against their baseline", (headings, rows))]

    def verdict(self, summary):
        controls = [run for run in summary["runs"] if "(control)" in run["name"]]
        moved = [run["name"] for run in controls if run["first_difference"] is not None]
        twins = [run for run in summary["runs"] if run["name"] == f"k={summary['rescale']}"]
        if moved:
            return False, f"controls: {', '.join(moved)} changed bits; nothing here can be trusted"
        if all(run["first_difference"] is None for run in twins):
            return False, "no twin ever differed: nothing was perturbed"
        return True, f"controls: all {len(controls)} equal the baseline bit for bit; the twins do not"


def _run(result, base):
    pairs = zip(result["digests"], base["digests"], strict=True)
    last = [float(value) for value in result["relative_l1"][-1]]
    farthest = int(np.nanargmax(last[1:])) if any(value > 0 for value in last[1:]) else None
    return {
        "name": result["name"],
        "lr": result["lr"],
        "steps": len(result["losses"]),
        "first_difference": next((i + 1 for i, (a, b) in enumerate(pairs) if a != b), None),
        "first_relative_l1": result["relative_l1"][0][0],
        "final_relative_l1": result["relative_l1"][-1][0],
        "farthest_layer": None if farthest is None else result["layers"][1 + farthest],
        "final_loss": result["losses"][-1],
        "finite": all(isinstance(loss, float) for loss in result["losses"]),
    }


def _heat_maps(rows):
    lrs = list(dict.fromkeys(row["lr"] for row in rows))
    names = list(dict.fromkeys(row["layer"] for row in rows))
    figure, axes = plots.figure(len(lrs), width=3.6, height=1.6 + 0.16 * len(names), sharey=True)
    for axis, lr in zip(axes, lrs, strict=True):
        chosen = [row for row in rows if row["lr"] == lr]
        count = max(int(row["snapshot"]) for row in chosen)
        grid = np.full((len(names), count), math.log10(ZERO))
        for row in chosen:
            grid[names.index(row["layer"]), int(row["snapshot"]) - 1] = math.log10(max(row["relative_l1"], ZERO))
        shown = axis.imshow(grid, aspect="auto", vmin=math.log10(ZERO), vmax=0.3, cmap="magma", interpolation="nearest")
        axis.set_title(f"lr {lr:g}", loc="left", weight="bold", fontsize=10)
        axis.set_xlabel("scaled iteration")
    axes[0].set_yticks(range(len(names)), names, fontsize=7)
    figure.colorbar(shown, ax=axes, label="log10 relative L1")
    return figure


def _short(value, form="{:.1e}"):
    return value if isinstance(value, str) else form.format(value)


EXPERIMENT = Divergence()
