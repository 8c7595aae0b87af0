"""docs/performance.md and docs/img/performance-*.png, made of benchmarks/results/cpu.json."""

from benchmarks import record, rows, suite
from benchmarks.plots import TITLES, draw, names
from benchmarks.report import (
    BAR_HEADINGS,
    EXPLANATION,
    MEAN_HEADINGS,
    bar_cells,
    bar_lines,
    machine_cells,
    mean_cells,
    scratch_words,
)

RESULT = "benchmarks/results/cpu.json"
PAGE = "docs/performance.md"
PICTURES = "docs/img"


def write(root, finished=None):
    """Keep `finished` as the committed result (None: the one that is there) and write the page; returns the paths."""
    if finished is not None:
        (root / RESULT).parent.mkdir(exist_ok=True)
        record.write(root / RESULT, finished)
    finished = record.read(root / RESULT)
    paths = [root / PAGE]
    pictures = draw(finished, rows.rows(finished))
    paths[0].write_text(markdown(finished))
    for name, png in pictures.items():
        paths.append(root / PICTURES / f"performance-{name}.png")
        paths[-1].write_bytes(png)
    return paths


def markdown(finished):
    """The page."""
    found = rows.rows(finished)
    lines = bar_lines(finished)
    reached = sum(line.reached for line in lines)
    pictures = "\n\n".join(f"![{TITLES[name]}](img/performance-{name}.png)" for name in names(finished))
    return f"""# Performance

<!-- Written by `fpdet bench page` from {RESULT}: change that, or benchmarks/page.py. -->

What a choice of rounding and order costs on one machine. `make bench` measures the same on yours.

{EXPLANATION}

{_table(("", ""), machine_cells(finished))}

## Bars

{reached} of {len(lines)} are reached. {_extent(finished)}

{_table(BAR_HEADINGS, map(bar_cells, lines))}

## Plots

{pictures}

## Means

Times torch's speed.

{_table(MEAN_HEADINGS, mean_cells(found))}

{scratch_words(found)}
{_notes(found)}"""


def _extent(finished):
    """What was run: all of the default suite, or not."""
    command = finished["settings"]["command"]
    return suite.SUBSAMPLING if command == "fpdet bench" else f"This is not a run of the whole suite: {command}."


def _notes(found):
    """What ran at another size than the lists say."""
    notes = {}
    for row in found:
        if row["note"]:
            notes.setdefault(row["note"], set()).add((row["arithmetic"] or "").split(" auto")[0])
    return "".join(f"\n{note}: {', '.join(sorted(names))}.\n" for note, names in notes.items())


def _table(headings, lines):
    """In Markdown."""
    rule = ["---"] * len(headings)
    rows = [headings, rule, *lines]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in rows)
