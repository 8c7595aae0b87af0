"""The experiment ``nonlinear_pde``: loss, distance of the twins, Lyapunov exponent and regime over learning rates."""

import math

import numpy as np

from fpdet.experiments.experiment import Experiment, Unit
from fpdet.experiments.linear_pde.model import start
from fpdet.experiments.machine import Machine, Variant
from fpdet.experiments.nonlinear_pde import figures, model
from fpdet.experiments.nonlinear_pde.regime import lyapunov, regime, relative_l1
from fpdet.experiments.nonlinear_pde.settings import NonlinearSettings
from fpdet.experiments.store import number

STACK = 4  # filters as large as the image, of one channel: so many at once are fast
EMULATED = 10.0  # how much longer a format or rounding takes that no instruction has; for the estimate


class NonlinearPde(Experiment):
    """One unit: one learning rate in one variant, k = 1 and its twin side by side; and the controls."""

    name = "nonlinear_pde"
    about = (
        "The one-layer CNN: where the loss oscillates, where last-bit error grows to order one, and where both diverge"
    )
    Settings = NonlinearSettings

    def units(self, settings):
        work = settings.iterations * settings.kernel**2 * (settings.image - settings.kernel + 1) ** 2
        first = settings.variants[0]
        found = [Unit("controls", "control", 1e-9 * work * (len(settings.controls) + 2), {"variant": first})]
        for words in settings.variants:
            variant = Variant.parse(words)
            native = variant.format in ("float32", "float64") and variant.rounding != "stochastic"
            seconds = (0.6e-9 * work + 1.5e-3 * settings.iterations) * (1 if native else EMULATED)
            found += [
                Unit(f"lr={lr:g} {variant}", variant.format, seconds, {"variant": words, "lr": lr})
                for lr in settings.lr
            ]
        return found

    def compute(self, settings, unit, prepared, done, on_step):
        variant = Variant.parse(unit.given["variant"])
        if unit.group == "control":
            return _controls(settings, variant, on_step), {}
        lr = unit.given["lr"]
        nets = _nets(variant, settings, lr, (1, settings.rescale))
        weights = _starts(nets, settings)
        losses, distances, bends, projections = [], [], [], []
        for t in range(settings.iterations):
            with np.errstate(all="ignore"):
                before = weights[0][0]
                weights, f, s = _step(nets, weights)
                losses.append(model.loss(f[0], before, settings.alpha))
                bends.append(float(model.curvature(s[0], settings)))
            projections.append(float(s[0]))
            moved, twin = np.concatenate(weights)
            distances.append(relative_l1(moved, twin))
            on_step((t + 1) / settings.iterations)
        return {
            "lr": lr,
            "variant": str(variant),
            "losses": [number(value) for value in losses],
            "distances": [number(value) for value in distances],
            "bends": [number(value) for value in bends],
            "projections": [number(value) for value in projections],
            "lyapunov": number(lyapunov(bends, lr, settings.alpha, settings.iterations - settings.tail)),
            "regime": regime(losses, distances, variant.unit_roundoff, settings.tail),
        }, {}

    def summarise(self, settings, units, results, records):
        controls, runs = results[0], results[1:]
        summary = {
            "onset_lr": model.onset(settings),
            "stable_threshold": 2 / settings.alpha,
            "minima": [{"projection": s, "curvature": bend} for s, bend in model.minima(settings)],
            "iterations": settings.iterations,
            "tail": settings.tail,
            "rescale": settings.rescale,
            "controls": controls["controls"],
            "planted": controls["planted"],
            "runs": [_run(settings, result) for result in runs],
        }
        first = runs[0]["variant"]
        stride = max(1, settings.iterations // 100)
        curves = [
            {
                "variant": result["variant"],
                "lr": result["lr"],
                "iteration": t,
                "loss": result["losses"][t],
                "curvature": result["bends"][t],
                "relative_l1": _moving(result["distances"], t, settings.tail),
            }
            for result in runs
            if result["variant"] in (first, _float32(runs))
            for t in range(0, settings.iterations, stride)
        ]
        return summary, {"curves": curves}

    def figures(self, summary, tables):
        return figures.draw(summary, tables["curves"])

    def sections(self, summary, tables):
        lrs = list(dict.fromkeys(run["lr"] for run in summary["runs"]))
        variants = list(dict.fromkeys(run["variant"] for run in summary["runs"]))
        by = {(run["variant"], run["lr"]): run for run in summary["runs"]}

        def grid(cell):
            return ("variant", *(f"lr {lr:g}" for lr in lrs)), [
                (variant, *(cell(by[variant, lr]) for lr in lrs)) for variant in variants
            ]

        wells = ", ".join(f"{m['projection']:.4g} (curvature {m['curvature']:.4g})" for m in summary["minima"])
        text = (
            f"The loss has minima at <K, c> = {wells}; so oscillation sets in at lr = {summary['onset_lr']:.6g}, below "
            f"2/alpha = {summary['stable_threshold']:g}. Distances are means over the last {summary['tail']} of "
            f"{summary['iterations']} iterations, k = 1 against k = {summary['rescale']}."
        )
        return [
            ("Onset", text),
            ("Regime", grid(lambda run: run["regime"])),
            ("Relative L1 of the twins", grid(lambda run: _short(run["relative_l1"]))),
            ("Lyapunov exponent a step", grid(lambda run: _short(run["lyapunov"], "{:+.3f}"))),
        ]

    def verdict(self, summary):
        moved = [row["k"] for row in summary["controls"] if row["first_difference"] is not None]
        if moved:
            return False, f"controls: k = {', '.join(map(str, moved))} changed bits; nothing here can be trusted"
        if summary["planted"]["first_difference"] is None:
            return False, "controls: a planted last-bit change was not seen; nothing here can be trusted"
        ks = ", ".join(str(row["k"]) for row in summary["controls"])
        return True, f"controls: k = {ks} never differ; a planted last-bit change is seen"


def _nets(variant, settings, lr, rescales):
    """Nets of up to STACK kernels; where random bits depend on the position, of one each, with equal streams."""
    most = 1 if variant.rounding == "stochastic" else STACK
    groups = [rescales[i : i + most] for i in range(0, len(rescales), most)]
    return [model.Net(Machine(variant, settings.seed), settings, lr, group) for group in groups]


def _starts(nets, settings):
    """A stack of equal first weights for each net."""
    first = start(settings.kernel, settings.seed)
    return [net.machine.round(np.stack([first] * len(net.divisor))) for net in nets]


def _step(nets, weights):
    """(stacks after one step, f, z at the first position): of all nets, the latter two as one list."""
    found = [net.step(stack) for net, stack in zip(nets, weights, strict=True)]
    return [moved for moved, _, _ in found], *(np.concatenate([one[i] for one in found]) for i in (1, 2))


def _controls(settings, variant, on_step):
    """k a power of two changes no bit; from half-way on, one unit in the last place more after every step, does.

    (Once would often not do: where the flow contracts, both runs round to the same weights again.)
    """
    ks = (1, *settings.controls, 1)
    nets = _nets(variant, settings, settings.control_lr, ks)
    weights = _starts(nets, settings)
    seen, largest = [None] * len(ks), [0.0] * len(ks)
    for t in range(settings.iterations):
        with np.errstate(all="ignore"):
            weights = _step(nets, weights)[0]
        if t >= settings.iterations // 2:
            planted = weights[-1][-1]
            planted[:] = nets[-1].machine.round(planted * (1 + 2 * variant.unit_roundoff))
        stack = np.concatenate(weights)
        for i in range(1, len(ks)):
            if seen[i] is None and not np.array_equal(stack[i], stack[0], equal_nan=True):
                seen[i] = t + 1
            largest[i] = max(largest[i], relative_l1(stack[i], stack[0]))
        on_step((t + 1) / settings.iterations)
    rows = [{"k": k, "first_difference": seen[i], "largest_relative_l1": largest[i]} for i, k in enumerate(ks) if i]
    return {"controls": rows[:-1], "planted": rows[-1]}


def _run(settings, result):
    variant = Variant.parse(result["variant"])
    losses = [float(value) for value in result["losses"]]
    distances = [float(value) for value in result["distances"][-settings.tail :]]
    bends = [float(value) for value in result["bends"][-settings.tail :]]
    return {
        "lr": result["lr"],
        "accumulator": variant.format,
        "rounding": variant.rounding,
        "order": variant.order,
        "fused": variant.fused,
        "variant": result["variant"],
        "relative_l1": number(np.mean(distances)),
        "lyapunov": result["lyapunov"],
        "regime": result["regime"],
        "loss_last": number(losses[-1]),
        "loss_span": number(np.ptp(losses[-settings.tail :]) if np.isfinite(losses).all() else math.nan),
        "curvature_mean": number(np.mean(bends)),
        "two_over_lr": 2 / result["lr"],
        "first_difference": next((t + 1 for t, d in enumerate(result["distances"]) if d != 0.0), None),
    }


def _float32(runs):
    return next((run["variant"] for run in runs if run["variant"].startswith("float32")), None)


def _moving(values, t, width):
    """The mean of the last `width` values up to t."""
    return number(np.mean([float(value) for value in values[max(0, t - width + 1) : t + 1]]))


def _short(value, form="{:.1e}"):
    return value if isinstance(value, str) else form.format(value)


EXPERIMENT = NonlinearPde()
