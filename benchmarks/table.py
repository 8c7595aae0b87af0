"""Rows in the terminal."""

from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks.cases import FPDET, short
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
    what = short(row["arithmetic"])
    if row["system"] != FPDET:
        what = f"[{row['system']}] {what}"
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
        what = short(arithmetic) if system == FPDET else f"{system}: {short(arithmetic)}"
        table.add_row(what, dtype, data or "", kind or "", which or "", str(count), f"{mean:.3f}")
    return table


def bars(lines):
    """The bars and what was measured."""
    table = Table("", "against", "bar", "measured", "", "the worst of", box=SIMPLE_HEAD, pad_edge=False)
    for line in lines:
        unit = f" {line.unit}" if line.unit != "x" else ""
        measured = f"{line.measured:.0f}" if unit else f"{line.measured:.3f}"
        verdict = "[green]reached[/]" if line.reached else "[red]short[/]"
        table.add_row(line.what, line.against, f"{line.bar:g}{unit}", measured + unit, verdict, line.of)
    return table


def comparison(found):
    """What changed between two runs."""
    caption = f"{len(found.changes)} entries in both runs; the baselines took {found.drift:.3f} times the time"
    for words, labels in (("only in A", found.only_a), ("only in B", found.only_b), ("other bits", found.other_bits)):
        if labels:
            caption += f"; {words}: {len(labels)} ({labels[0]}{', …' if len(labels) > 1 else ''})"
    table = Table("slower", "time", "p", box=SIMPLE_HEAD, pad_edge=False, caption=caption, caption_justify="left")
    for change in sorted(found.slower, key=lambda change: -change.factor):
        table.add_row(change.label, f"x {change.factor:.2f}", f"{change.p:.1g}")
    if not found.slower:
        table.add_row("nothing", "", "")
    return table
