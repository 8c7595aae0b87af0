"""docs/performance.md and docs/img/performance-*.png, made of benchmarks/results/cpu.json and control.json."""

import json

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
CONTROL = "benchmarks/results/control.json"
PAGE = "docs/performance.md"
PICTURES = "docs/img"


def write(root, finished=None, control=None):
    """Keep a run and an outcome of control.py as the committed results (None: those that are there) and write the page.

    Returns the paths of page and pictures."""
    (root / RESULT).parent.mkdir(exist_ok=True)
    if finished is not None:
        record.write(root / RESULT, finished)
    if control is not None:
        (root / CONTROL).write_text(json.dumps(control, indent=1) + "\n")
    finished, control = results(root)
    paths = [root / PAGE]
    pictures = draw(finished, rows.rows(finished))
    paths[0].write_text(markdown(finished, control))
    for name, png in pictures.items():
        paths.append(root / PICTURES / f"performance-{name}.png")
        paths[-1].write_bytes(png)
    return paths


def results(root):
    """The committed run, and the outcome of control.py or None."""
    control = root / CONTROL
    return record.read(root / RESULT), json.loads(control.read_text()) if control.exists() else None


def markdown(finished, control=None):
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
{_notes(found)}{_control(control)}"""


def _control(outcome):
    """Whether `fpdet bench compare` can be believed, where that was tried."""
    if outcome is None:
        return ""
    false, machine = sum(bool(labels) for labels in outcome["false"]), outcome["machine"]
    return f"""
## Does `compare` work?

`fpdet bench control`, {machine["processor"]}, commit {machine["commit"]}: a first run beside
{len(outcome["false"])} more of the same binary, and one whose calls of ours took {outcome["planted"]} times their time;
a run has the rounds of {outcome["processes"]} processes.
Runs of the same binary in which `fpdet bench compare` calls something slower: {false}.
Groups of layers, arithmetic and pass in which it finds the planted slow-down: {len(outcome["found"])} of
{len(outcome["groups"])}.
"""


def _extent(finished):
    """What was run: all of the default suite, or not."""
    command, there = finished["settings"]["command"], len(finished["cases"])
    wanted = finished["settings"].get("cases", there)
    if command == "fpdet bench" and there == wanted:
        return suite.SUBSAMPLING
    stopped = f", stopped after {there} of its {wanted} cases" if there < wanted else ""
    return f"This is not a run of the whole suite: {command}{stopped}."


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
