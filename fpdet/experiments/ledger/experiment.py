"""The experiment ``ledger``: where float32 loses its bits, layer by layer and pass by pass, and what would mend it."""

import math

import numpy as np

from fpdet.experiments import plots
from fpdet.experiments.experiment import Experiment, Unit
from fpdet.experiments.ledger import train
from fpdet.experiments.ledger.measure import EXACT, PASSES
from fpdet.experiments.ledger.settings import LedgerSettings
from fpdet.experiments.training import load

WORDS = {"torch": "torch (the other layers)"}


class Ledger(Experiment):
    """Two units: the training with its ledger, and the same training unwatched, which must end with equal bits."""

    name = "ledger"
    about = "How much error every layer and pass of a training step adds, against the exact result of the same operands"
    Settings = LedgerSettings

    def prepare(self, settings, root):
        return load(settings, root)

    def units(self, settings):
        plain = 0.03 * settings.steps
        watched = plain + 4.0 * len(settings.at) * (1 + len(settings.alternatives))
        return [Unit("watched", "watched", watched), Unit("unwatched", "unwatched", plain)]

    def compute(self, settings, unit, prepared, done, on_step):
        return train.run(settings, prepared, unit.name == "watched", on_step)

    def summarise(self, settings, units, results, records):
        watched, plain = results
        rows = watched["rows"]
        convolutions = [row for row in rows if row["pass"] in PASSES and row["arithmetic"] != "torch"]
        own = [row for row in convolutions if row["arithmetic"] == settings.arithmetic]
        summary = {
            "data": settings.data,
            "net": settings.net,
            "width": settings.width,
            "arithmetic": settings.arithmetic,
            "steps": settings.steps,
            "at": list(settings.at),
            "unwatched_equal": watched["digest_of_weights"] == plain["digest_of_weights"],
            "recomputed_equal": all(row["same"] for row in own),
            "exact_never_wrong": all(row["wrong"] == 0 for row in convolutions if row["arithmetic"] == EXACT),
            "own_wrong": max((row["wrong"] for row in own), default=0.0),
            "passes": _passes(rows, settings),
            "worst": _worst(own, convolutions, settings),
            "torch_ops": watched["torch_ops"],
        }
        keys = ("step", "layer", "pass", "arithmetic", "relative_error", "wrong", "ulps")
        return summary, {"rows": [{key: row[key] for key in keys} for row in rows]}

    def figures(self, summary, tables):
        with plots.styled():
            last = max(summary["at"])
            own = [
                r for r in tables["rows"] if r["step"] == last and r["arithmetic"] in (summary["arithmetic"], "torch")
            ]
            return {"layers": _heat_map(own), "arithmetics": _bars(summary)}

    def sections(self, summary, tables):
        text = (
            f"{summary['net']} of width {summary['width']} on {summary['data']}, {summary['steps']} steps under "
            f"{summary['arithmetic']}; booked at steps {', '.join(map(str, summary['at']))}. Relative errors in "
            f"the 2-norm, "
            "geometric means over layers and booked steps. Rows named torch are torch's float32 ops on one thread."
        )
        passes = [
            (
                row["pass"],
                row["arithmetic"],
                f"{row['relative_error']:.2e}",
                "-" if row["wrong"] is None else f"{100 * row['wrong']:.1f}",
                "-" if row["ulps"] is None else f"{row['ulps']:.2f}",
            )
            for row in summary["passes"]
        ]
        worst = [
            (
                row["layer"],
                row["pass"],
                row["step"],
                f"{row['relative_error']:.2e}",
                f"{row['ulps']:.2f}",
                row["best"],
                f"{row['times_smaller']:.1f}",
            )
            for row in summary["worst"]
        ]
        return [
            ("What was booked", text),
            ("By pass", (("pass", "arithmetic", "relative error", "not correctly rounded, %", "mean ulps"), passes)),
            (
                "Largest errors, and the alternative that mends most (exact apart)",
                (("layer", "pass", "step", "relative error", "mean ulps", "best", "times smaller"), worst),
            ),
        ]

    def verdict(self, summary):
        if not summary["unwatched_equal"]:
            return False, "controls: the training without its ledger ends with other weights"
        if not summary["recomputed_equal"]:
            return False, "controls: recomputed passes are not the training's"
        if not summary["exact_never_wrong"] or summary["own_wrong"] == 0:
            return False, "controls: exact must never differ from the correctly rounded result, the run's order must"
        return (
            True,
            "controls: unwatched training, recomputed passes and exact sums agree bit for bit; the run's order "
            "does not",
        )


