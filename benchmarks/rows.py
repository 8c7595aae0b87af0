"""Numbers derived from a record: one row for each fpdet (or other) entry of a case, beside its baseline."""

from statistics import geometric_mean, median

import numpy as np

from benchmarks.cases import TORCH_DETERMINISTIC


def rows(record):
    """A list of flat dicts, in the order of the record."""
    return [row for case in record["cases"] for row in case_rows(case, record["peaks"])]


def case_rows(case, peaks):
    """The rows of one case."""
    baseline = fastest(entry for entry in case["entries"] if entry["system"] in case["baselines"])
    careful = [entry for entry in case["entries"] if entry["system"] == TORCH_DETERMINISTIC]
    return [
        _row(case, entry, baseline, careful[0] if careful else None, peaks)
        for entry in case["entries"]
        if entry["system"] not in (*case["baselines"], TORCH_DETERMINISTIC)
    ]


def fastest(entries):
    """The entry of least median time, None of none."""
    return min(entries, key=lambda entry: median(entry["seconds"]), default=None)


def speed(entry, baseline):
    """How many times the baseline's speed: the median over rounds of baseline's seconds / ours."""
    return median(b / a for a, b in zip(entry["seconds"], baseline["seconds"], strict=True))


def _row(case, entry, baseline, careful, peaks):
    p20, p50, p80 = np.percentile(entry["seconds"], (20, 50, 80))
    work = case["work"]
    gflops, gbs = (1e-9 * work[name] / p50 for name in ("flops", "bytes"))
    peak = peaks.get(str(entry["threads"]))
    return {
        **{name: case["key"].get(name) for name in ("op", "shape", "name", "pass", "kind", "data")},
        "count": work["count"],
        "system": entry["system"],
        "arithmetic": entry.get("arithmetic"),
        "dtype": entry["dtype"],
        "threads": entry["threads"],
        "ms_p20": 1e3 * p20,
        "ms_p50": 1e3 * p50,
        "ms_p80": 1e3 * p80,
        "gflops": gflops,
        "gbs": gbs,
        "of_peak": max(gflops / peak["gflops"], gbs / peak["gbs"]) if peak else None,
        "baseline": baseline["system"],
        "baseline_ms": 1e3 * median(baseline["seconds"]),
        "x_baseline": speed(entry, baseline),
        "x_deterministic": speed(entry, careful) if careful else None,
        "scratch": entry.get("scratch"),
        "stages": " ".join(map(str, entry["stages"])) if entry.get("stages") else None,
        "digest": entry.get("digest"),
        "note": case.get("note", ""),
    }


def means(rows, by, value="x_baseline"):
    """{values of the columns `by`: geometric mean of `value` over their rows}, in order of appearance."""
    groups = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in by), []).append(row[value])
    return {group: geometric_mean(values) for group, values in groups.items()}
