"""Plots of a record: name -> PNG."""

import io
from statistics import geometric_mean, median

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.cases import FPDET, PASSES, TORCH, short
from benchmarks.rows import means

INK = "#3c3c3c"
COLOURS = {"forward": "#2468a8", "grad_input": "#c4622d", "grad_weight": "#3a8a4d", TORCH: "#8a8a8a"}
SERIES = ("#2468a8", "#c4622d", "#3a8a4d", "#8a5aa8", "#a88a2d")
STYLE = {
    "font.size": 10,
    "axes.edgecolor": "#9a9a9a",
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
TITLES = {
    "cost": "Cost of an arithmetic: time of a layer, torch's being 1 (geometric mean over layers)",
    "roofline": "Roofline: each layer and pass of the networks under nearest_even sequential, and torch's",
    "terms": "Cost against the number of terms of an output",
    "threads": "Speed against threads",
}


def names(record):
    """The plots that a record has cases for."""
    parts = {case["key"].get("part") for case in record["cases"]}
    return [
        name for name in TITLES if name == "cost" or name in parts or (name == "roofline" and parts & {"plain", None})
    ]


def draw(record, rows):
    """{name: PNG} of those plots."""
    pictures = {}
    for name, plot in (("cost", _cost), ("roofline", _roofline), ("terms", _terms), ("threads", _threads)):
        with rc_context(STYLE):
            figure = Figure(figsize=(8, 4.6), layout="constrained")
            FigureCanvasAgg(figure)
            axis = figure.subplots()
            if plot(axis, record, rows):
                axis.set_title(TITLES[name], loc="left", fontsize=10, weight="bold")
                buffer = io.BytesIO()
                figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
                pictures[name] = buffer.getvalue()
    return pictures


def _cases(record, part):
    """Cases of a part; in a run of one's own choice, of every part."""
    return [case for case in record["cases"] if case["key"].get("part", part) == part and case["key"]["op"] == "conv"]


def _cost(axis, record, rows):
    ours = [row for row in rows if row["op"] == "conv" and row["system"] == FPDET and row["baseline"] == TORCH]
    found = means(ours, ("arithmetic", "dtype", "pass"))
    names = list(dict.fromkeys(group[:2] for group in found))
    if not names:
        return False
    overall = {name: geometric_mean(v for group, v in found.items() if group[:2] == name) for name in names}
    names.sort(key=overall.get)
    for which in PASSES:
        groups = [(*name, which) for name in names]
        points = [(1 / found[group], height) for height, group in enumerate(groups) if group in found]
        if points:
            axis.plot(*zip(*points, strict=True), "o", ms=6, color=COLOURS[which], label=which)
    labels = [short(words) + (f", {dtype}" if dtype != "float32" else "") for words, dtype in names]
    axis.set_yticks(range(len(names)), labels, fontsize=8)
    axis.set_xscale("log")
    axis.axvline(1, color=COLOURS[TORCH], lw=1, zorder=0)
    axis.grid(axis="x", color="#ececec")
    axis.set_xlabel("time / torch's time")
    axis.legend(frameon=False)
    return True


def _roofline(axis, record, rows):
    peaks = record["peaks"]
    threads = max(peaks, key=int)
    peak = peaks[threads]
    shown = False
    for case in _cases(record, "plain"):
        x = case["work"]["flops"] / case["work"]["bytes"]
        ours = [entry for entry in case["entries"] if entry["system"] == FPDET and " sequential" in entry["arithmetic"]]
        torchs = [entry for entry in case["entries"] if entry["system"] == TORCH]
        for entry, colour in ((torchs, COLOURS[TORCH]), (ours, COLOURS[case["key"]["pass"]])):
            if entry:
                y = 1e-9 * case["work"]["flops"] / median(entry[0]["seconds"])
                axis.plot(x, y, "o", ms=4, color=colour, alpha=0.8, mew=0)
                shown = True
    if not shown:
        return False
    ends = (0.5, 1000)
    knee = peak["gflops"] / peak["gbs"]
    axis.plot([ends[0], knee, ends[1]], [ends[0] * peak["gbs"], peak["gflops"], peak["gflops"]], color=INK, lw=1.2)
    axis.set_xscale("log")
    axis.set_yscale("log")
    for name, colour in COLOURS.items():
        axis.plot([], [], "o", ms=5, color=colour, label=name)
    axis.set_xlabel("floating-point operations per compulsory byte")
    axis.set_ylabel("GFLOP/s")
    axis.annotate(
        f"measured: {peak['gflops']:.0f} GFLOP/s, {peak['gbs']:.1f} GB/s on {threads} threads",
        (ends[1], peak["gflops"]), (0, 4), textcoords="offset points", ha="right", fontsize=8,
    )  # fmt: skip
    axis.legend(frameon=False, loc="lower right")
    return True


def _lines(axis, record, part, of_case, value):
    """A line per system and arithmetic over the cases of a part; whether there are any."""
    series = {}
    for case in record["cases"]:
        if case["key"].get("part") == part:
            for entry in case["entries"]:
                if entry["system"] in (FPDET, TORCH):
                    name = short(entry.get("arithmetic")) or TORCH
                    series.setdefault(name, []).append((of_case(case), value(case, entry)))
    colours = iter(SERIES)
    for name, points in series.items():
        colour = COLOURS[TORCH] if name == TORCH else next(colours)
        axis.plot(*zip(*sorted(points), strict=True), "o-", ms=5, color=colour, label=name)
    axis.grid(color="#ececec")
    axis.set_axisbelow(True)
    if series:
        axis.legend(frameon=False)
    return bool(series)


def _terms(axis, record, rows):
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.set_xlabel("terms of an output")
    axis.set_ylabel("ns per multiply-add")

    def per_term(case, entry):
        return 2e9 * median(entry["seconds"]) / case["work"]["flops"]

    return _lines(axis, record, "terms", lambda case: case["work"]["terms"], per_term)


def _threads(axis, record, rows):
    axis.set_xlabel("threads")
    axis.set_ylabel("GFLOP/s")
    axis.set_ylim(bottom=0)

    def gflops(case, entry):
        return 1e-9 * case["work"]["flops"] / median(entry["seconds"])

    shown = _lines(axis, record, "threads", lambda case: case["key"]["threads"], gflops)
    axis.set_xticks(sorted(case["key"]["threads"] for case in record["cases"] if case["key"].get("part") == "threads"))
    axis.set_ylim(bottom=0)
    return shown
