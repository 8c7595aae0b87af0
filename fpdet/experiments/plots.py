"""One look for every figure: style, axes, PNG and SVG bytes."""

import io

INK = "#2b2b2b"
GRID = "#ececec"
COLOURS = (
    "#4269d0",
    "#e3821a",
    "#2f9e63",
    "#c2446b",
    "#7b55c7",
    "#222222",
    "#1b9aaa",
    "#8a6d3b",
    "#7a7a7a",
    "#f2b5d4",
)
STYLE = {
    "font.size": 10,
    "axes.edgecolor": "#9a9a9a",
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "fpdet",
}


def styled():
    """The context in which figures are made and saved."""
    from matplotlib import rc_context

    return rc_context(STYLE)


def figure(columns=1, rows=1, width=5.2, height=4.0, **options):
    """(Figure, flat list of axes) without pyplot's global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(width * columns, height * rows), layout="constrained")
    FigureCanvasAgg(made)
    return made, list(made.subplots(rows, columns, squeeze=False, **options).flat)


def dress(axis, title, x, y, *, legend=False, **options):
    """Title, labels, grid."""
    axis.set_title(title, loc="left", weight="bold", fontsize=11)
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    axis.grid(color=GRID, lw=0.8)
    axis.set_axisbelow(True)
    if options:
        axis.set(**options)
    if legend:
        axis.legend(frameon=False, fontsize=8)


def colour(index):
    """The index-th colour, in a cycle."""
    return COLOURS[index % len(COLOURS)]


def rendered(figures):
    """{name: (PNG bytes, SVG bytes)} of {name: Figure}."""
    found = {}
    with styled():
        for name, made in figures.items():
            made.draw_without_rendering()  # places everything, which takes longest and is the same for both
            made.set_layout_engine("none")
            found[name] = saved(made, "png", dpi=110), saved(made, "svg")
    return found


def saved(made, kind, **options):
    """The bytes of a figure, without a date."""
    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    made.savefig(buffer, format=kind, metadata=metadata, **options)
    return buffer.getvalue()
