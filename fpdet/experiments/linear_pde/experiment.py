"""The experiment ``linear_pde``: both weight-decay bounds against the growth that is measured, frequency by
frequency."""

import math

import numpy as np

from fpdet.experiments import plots
from fpdet.experiments.experiment import Experiment, Unit
from fpdet.experiments.linear_pde import model
from fpdet.experiments.linear_pde.settings import LinearSettings
from fpdet.experiments.machine import Machine, Variant
from fpdet.experiments.store import number


class LinearPde(Experiment):
    """One unit: one weight decay in one variant."""

    name = "linear_pde"
    about = "The linearised one-layer CNN on a checkerboard: between which weight decays its weights stay bounded"
    Settings = LinearSettings

    def prepare(self, settings, root):
        image = model.checkerboard(settings.image)
        eigenvalues, coupling = model.spectrum(model.operator(image, settings.kernel), settings.kernel)
        return {"image": image, "eigenvalues": eigenvalues, "coupling": coupling}

    def units(self, settings):
        work = settings.iterations * settings.kernel**2 * (settings.image - settings.kernel + 1) ** 2
        return [
            Unit(
                f"alpha={alpha} {Variant.parse(words)}",
                words.split()[0],
                0.5e-9 * work + 4e-4 * settings.iterations,
                {"alpha": alpha, "variant": words},
            )
            for words in settings.variants
            for alpha in settings.alphas
        ]

    def compute(self, settings, unit, prepared, done, on_step):
        variant = Variant.parse(unit.given["variant"])
        least, most = model.bounds(prepared["eigenvalues"], settings.a, settings.beta, settings.lr)
        alpha = settings.alpha(unit.given["alpha"], least, most)
        machine = Machine(variant, settings.seed)
        flow = model.Flow(machine, settings, alpha)
        k = machine.round(model.start(settings.kernel, settings.seed))
        norms, differences = [_norm(k)], {}
        for t in range(settings.iterations):
            before, k = k, flow.step(k)
            if t in (0, settings.window):
                differences[t] = k.astype(np.float64) - before
            norms.append(_norm(k))
            on_step((t + 1) / settings.iterations)
        first, last = (np.fft.fft2(differences[t]) for t in (0, settings.window))
        with np.errstate(divide="ignore", invalid="ignore"):
            growth = np.abs(last / first) ** (1 / settings.window)
        predicted = 1 - settings.lr * (alpha + 0.5 * settings.a * settings.beta * prepared["eigenvalues"])
        return {
            "alpha": alpha,
            "variant": str(variant),
            "norms": [number(value) for value in norms],
            "growth": [number(value) for value in growth.reshape(-1)],
            "predicted": predicted.reshape(-1).tolist(),
            "eigenvalues": prepared["eigenvalues"].reshape(-1).tolist(),
            "coupling": prepared["coupling"],
            "full_image": model.full_image_bound(prepared["image"], settings.a, settings.beta),
        }, {}

    def summarise(self, settings, units, results, records):
        eigenvalues = np.array(results[0]["eigenvalues"])
        least, most = model.bounds(eigenvalues, settings.a, settings.beta, settings.lr)
        runs = [_run(settings, result, least, most) for result in results]
        summary = {
            "alpha_min": least,
            "alpha_max": most,
            "alpha_min_of_full_image_fft": results[0]["full_image"],
            "fft_over_operator": results[0]["full_image"] / least,
            "largest_eigenvalue": float(eigenvalues.max()),
            "coupling": results[0]["coupling"],
            "rank": int((eigenvalues > 1e-9 * eigenvalues.max()).sum()),
            "iterations": settings.iterations,
            "window": settings.window,
            "runs": runs,
        }
        stride = max(1, settings.iterations // 100)
        norms = [
            {"variant": result["variant"], "alpha": result["alpha"], "iteration": t, "norm_squared": result["norms"][t]}
            for result in results
            for t in range(0, settings.iterations + 1, stride)
        ]
        kept = _shown_modes(eigenvalues)
        growth = [
            {
                "variant": result["variant"],
                "alpha": result["alpha"],
                "row_frequency": j // settings.kernel,
                "column_frequency": j % settings.kernel,
                "eigenvalue": result["eigenvalues"][j],
                "predicted": abs(result["predicted"][j]),
                "measured": result["growth"][j],
            }
            for result in results
            for j in kept
        ]
        return summary, {"norms": norms, "growth": growth}

    def figures(self, summary, tables):
        with plots.styled():
            figure, axes = plots.figure(2, width=5.6, height=4.2)
            variant = summary["runs"][0]["variant"]
            for index, run in enumerate(run for run in summary["runs"] if run["variant"] == variant):
                rows = [r for r in tables["norms"] if (r["variant"], r["alpha"]) == (variant, run["alpha"])]
                axes[0].plot(
                    [r["iteration"] for r in rows],
                    [r["norm_squared"] for r in rows],
                    color=plots.colour(index),
                    label=f"alpha = {run['alpha']:.3g} ({'bounded' if run['predicted_bounded'] else 'unbounded'})",
                )
            plots.dress(axes[0], "Weights over the iterations", "iteration", "||K||^2", legend=True, yscale="log")
            for index, name in enumerate(dict.fromkeys(r["variant"] for r in tables["growth"])):
                rows = [r for r in tables["growth"] if r["variant"] == name and r["measured"] is not None]
                axes[1].plot(
                    [r["predicted"] for r in rows],
                    [r["measured"] for r in rows],
                    "os^vDP*"[index % 7],
                    mfc="none",
                    ms=6,
                    color=plots.colour(index),
                    label=name,
                )
            ends = [min(r["predicted"] for r in tables["growth"]), max(r["predicted"] for r in tables["growth"])]
            axes[1].plot(ends, ends, color=plots.INK, lw=0.8, zorder=0)
            axes[1].axvline(1, color="red", lw=1, ls="--")
            plots.dress(
                axes[1],
                "Growth a step, every frequency",
                "predicted |1 - lr (alpha + a beta w / 2)|",
                "measured",
                legend=True,
            )
        return {"bounds": figure}

    def sections(self, summary, tables):
        text = (
            f"The operator that the valid convolution applies has rank {summary['rank']} and largest eigenvalue "
            f"{summary['largest_eigenvalue']:.6g}; so the weight decay must be at least "
            f"{summary['alpha_min']:.6g} and at "
            f"most {summary['alpha_max']:.6g}. With the FFT of the full image in its place the lower bound would be "
            f"{summary['alpha_min_of_full_image_fft']:.6g}, {summary['fft_over_operator']:.1f} times too large."
        )
        headings = (
            "variant",
            "alpha",
            "bounded?",
            f"||K||^2 after {summary['iterations']} / before",
            "worst factor predicted",
            "measured",
            "largest deviation",
        )
        rows = [
            (
                run["variant"],
                f"{run['alpha']:.4g}",
                ("yes" if run["predicted_bounded"] else "no") + ("" if run["agrees"] else " (measured otherwise)"),
                f"{float(run['norm_growth']):.3g}",
                f"{run['worst_predicted']:.6f}",
                "-" if run["worst_measured"] is None else f"{float(run['worst_measured']):.6f}",
                "-" if run["largest_deviation"] is None else f"{run['largest_deviation']:.1e}",
            )
            for run in summary["runs"]
        ]
        return [("Bounds", text), ("Runs", (headings, rows))]

    def verdict(self, summary):
        wrong = [run for run in summary["runs"] if not run["agrees"]]
        if wrong:
            return False, f"{len(wrong)} of {len(summary['runs'])} runs do not follow the bounds"
        return True, f"bounds: all {len(summary['runs'])} runs bounded or not as the operator's bounds say"


def _run(settings, result, least, most):
    predicted, measured = np.abs(result["predicted"]), np.array(result["growth"], np.float64)
    worst = int(np.argmax(predicted))
    usable = np.isfinite(measured) & (predicted > 0.01)
    growth = float(result["norms"][-1]) / float(result["norms"][0])
    # On a bound the factor is 1 up to rounding, so what is expected of the norm is that it does not grow as a power.
    inside = predicted[worst] <= 1 + 2.0**-40
    grown = not math.isfinite(growth) or growth > 2 * max(1.0, float(result["norms"][1]) / float(result["norms"][0]))
    expected_growth = settings.iterations * math.log(predicted[worst])
    decided = inside or expected_growth > math.log(4 * settings.kernel**2)
    return {
        "variant": result["variant"],
        "alpha": result["alpha"],
        "predicted_bounded": bool(inside),
        "agrees": bool(not decided or grown != inside),
        "norm_first": result["norms"][0],
        "norm_last": result["norms"][-1],
        "norm_growth": number(growth),
        "worst_predicted": float(predicted[worst]),
        "worst_measured": result["growth"][worst],
        "largest_deviation": float(np.abs(measured - predicted)[usable].max()) if usable.any() else None,
    }


def _norm(k):
    flat = k.astype(np.float64).reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.dot(flat, flat))


def _shown_modes(eigenvalues, most=16):
    """Flat indices of the frequencies in the table: evenly spread, that of the largest eigenvalue among them."""
    spread = np.linspace(0, len(eigenvalues) - 1, min(len(eigenvalues), most)).round().astype(int)
    return sorted({*spread.tolist(), int(np.argmax(eigenvalues))})


EXPERIMENT = LinearPde()
