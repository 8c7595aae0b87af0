"""Rows in the terminal."""

from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks.rows import means

COLUMNS = (
    "shape",
    "pass",
    "data",
    "arithmetic",
    "dtype",
    "thr",
    "ms",
    "p20-p80",
    "GF/s",
    "GB/s",
    "peak",
    "x base",
    "x det",
    "digest",
)


def number(value, digits=3):
    """Three significant digits, without an exponent."""
    if value is None:
        return ""
    if value >= 10 ** (digits - 1):
        return f"{value:.0f}"
    return f"{value:#.{digits}g}".rstrip(".") if value >= 1e-4 else f"{value:.0e}"


def cells(row):
    """A row as text."""
    what = row["arithmetic"] if row["system"] == "fpdet" else f"[{row['system']}] {row['arithmetic'] or ''}"
    return (
        row["shape"] + (f" {row['name']}" if row["name"] else ""),
        row["pass"] or row["op"],
        row["data"] or "",
        what.replace("[", "\\["),
        row["dtype"],
        str(row["threads"]),
        number(row["ms_p50"]),
        f"{number(row['ms_p20'])}-{number(row['ms_p80'])}",
        number(row["gflops"]),
        number(row["gbs"]),
        f"{100 * row['of_peak']:.0f}%" if row["of_peak"] else "",
        f"{row['x_baseline']:.3f}",
        f"{row['x_deterministic']:.3f}" if row["x_deterministic"] else "",
        (row["digest"] or "")[:8],
    )


def details(rows):
    """Every row."""
    table = Table(*COLUMNS, box=SIMPLE_HEAD, pad_edge=False, caption=CAPTION, caption_justify="left")
    for column in table.columns[5:13]:
        column.justify = "right"
    for row in rows:
        table.add_row(*cells(row))
    return table


CAPTION = (
    "ms: median; x base: times the speed of the baseline (torch; above 1 is faster), x det: of torch under "
    "use_deterministic_algorithms(True); peak: share of the measured multiply-add or memory peak, the larger"
)


def summary(rows):
    """Geometric means per arithmetic, class of layer and pass."""
    by = ("op", "system", "arithmetic", "dtype", "data", "kind", "pass")
    table = Table("arithmetic", "dtype", "data", "class", "pass", "layers", "x base", box=SIMPLE_HEAD, pad_edge=False)
    for group, mean in means(rows, by).items():
        _, system, arithmetic, dtype, data, kind, which = group
        count = sum(all(row[name] == value for name, value in zip(by, group, strict=True)) for row in rows)
        what = arithmetic if system == "fpdet" else f"{system}: {arithmetic}"
        table.add_row(what, dtype, data or "", kind or "", which or "", str(count), f"{mean:.3f}")
    return table
