"""Loss and distance over the iterations, curvature against 2/lr, and regimes over variants and learning rates."""

import numpy as np

from fpdet.experiments import plots

SHADES = {"converges": "#cfe3f5", "oscillates": "#f7d79b", "amplifies": "#e58a7c", "diverges": "#6b6b6b"}


def draw(summary, curves):
    """{name: Figure}."""
    with plots.styled():
        return {"training": _training(summary, curves), "regimes": _regimes(summary)}


def _training(summary, curves):
    figure, axes = plots.figure(3, width=4.6, height=4.0)
    variant = summary["runs"][0]["variant"]
    names = list(dict.fromkeys(row["variant"] for row in curves))
    for index, run in enumerate(run for run in summary["runs"] if run["variant"] == variant):
        for name in names:
            rows = [row for row in curves if row["variant"] == name and row["lr"] == run["lr"]]
            t = [row["iteration"] for row in rows]
            if name == variant:
                axes[0].plot(
                    t,
                    [min(row["loss"], 1e6) for row in rows],
                    color=plots.colour(index),
                    lw=1,
                    label=f"lr {run['lr']:g}",
                )
            axes[1].plot(
                t,
                [max(row["relative_l1"], 1e-18) for row in rows],
                color=plots.colour(index),
                lw=1.1,
                ls="-" if name == variant else ":",
            )
    plots.dress(
        axes[0], f"Loss ({variant.split()[0]})", "iteration", "loss", legend=True, yscale="log", ylim=(0.1, 1e4)
    )
    title = "k = 1 against the twin" + (f" (dotted: {names[1].split()[0]})" if len(names) > 1 else "")
    plots.dress(axes[1], title, "iteration", "relative L1, moving average", yscale="log", ylim=(1e-18, 4))
    runs = [run for run in summary["runs"] if run["variant"] == variant and not isinstance(run["curvature_mean"], str)]
    lrs = [run["lr"] for run in runs]
    axes[2].plot(
        lrs, [run["curvature_mean"] for run in runs], "o", color=plots.colour(0), label="mean curvature, last part"
    )
    fine = np.linspace(min(lrs), max(lrs), 100)
    axes[2].plot(fine, 2 / fine, color="red", lw=1, ls="--", label="2 / lr")
    axes[2].axhline(summary["minima"][-1]["curvature"], color=plots.INK, lw=0.8, label="curvature of the minimum")
    axes[2].axvline(summary["onset_lr"], color="#9a9a9a", lw=1, ls=":", label="onset of oscillation")
    plots.dress(axes[2], "Curvature along the wave", "lr", "curvature", legend=True)
    axes[2].set_ylim(0, 4 * summary["minima"][-1]["curvature"])
    return figure


def _regimes(summary):
    lrs = list(dict.fromkeys(run["lr"] for run in summary["runs"]))
    variants = list(dict.fromkeys(run["variant"] for run in summary["runs"]))
    figure, axes = plots.figure(width=1.1 * len(lrs) + 3, height=0.36 * len(variants) + 1.2)
    axis = axes[0]
    for run in summary["runs"]:
        x, y = lrs.index(run["lr"]), variants.index(run["variant"])
        axis.add_patch(_cell(x, y, SHADES[run["regime"]]))
        distance = run["relative_l1"]
        text = distance if isinstance(distance, str) else f"{distance:.0e}"
        axis.text(x, y, f"{run['regime']} {text}", ha="center", va="center", fontsize=7)
    axis.set_xlim(-0.5, len(lrs) - 0.5)
    axis.set_ylim(len(variants) - 0.5, -0.5)
    axis.set_xticks(range(len(lrs)), [f"{lr:g}" for lr in lrs])
    axis.set_yticks(range(len(variants)), variants, fontsize=8)
    axis.set_xlabel("lr")
    axis.set_title(
        f"Regime, and relative L1 of the twins (oscillation from lr = {summary['onset_lr']:.4g})",
        loc="left",
        weight="bold",
        fontsize=10,
    )
    return figure


def _cell(x, y, shade):
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, color=shade)
