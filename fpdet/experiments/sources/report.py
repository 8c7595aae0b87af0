"""Plots (PNG and SVG) and one self-contained HTML report; everything printed into HTML is escaped."""

import base64
from html import escape

import numpy as np

from fpdet.experiments import page, plots
from fpdet.experiments.config import config_text

COLOURS = {
    "rescale": "#4269d0",
    "rounding": "#e3821a",
    "order": "#2f9e63",
    "seed": "#c2446b",
    "exact": "#222222",
    "control": "#7a7a7a",
}
WORDS = {
    "rescale": "step rescaled (d/k, lr·k)",
    "rounding": "rounding",
    "order": "order of summation",
    "seed": "data seed",
    "exact": "exact sums",
    "control": "controls",
}
CAPTION = (
    "mean, SD: test accuracy in percent and its standard deviation in points (ddof=1) over the runs of a source, the "
    "baseline among them; 95%: its interval, percentile bootstrap over runs; with six runs an SD carries about 32% "
    "error. apart: test images that two runs classify differently, mean over pairs (least-most). from: the "
    "first whose weights differ from the baseline's."
)
ZERO_BELOW = 1e-9  # the log axis is linear below this, so that an exact zero can be shown


def cells(row):
    """The cells of a source's line, as text."""
    first = "never" if row["first_difference"] is None else str(row["first_difference"])
    if row["never_differ"] and row["first_difference"] is not None:
        first += f" ({row['never_differ']} never)"
    pairs = row["disagreement"]
    return (
        row["source"],
        str(row["members"]) + (f" ({row['not_finite']} not finite)" if row["not_finite"] else ""),
        f"{row['mean']:.2f}",
        f"{row['sd']:.2f}",
        f"{row['low']:.2f}-{row['high']:.2f}",
        "-" if row["over_seed"] is None else f"{row['over_seed']:.2f}",
        f"{pairs['mean']:.0f} ({pairs['least']}-{pairs['most']})",
        first,
    )


def remarks(summary):
    """What must be said of sources whose interval holds zero."""
    return [
        f"{row['source']}: the interval holds zero; these {row['members']} runs do not show that accuracy spreads"
        for row in summary["sources"]
        if row["holds_zero"]
    ]


def against_cells(row):
    """The cells of a line that compares one run with the baseline."""
    control = row["name"].startswith("k=")
    zero = row["first_difference"] is None and row["disagreement"] == 0
    difference = "0" if zero else f"({row['accuracy_difference']:+.2f})"
    return (
        f"control {row['name'].split()[0]}" if control else row["name"],
        "1",
        f"{row['accuracy']:.2f}",
        difference,
        "",
        "",
        f"{row['disagreement']}",
        "never" if row["first_difference"] is None else str(row["first_difference"]),
    )


def write(folder, descriptions, results, summary):
    """Write plots/spread.{png,svg}, plots/divergence.{png,svg}, plots/sources.{png,svg} and report.html."""
    pictures = draw(results, summary)
    for name, (png, svg) in pictures.items():
        folder.write(f"plots/{name}.png", png)
        folder.write(f"plots/{name}.svg", svg)
    folder.write("report.html", html(folder.settings, descriptions, results, summary, pictures).encode())


# ---- pictures ----------------------------------------------------------------------------------------


def draw(results, summary):
    """{name: (PNG bytes, SVG bytes)} of the pictures."""
    pictures = {}
    with plots.styled():
        for name, (width, height), panels in (
            ("sources", (5.5, 4.6), (_draw_spread, _draw_divergence)),
            ("spread", (5.5, 4.2), (_draw_spread,)),
            ("divergence", (6.5, 4.2), (_draw_divergence,)),
        ):
            ratios = {"width_ratios": (1, 1.25)} if len(panels) == 2 else None
            figure, axes = plots.figure(len(panels), width=width, height=height, gridspec_kw=ratios)
            for panel, axis in zip(panels, axes, strict=True):
                panel(axis, results, summary)
            pictures[name] = plots.saved(figure, "png", dpi=160), plots.saved(figure, "svg")
    return pictures


def _draw_spread(axis, results, summary):
    rows = list(reversed(summary["sources"]))
    labels = []
    for height, row in enumerate(rows, 1):
        colour = COLOURS[row["source"]]
        axis.plot([row["low"], row["high"]], [height, height], color=colour, lw=5, alpha=0.3, solid_capstyle="round")
        axis.plot(row["sd"], height, "o", ms=9, color=colour)
        axis.annotate(
            f"{row['sd']:.2f}",
            (row["sd"], height),
            (0, 9),
            textcoords="offset points",
            ha="center",
            color=colour,
            weight="bold",
        )
        labels.append(f"{WORDS[row['source']].split(' (')[0]}\n{row['members']} runs")
    axis.axvline(0, color="#b0b0b0", lw=0.8)
    if summary["controls"]:
        zero = summary["controls_zero"]
        worst = 0.0 if zero else max(abs(row["accuracy_difference"]) for row in summary["controls"])
        axis.plot(worst, 0, "D", ms=7, color=COLOURS["control"] if zero else "red", clip_on=False, zorder=5)
        axis.annotate(
            "exactly 0" if zero else "NOT ZERO",
            (worst, 0),
            (9, -4),
            textcoords="offset points",
            color=COLOURS["control"],
        )
    labels.insert(
        0,
        f"controls\nk = {', '.join(row['name'].split()[0][2:] for row in summary['controls'])}"
        if summary["controls"]
        else "",
    )
    axis.set_yticks(range(len(labels)), labels)
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(-0.6, len(rows) + 0.6)
    axis.set_xlim(left=min(0, -0.02 * max([row["high"] for row in rows] or [1])))
    axis.grid(axis="x", color="#ececec", lw=0.8)
    axis.set_axisbelow(True)
    axis.spines["left"].set_visible(False)
    axis.set_xlabel("SD of test accuracy, percentage points (bar: 95% bootstrap)")
    axis.set_title("One source varied at a time", loc="left", weight="bold", fontsize=11)


