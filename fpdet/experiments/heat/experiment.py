"""The experiment ``heat``: profiles, growth per step against von Neumann's limit, error against the exact
recurrence."""

from fractions import Fraction

import numpy as np

from fpdet.experiments import plots
from fpdet.experiments.experiment import Experiment, Unit
from fpdet.experiments.heat import model
from fpdet.experiments.heat.settings import HeatSettings
from fpdet.experiments.machine import Machine, Variant
from fpdet.experiments.store import number


class Heat(Experiment):
    """One unit: one ratio in one variant."""

    name = "heat"
    about = "The heat equation by forward Euler, each operation rounded; stable below von Neumann's limit r = 1/2"
    Settings = HeatSettings

    def units(self, settings):
        ratios = dict.fromkeys((*settings.ratios, *settings.profile_ratios))
        return [
            Unit(f"r={r} {Variant.parse(words)}", "heat", 2e-4 * settings.steps, {"r": r, "variant": words})
            for words in settings.variants
            for r in ratios
        ]

    def compute(self, settings, unit, prepared, done, on_step):
        variant, ratio = Variant.parse(unit.given["variant"]), Fraction(unit.given["r"])
        machine = Machine(variant, settings.seed)
        r = machine.number(float(ratio))
        u = machine.round(model.hat(settings.points, settings.peak))
        largest, error, asymmetry, profiles = [], [], [], {}
        for t, (numerators, denominator) in enumerate(model.exact_steps(u, ratio, settings.steps)):
            if t:
                u = step_checked(machine, u, r)
            largest.append(number(np.abs(u).max()))
            error.append(number(_error(u, numerators, denominator)))
            asymmetry.append(number(_asymmetry(u)))
            if t in settings.profile_steps:
                profiles[str(t)] = [number(value) for value in u]
            on_step(t / settings.steps)
        growth, mode = model.amplification(ratio, settings.points)
        return {
            "r": unit.given["r"],
            "variant": str(variant),
            "largest": largest,
            "error": error,
            "asymmetry": asymmetry,
            "profiles": profiles,
            "growth": _growth(largest, variant.largest),
            "error_growth": _growth(error),
            "predicted": growth,
            "mode": mode,
        }, {}

    def summarise(self, settings, units, results, records):
        summary = {
            "limit": 0.5,
            "grid_limit": model.limit(settings.points),
            "points": settings.points,
            "steps": settings.steps,
            "runs": [
                {
                    **{key: result[key] for key in ("r", "variant", "growth", "error_growth", "predicted", "mode")},
                    "largest": result["largest"][-1],
                    "error": result["error"][-1],
                    "relative_error": number(float(result["error"][-1]) / float(result["largest"][-1] or 1)),
                    "asymmetry": result["asymmetry"][-1],
                    "stable": float(result["largest"][-1]) <= float(result["largest"][0]),
                    "expected": model.expected(result["r"], settings.points, settings.peak, settings.steps),
                }
                for result in results
            ],
        }
        profiles = [
            {"r": result["r"], "variant": result["variant"], "step": int(t), "point": i, "u": u}
            for result in results
            if result["r"] in settings.profile_ratios and result["variant"] == results[0]["variant"]
            for t, values in result["profiles"].items()
            for i, u in enumerate(values)
        ]
        stride = max(1, settings.steps // 100)
        history = [
            {
                "r": result["r"],
                "variant": result["variant"],
                "step": t,
                **{key: result[key][t] for key in ("largest", "error", "asymmetry")},
            }
            for result in results
            if result["r"] in settings.profile_ratios
            for t in range(0, settings.steps + 1, stride)
        ]
        return summary, {"profiles": profiles, "history": history}

    def figures(self, summary, tables):
        with plots.styled():
            first, axes = plots.figure(2, width=5, height=3.8)
            ratios = list(dict.fromkeys(row["r"] for row in tables["profiles"]))
            for axis, r in zip(axes, ratios, strict=False):
                rows = [row for row in tables["profiles"] if row["r"] == r]
                for index, t in enumerate(dict.fromkeys(row["step"] for row in rows)):
                    shown = [row for row in rows if row["step"] == t]
                    axis.plot(
                        [row["point"] for row in shown],
                        [row["u"] for row in shown],
                        color=plots.colour(index),
                        label=f"step {t:g}",
                    )
                word = "stable" if r <= 0.5 else "unstable"
                plots.dress(axis, f"r = {r:g} ({word})", "point", "u", legend=True)
                if r > 0.5:
                    axis.set_yscale("symlog", linthresh=2.0)
            second, axes = plots.figure(2, width=5, height=3.8)
            _draw_growth(axes[0], summary)
            _draw_error(axes[1], tables["history"])
        return {"profiles": first, "growth": second}

    def sections(self, summary, tables):
        rows = [
            (
                run["variant"],
                run["r"],
                "yes" if run["stable"] else "no",
                _cell(run["growth"]),
                f"{run['predicted']:.6f}",
                _cell(run["error"], "{:.2e}"),
                _cell(run["relative_error"], "{:.1e}"),
            )
            for run in summary["runs"]
        ]
        headings = ("variant", "r", "stable", "growth a step", "predicted", "error", "error / max u")
        return [
            (
                "Limits",
                f"von Neumann's limit is r = {summary['limit']}; with {summary['points']} points the highest "
                f"mode of the "
                f"grid turns unstable at r = {summary['grid_limit']:.6f}. Growth is that of the largest |u| "
                f"over the last "
                "half of the steps (before it leaves the format); the error is that against the same "
                "recurrence in rationals.",
            ),
            ("Runs", (headings, rows)),
        ]

    def verdict(self, summary):
        wrong = [run for run in summary["runs"] if run["expected"] and run["stable"] != (run["expected"] == "stable")]
        if wrong:
            return False, f"{len(wrong)} of {len(summary['runs'])} runs are not stable or unstable as von Neumann says"
        return True, f"stability: all {len(summary['runs'])} runs as von Neumann's limit says"


def step_checked(machine, u, r):
    """`model.step`; values past the largest number go on as infinities and NaN, which are a result."""
    with np.errstate(all="ignore"):
        return model.step(machine, u, r)


def _asymmetry(u):
    with np.errstate(invalid="ignore"):
        return np.abs(u - u[::-1]).max()


def _error(u, numerators, denominator):
    """Largest |u - exact|, the difference taken exactly and rounded once."""
    worst = 0.0
    for value, numerator in zip(u.tolist(), numerators, strict=True):
        if not np.isfinite(value):
            return float("inf")
        top, bottom = value.as_integer_ratio()
        difference = abs(top * denominator - numerator * bottom)
        try:
            worst = max(worst, difference / (denominator * bottom))
        except OverflowError:
            return float("inf")
    return worst


def _growth(values, top=float("inf")):
    """The factor a step over the last half of the steps before half of `top` is passed; None where there is none."""
    values = [float(value) for value in values]
    end = next((t for t, value in enumerate(values) if not value < top / 2), len(values)) - 1
    half = end // 2
    if end < 2 or not 0 < values[half] or not 0 < values[end]:
        return None
    return (values[end] / values[half]) ** (1 / (end - half))


def _cell(value, form="{:.6f}"):
    return "-" if value is None else form.format(float(value))


def _draw_growth(axis, summary):
    variants = list(dict.fromkeys(run["variant"] for run in summary["runs"]))
    for index, variant in enumerate(variants):
        runs = sorted(
            (float(run["r"]), run["growth"]) for run in summary["runs"] if run["variant"] == variant and run["growth"]
        )
        marker = "os^vDP*XdhH"[index % 11]
        axis.plot(
            *zip(*runs, strict=True), marker, ms=7 - 0.4 * index, mfc="none", color=plots.colour(index), label=variant
        )
    predicted = sorted({(float(run["r"]), run["predicted"]) for run in summary["runs"]})
    axis.plot(*zip(*predicted, strict=True), color=plots.INK, lw=0.8, zorder=0, label="largest amplification factor")
    axis.axvline(summary["limit"], color="red", lw=1, ls="--", label="von Neumann's limit r = 1/2")
    plots.dress(axis, "Growth of max |u| a step", "r", "factor", legend=True)


def _draw_error(axis, history):
    names = list(dict.fromkeys((row["variant"], row["r"]) for row in history))
    variants = list(dict.fromkeys(variant for variant, _ in names))
    for variant, r in names:
        rows = [row for row in history if (row["variant"], row["r"]) == (variant, r)]
        axis.plot(
            [row["step"] for row in rows],
            [row["error"] if row["error"] and np.isfinite(row["error"]) else np.nan for row in rows],
            color=plots.colour(variants.index(variant)),
            ls="-" if r <= 0.5 else ":",
            label=variant if r <= 0.5 else None,
        )
    plots.dress(
        axis, "Error against exact rationals (dotted: unstable)", "step", "largest |error|", legend=True, yscale="log"
    )


EXPERIMENT = Heat()
