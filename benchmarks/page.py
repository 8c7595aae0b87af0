"""docs/performance.md and docs/img/performance-*.png, made of records in benchmarks/results.

cpu.json is the run that the page is about, cpu-NAME.json are runs elsewhere whose bars stand beside, control.json is
what control.py found.
"""

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

RESULTS = "benchmarks/results"
RESULT = f"{RESULTS}/cpu.json"
CONTROL = f"{RESULTS}/control.json"
PAGE = "docs/performance.md"
PICTURES = "docs/img"


def write(root, finished=None, control=None, beside=None):
    """Keep a run and an outcome of control.py as the committed results (None: those that are there) and write the page.

    With a name for `beside`, the run is kept as one of those elsewhere. Returns the paths of page and pictures."""
    (root / RESULTS).mkdir(exist_ok=True)
    if finished is not None:
        record.write(root / (f"{RESULTS}/cpu-{beside}.json" if beside else RESULT), finished)
    if control is not None:
        (root / CONTROL).write_text(json.dumps(control, indent=1) + "\n")
    finished, control, elsewhere = results(root)
    paths = [root / PAGE]
    pictures = draw(finished, rows.rows(finished))
    paths[0].write_text(markdown(finished, control, elsewhere))
    for name, png in pictures.items():
        paths.append(root / PICTURES / f"performance-{name}.png")
        paths[-1].write_bytes(png)
    return paths


def results(root):
    """The committed run, the outcome of control.py or None, and the runs elsewhere by name."""
    control = root / CONTROL
    elsewhere = {
        path.stem.removeprefix("cpu-"): record.read(path) for path in sorted((root / RESULTS).glob("cpu-*.json"))
    }
    return record.read(root / RESULT), json.loads(control.read_text()) if control.exists() else None, elsewhere


def markdown(finished, control=None, elsewhere=None):
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
{_elsewhere(elsewhere or {})}
## Plots

{pictures}

## Means

Times torch's speed.

{_table(MEAN_HEADINGS, mean_cells(found))}

{scratch_words(found)}
{_notes(found)}{_control(control)}"""


def _elsewhere(runs):
    """The bars of other runs, side by side."""
    if not runs:
        return ""
    machines, bars = [], {}
    for name, finished in runs.items():
        lines, machine, cells = bar_lines(finished), finished["machine"], dict(machine_cells(finished))
        reached = f"{sum(line.reached for line in lines)} of {len(lines)}"
        words = ", ".join([cells["instruction set"], *(f"{k}={v}" for k, v in machine["torch_environment"].items())])
        machines.append((name, cells["processor"], words, machine["commit"][:12], reached))
        for line in lines:
            what, _, bar, measured, _, _ = bar_cells(line)
            bars.setdefault((what, bar), {})[name] = measured + ("" if line.reached else " (short)")
    cells = [(*bar, *(found.get(name, "") for name in runs)) for bar, found in bars.items()]
    return f"""
### Elsewhere

{_table(("run", "processor", "instruction set", "commit", "bars reached"), machines)}

{_table(("", "bar", *runs), cells)}
"""


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