def _draw_divergence(axis, results, summary):
    shown = set()
    for result in sorted(
        results, key=lambda item: list(COLOURS).index(item["source"]) if item["source"] in COLOURS else 99
    ):
        source = result["source"]
        if source not in COLOURS:
            continue
        steps = np.array(result["steps"])
        distance = np.array([float(value) for value in result["relative_l1"]])
        thick = source in ("control", "exact")
        axis.plot(
            steps,
            distance,
            color=COLOURS[source],
            lw={"control": 2.4, "exact": 1.6}.get(source, 1.1),
            alpha=1 if thick else 0.75,
            ls="--" if source == "exact" else "-",
            clip_on=source != "control",
            zorder=4 if thick else 2,
            label=WORDS[source] if source not in shown else None,
        )
        shown.add(source)
    axis.set_yscale("symlog", linthresh=ZERO_BELOW, linscale=0.6)
    axis.set_ylim(0, 4)
    ticks = (0, 1e-9, 1e-7, 1e-5, 1e-3, 1e-1)
    axis.set_yticks(ticks, ["0", *(f"$10^{{{round(np.log10(tick))}}}$" for tick in ticks[1:])])
    axis.minorticks_off()
    axis.set_xlim(0, max((result["steps"][-1] for result in results), default=1))
    axis.grid(axis="y", color="#ececec", lw=0.8)
    axis.set_axisbelow(True)
    axis.set_xlabel("training step")
    axis.set_ylabel("relative L1 distance of the weights")
    if summary["controls_zero"] and summary["controls"]:
        axis.annotate(
            "controls: exactly 0 at every step", (0.98, 0.02), xycoords="axes fraction", ha="right", color="#7a7a7a"
        )
    axis.set_title("How far from the baseline, step by step", loc="left", weight="bold", fontsize=11)
    axis.legend(frameon=False, fontsize=9, loc="lower right", bbox_to_anchor=(1, 0.12))


# ---- HTML --------------------------------------------------------------------------------------------

HEADINGS = ("source", "runs", "mean %", "SD", "95%", "SD/seed", "apart", "from")


def html(config, descriptions, results, summary, pictures):
    """The report as one HTML page with its pictures inside."""
    picture = base64.b64encode(pictures["sources"][0]).decode()
    lines = [cells(row) for row in summary["sources"]]
    lines += [against_cells(row) for row in (*summary["controls"], *summary["exact"])]
    runs = [
        (
            result["source"],
            result["name"],
            description,
            f"{result['test_accuracy']:.2f}",
            "never" if result["first_difference"] is None else result["first_difference"],
            result["relative_l1"][-1],
            "yes" if result["finite"] else "no",
            f"{result['seconds']:.1f}",
        )
        for result, description in zip(results, descriptions, strict=True)
    ]
    zero = summary["controls_zero"] and summary["controls"]
    verdict = (
        '<p class="good">Every control equals the baseline bit for bit, at every step.</p>'
        if zero
        else '<p class="bad">The controls are missing or not zero: nothing below can be trusted.</p>'
    )
    settings = config_text(config)
    ops = "".join(f"<li>{escape(op)}</li>" for op in summary["torch_ops"])
    return "".join(
        (
            page.head("fpdet: sources of spread"),
            "<h1>What moves the test accuracy?</h1>",
            f"<p>A small conv net with batch norm, {config.steps} steps on <b>{escape(config.data)}</b> "
            f"({config.train_images} training, {config.test_images} test images). All runs start from equal weights "
            "and see equal batches; each source is varied alone.</p>",
            verdict,
            '<img alt="Spread of accuracy per source, and distance of weights over steps" '
            f'src="data:image/png;base64,{picture}">',
            '<div class="wide">',
            page.table(HEADINGS, lines),
            "</div>",
            *(f"<p>{escape(remark)}.</p>" for remark in remarks(summary)),
            f"<p><small>{escape(CAPTION)} One image is {100 / config.test_images:.3f} points. "
            "Controls: k=1 is the baseline trained again; dividing the step by a power of two and multiplying it "
            "back rounds nothing. "
            "Relative L1: mean of 2|a-b|/(|a|+|b|) over all trained weights, 0 to 2.</small></p>",
            "<h2>Not covered by fpdet</h2><p>These ops ran in torch's deterministic mode with "
            f"{config.threads} thread(s); their bits are torch's, and may differ with its version, the CPU and the "
            f"number of threads:</p><ul>{ops}</ul>",
            '<h2>Runs</h2><div class="wide">',
            page.table(
                ("source", "run", "varied", "accuracy %", "first difference", "final relative L1", "finite", "seconds"),
                runs,
            ),
            f"</div><h2>Settings</h2><pre>{escape(settings)}</pre></html>\n",
        )
    )