def _passes(rows, settings):
    """Means by pass and arithmetic."""
    found, groups = [], {}
    for row in rows:
        groups.setdefault((row["pass"], row["arithmetic"]), []).append(row)
    for (kind, arithmetic), members in groups.items():
        wrong = [row["wrong"] for row in members if row["wrong"] is not None]
        ulps = [row["ulps"] for row in members if row["ulps"] is not None]
        found.append(
            {
                "pass": kind,
                "arithmetic": arithmetic,
                "relative_error": _geometric([float(row["relative_error"]) for row in members]),
                "wrong": float(np.mean(wrong)) if wrong else None,
                "ulps": float(np.mean(ulps)) if ulps else None,
            }
        )
    return sorted(found, key=lambda row: (row["pass"], row["arithmetic"] == "torch"))


def _worst(own, convolutions, settings, most=10):
    """The rows of the run's arithmetic with the largest relative error, and the alternative with the smallest."""
    found = []
    for row in sorted(own, key=lambda row: -float(row["relative_error"]))[:most]:
        place = (row["step"], row["layer"], row["pass"])
        others = [
            other
            for other in convolutions
            if (other["step"], other["layer"], other["pass"]) == place and other["arithmetic"] in settings.alternatives
        ]
        others = [other for other in others if other["arithmetic"] != EXACT] or others
        best = min(others, key=lambda other: float(other["relative_error"]), default=row)
        found.append(
            {
                **{key: row[key] for key in ("step", "layer", "pass", "relative_error", "ulps")},
                "best": best["arithmetic"],
                "times_smaller": float(row["relative_error"]) / max(float(best["relative_error"]), 1e-300),
            }
        )
    return found


def _geometric(values):
    values = [value for value in values if 0 < value < math.inf]
    return float(np.exp(np.mean(np.log(values)))) if values else 0.0


def _heat_map(rows):
    rows = [
        row for row in rows if row["pass"] in PASSES and row["relative_error"] > 0
    ]  # ReLU and the like round nothing
    layers = list(dict.fromkeys(row["layer"] for row in rows))
    grid = np.full((len(PASSES), len(layers)), np.nan)
    for row in rows:
        grid[PASSES.index(row["pass"]), layers.index(row["layer"])] = math.log10(row["relative_error"])
    figure, axes = plots.figure(width=2 + 0.3 * len(layers), height=3.4)
    shown = axes[0].imshow(grid, aspect="auto", cmap="magma", interpolation="nearest")
    axes[0].set_xticks(range(len(layers)), layers, rotation=90, fontsize=7)
    axes[0].set_yticks(range(len(PASSES)), PASSES)
    axes[0].set_title(
        "log10 relative error, last booked step (grey: no such pass)", loc="left", weight="bold", fontsize=10
    )
    axes[0].set_facecolor("#dddddd")
    figure.colorbar(shown, ax=axes)
    return figure


def _bars(summary):
    figure, axes = plots.figure(width=7, height=3.8)
    names = list(dict.fromkeys(row["arithmetic"] for row in summary["passes"] if row["pass"] in PASSES))
    for index, name in enumerate(names):
        rows = {row["pass"]: row["relative_error"] for row in summary["passes"] if row["arithmetic"] == name}
        at = [i + 0.8 * index / len(names) for i, kind in enumerate(PASSES) if kind in rows]
        axes[0].bar(
            at,
            [rows[kind] for kind in PASSES if kind in rows],
            0.8 / len(names),
            color=plots.colour(index),
            label=WORDS.get(name, name),
        )
    axes[0].set_xticks([i + 0.35 for i in range(len(PASSES))], PASSES)
    plots.dress(
        axes[0], "Relative error by pass, geometric mean over layers", "", "relative error", legend=True, yscale="log"
    )
    return figure


EXPERIMENT = Ledger()
