"""The report of a run folder: report.html with the bars, means and plots; rows.csv; plots/*.png."""

import base64
from html import escape

from benchmarks import bars, record, rows, suite
from benchmarks.cases import short
from benchmarks.plots import TITLES, draw

BAR_HEADINGS = ("", "against", "bar", "measured", "reached", "the worst of")
MEAN_HEADINGS = ("arithmetic", "operands", "class", "forward", "grad_input", "grad_weight")
EXPLANATION = (
    "A ratio is torch's time divided by ours, both at the better of the thread counts, in rounds that alternate: "
    "above 1 is faster than torch. Times are those of the public call and of its autograd backward, contiguous NCHW "
    "unless the layer says otherwise, nothing cached between calls, allocations warm; arrays are rounded "
    "into given memory, as copy_ writes. Means are geometric, over layers."
)


def bar_lines(finished):
    """The bars that a record has cases for."""
    return bars.lines(finished)


def bar_cells(line):
    """A bar as text."""
    unit = "" if line.unit == "x" else f" {line.unit}"
    measured = (
        f"{line.measured:.0f}{unit}"
        if unit
        else f"{line.measured:.3f}"
        if line.measured >= 0.1
        else f"{line.measured:.4f}"
    )
    return line.what, line.against, f"{line.bar:g}{unit}", measured, "yes" if line.reached else "no", line.of


def machine_cells(finished):
    """(what, value) of the machine, the build and the run."""
    machine, peaks = finished["machine"], finished["peaks"]
    pairs = [
        ("processor", f"{machine['processor']}, {machine['cores']} cores used"),
        ("instruction set", f"{machine['instruction_set']} (torch: {machine['torch_capability']})"),
        ("fpdet", f"{machine['fpdet']}, commit {machine['commit']}"),
        ("torch", machine["torch"]),
        ("compiler", machine["compiler"]),
        ("threads", f"the better of {', '.join(map(str, finished['settings']['threads']))}"),
    ]
    for threads, peak in peaks.items():
        pairs.append(
            (f"measured peak, {threads} threads", f"{peak['gflops']:.0f} GFLOP/s float32, {peak['gbs']:.1f} GB/s triad")
        )
    for name, value in machine["torch_environment"].items():
        pairs.append((name, value))
    return pairs


def mean_cells(found):
    """A line for each arithmetic, operand type and class of layer: mean ratios of the passes."""
    convolutions = [row for row in found if row["op"] == "conv"]
    table = {}
    means = rows.means(convolutions, ("system", "arithmetic", "dtype", "data", "kind", "pass"))
    for (system, arithmetic, dtype, data, kind, which), mean in means.items():
        what = short(arithmetic) if system == "fpdet" else f"{system}: {short(arithmetic)}"
        operands = dtype if data == "gaussian" else f"{dtype}, {data}"
        table.setdefault((what, operands, kind), {})[which] = f"{mean:.3f}"
    return [(*group, *(passes.get(which, "") for which in MEAN_HEADINGS[3:])) for group, passes in table.items()]


def scratch_words(found):
    """The most work memory that a row took."""
    most = max((row["scratch"] or 0 for row in found), default=0)
    limit = "kScratchLimit of csrc/cpu/kernels/task.h"
    return f"Most scratch of a thread in any row: {most / 2**20:.2f} MiB (limit: {limit})."


def write(folder, finished):
    """Write rows.csv, plots and report.html into a run folder."""
    found = rows.rows(finished)
    record.write_csv(folder / "rows.csv", found)
    pictures = draw(finished, found)
    (folder / "plots").mkdir(exist_ok=True)
    for name, png in pictures.items():
        (folder / "plots" / f"{name}.png").write_bytes(png)
    (folder / "report.html").write_text(html(finished, found, pictures))


_HEAD = """<!doctype html><html lang="en"><meta charset="utf-8"><title>fpdet: speed</title>
<meta name="viewport" content="width=device-width"><style>
body{font:16px/1.5 system-ui,sans-serif;color:#2b2b2b;max-width:70rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;margin:1rem 0;font-size:.85rem}
th,td{padding:.25rem .6rem;text-align:left;border-bottom:1px solid #e4e4e4}
.wide{overflow-x:auto}img{max-width:100%}small{color:#666}
</style>"""


def html(finished, found, pictures):
    """The report as one page with its pictures inside."""
    parts = [_HEAD, "<h1>What determinism costs</h1>", f"<p>{escape(EXPLANATION)}</p>"]
    parts.append(_table(("", ""), machine_cells(finished)))
    if lines := bar_lines(finished):
        parts += ["<h2>Bars</h2>", f"<p><small>{escape(suite.SUBSAMPLING)}</small></p>"]
        parts.append(_table(BAR_HEADINGS, map(bar_cells, lines)))
    for name, png in pictures.items():
        picture = base64.b64encode(png).decode()
        parts.append(f'<p><img alt="{escape(TITLES[name])}" src="data:image/png;base64,{picture}"></p>')
    parts += ["<h2>Means</h2>", _table(MEAN_HEADINGS, mean_cells(found))]
    parts.append(f"<p>{escape(scratch_words(found))}</p>")
    parts.append("<p>Every row: rows.csv; raw samples: run.json.</p></html>\n")
    return "".join(parts)


def _table(headings, lines):
    head = "".join(f"<th>{escape(str(heading))}</th>" for heading in headings)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in line) + "</tr>" for line in lines)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
