"""The experiment ``variance``: the grid of k and seeds, and fpdet's columns beside it."""

import numpy as np

from fpdet._arithmetic import Arithmetic
from fpdet.experiments import nets, plots
from fpdet.experiments.data import SHAPES
from fpdet.experiments.experiment import Experiment, Unit
from fpdet.experiments.training import first_difference, load, step_arithmetic
from fpdet.experiments.variance import statistics, train
from fpdet.experiments.variance.settings import VarianceSettings


class Variance(Experiment):
    """One unit: one training."""

    name = "variance"
    about = "Spread of test accuracy over last-bit perturbations k, over seeds, and over arithmetics"
    Settings = VarianceSettings

    def prepare(self, settings, root):
        return load(settings, root)

    def units(self, settings):
        base = Arithmetic.parse(settings.arithmetic)
        plan = []  # group, name, k, seed, arithmetic, step arithmetic, master
        for seed in settings.seeds:
            for k in settings.rescales:
                plan.append(("grid", f"k={k} seed={seed}", k, seed, base, None, False))
        first = settings.seeds[0]
        for k in settings.controls:
            plan.append(("control", f"k={k}", k, first, base, None, False))
        for rounding in settings.roundings:
            plan.append(("rounding", rounding, 1, first, base.replace(rounding=rounding), None, False))
        for seed in settings.order_seeds:
            plan.append(("order", f"shuffled({seed})", 1, first, base.replace(order=f"shuffled({seed})"), None, False))
        for seed in settings.stochastic_seeds:
            chosen = base.replace(rounding="stochastic", seed=seed, bits=settings.stochastic_bits)
            plan.append(("stochastic", f"stochastic({seed})", 1, first, chosen, None, False))
        if settings.exact:
            exact = Arithmetic(base.rounding, "exact")
            plan.append(("exact", "exact sums, rounded updates", 1, first, exact, step_arithmetic(str(base)), False))
            plan.append(("exact", "rounded sums, float64 updates", 1, first, base, Arithmetic(), True))
        cost = _cost(settings)
        return [
            Unit(
                name,
                group,
                cost * (25 if group == "stochastic" else 2 if group in ("order", "exact") else 1),
                {
                    "group": group,
                    "name": name,
                    "rescale": k,
                    "seed": seed,
                    "arithmetic": str(arithmetic),
                    "step_arithmetic": str(step or step_arithmetic(str(arithmetic))),
                    "master": master,
                },
            )
            for group, name, k, seed, arithmetic, step, master in plan
        ]

    def compute(self, settings, unit, prepared, done, on_step):
        return train.run(settings, prepared, unit.given, on_step)

    def summarise(self, settings, units, results, records):
        labels = records(0)["labels"].numpy()
        probabilities = [records(index)["probabilities"].numpy() for index in range(len(results))]
        accuracy = [float(np.mean(result["accuracies"][-settings.last_epochs :])) for result in results]

        def about(source, chosen):
            return {
                "source": source,
                "mean": float(np.mean([accuracy[i] for i in chosen])),
                **statistics.spread([accuracy[i] for i in chosen], settings.bootstrap, settings.seed),
                **statistics.pairs([probabilities[i] for i in chosen], labels),
            }

        def grid(k=None, seed=None):
            return [
                i
                for i, r in enumerate(results)
                if r["group"] == "grid" and k in (None, r["rescale"]) and seed in (None, r["seed"])
            ]

        base = results[0]
        columns = [about("all of the grid", grid())]
        columns += [
            about(source, [0, *(i for i, r in enumerate(results) if r["group"] == group)])
            for source, group in (
                ("rounding", "rounding"),
                ("shuffled order", "order"),
                ("stochastic rounding", "stochastic"),
                ("exact sums or updates", "exact"),
            )
            if any(r["group"] == group for r in results)
        ]
        summary = {
            "data": settings.data,
            "net": settings.net,
            "width": settings.width,
            "activation": settings.activation,
            "train_images": settings.train_images,
            "epochs": settings.epochs,
            "last_epochs": settings.last_epochs,
            "test_images": settings.test_images,
            "over_k": [about(f"k, seed {seed}", grid(seed=seed)) for seed in settings.seeds],
            "over_seeds": [about(f"seed, k = {k}", grid(k=k)) for k in settings.rescales],
            "columns": columns,
            "controls": [
                {"name": r["name"], "first_difference": first_difference(r["digests"], base["digests"])}
                for r in results
                if r["group"] == "control"
            ],
            "not_finite": [r["name"] for r in results if not r["finite"]],
            "torch_ops": base["torch_ops"],
        }
        for name in ("over_k", "over_seeds"):
            summary[f"{name}_sd_mean"] = _mean([row["sd_paper"] for row in summary[name]])
        runs = [
            {
                **{
                    key: r[key]
                    for key in ("group", "name", "rescale", "seed", "arithmetic", "step_arithmetic", "master")
                },
                "accuracy": accuracy[i],
                "last_accuracy": r["accuracies"][-1],
                "final_loss": r["losses"][-1],
                "first_difference": first_difference(r["digests"], base["digests"]),
                "finite": r["finite"],
            }
            for i, r in enumerate(results)
        ]
        return summary, {"runs": runs}

    def figures(self, summary, tables):
        with plots.styled():
            figure, axes = plots.figure(2, width=5.6, height=4.4)
            rows = [*summary["over_k"], *summary["over_seeds"], *summary["columns"][1:]]
            kinds = {"k": 0, "seed": 1}
            for y, row in enumerate(reversed(rows)):
                shade = plots.colour(kinds.get(row["source"].split(",")[0], 2))
                if row["sd"] is None:
                    continue
                axes[0].plot([row["low"], row["high"]], [y, y], color=shade, lw=4, alpha=0.3, solid_capstyle="round")
                axes[0].plot(row["sd"], y, "o", color=shade)
            axes[0].set_yticks(range(len(rows)), [row["source"] for row in reversed(rows)], fontsize=8)
            plots.dress(axes[0], "SD of test accuracy (95% bootstrap)", "percentage points", "", xlim=(0, None))
            for y, row in enumerate(reversed(rows)):
                if row["disagreement"] is not None:
                    shade = plots.colour(kinds.get(row["source"].split(",")[0], 2))
                    axes[1].barh(y, 100 * row["disagreement"], color=shade, height=0.6)
            axes[1].set_yticks(range(len(rows)), [])
            plots.dress(axes[1], "Test images classified differently", "percent, mean over pairs", "")
            return {"spread": figure}

    def sections(self, summary, tables):
        rows = [
            (
                row["source"],
                row["n"],
                f"{row['mean']:.2f}",
                *(_cell(row[key]) for key in ("sd_paper", "sd")),
                "-" if row["sd"] is None else f"{row['low']:.2f}-{row['high']:.2f}",
                _cell(row["disagreement"], "{:.1%}"),
                _cell(row["correlation"], "{:.4f}"),
                _cell(row["ensemble_gain"], "{:+.2f}"),
            )
            for row in (*summary["over_k"], *summary["over_seeds"], *summary["columns"])
        ]
        text = (
            f"{summary['net']} of width {summary['width']} ({summary['activation']}) on {summary['data']}, "
            f"{summary['epochs']} epochs; accuracy is the mean over the last {summary['last_epochs']}. SD over "
            f"k, mean over "
            f"seeds: {_cell(summary['over_k_sd_mean'])} points; SD over seeds, mean over k: "
            f"{_cell(summary['over_seeds_sd_mean'])} (ddof=0). An SD of six values has a relative error of "
            f"about 32%, so "
            f"a column alone says no more than the order of magnitude. One test image is "
            f"{100 / summary['test_images']:.3f} "
            f"points. {nets.whose(summary['torch_ops'])}"
        )
        headings = ("varied", "n", "mean %", "SD (ddof 0)", "SD (ddof 1)", "95%", "disagree", "correlation", "ensemble")
        return [("What ran", text), ("Spread", (headings, rows))]

    def verdict(self, summary):
        moved = [row["name"] for row in summary["controls"] if row["first_difference"] is not None]
        if moved:
            return False, f"controls: {', '.join(moved)} changed bits; nothing here can be trusted"
        return True, f"controls: all {len(summary['controls'])} equal the baseline bit for bit, at every step"


def _cost(settings):
    shape = SHAPES[settings.data]
    model = nets.build(settings.net, settings.width, *shape, settings.activation, settings.beta, 0, settings.arithmetic)
    macs = nets.multiply_adds(model, *shape)
    steps = settings.epochs * (settings.train_images // settings.batch)
    layers = sum(1 for _ in model.modules()) * (4 if settings.network == "whole" else 1)
    return (
        steps * (0.5e-3 * layers + 3 * settings.batch * macs * 0.1e-9)
        + settings.epochs * settings.test_images * macs * 0.1e-9
    )


def _mean(values):
    values = [value for value in values if value is not None]
    return float(np.mean(values)) if values else None


def _cell(value, form="{:.2f}"):
    return "-" if value is None else form.format(float(value))


EXPERIMENT = Variance()
