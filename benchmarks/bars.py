"""The ratios that have to be reached, and what a record says of them.

A mean is the geometric mean over layers of the median ratio of times; where several arithmetics or kinds of data share
a bar, the worst of their means stands for them.
"""

from dataclasses import dataclass
from statistics import geometric_mean, median

from benchmarks import suite
from benchmarks.cases import FPDET, PASSES, short
from benchmarks.rows import fastest, speed

CLASSES = ("3x3", "1x1", "7x7", "depthwise")
NEAREST = "nearest_even blocked(512) auto fused"


@dataclass(frozen=True)
class Line:
    """One bar. A speed has to reach it from above, a time (in µs) from below; nothing is rounded for that."""

    what: str
    against: str
    bar: float
    measured: float
    unit: str = "x"
    of: str = ""  # the worst of several

    @property
    def reached(self):
        return self.measured <= self.bar if self.unit == "µs" else self.measured >= self.bar


def lines(record):
    """A Line for each bar whose part of the run is there."""
    parts = {}
    for case in record["cases"]:
        parts.setdefault(case["key"].get("part"), []).append(case)
    makers = {
        "plain": _plain,
        "ordered": _ordered,
        "exact": _exact,
        "stochastic": _stochastic,
        "narrow": _narrow,
        "sgd": _sgd,
        "round": _round,
        "calls": _calls,
    }
    return [line for part, make in makers.items() if part in parts for line in make(parts[part])]


def _speeds(cases, group, versus=None):
    """{group: speeds} over the entries of fpdet; `group(case, entry)` of None leaves an entry out.

    The baseline is the case's, or the entry for which `versus(entry)` holds."""
    found = {}
    for case in cases:
        ours = [entry for entry in case["entries"] if entry["system"] == FPDET]
        if versus is None:
            baseline = fastest(entry for entry in case["entries"] if entry["system"] in case["baselines"])
        else:
            baseline = next(filter(versus, ours))
        for entry in ours:
            if (name := group(case, entry)) is not None:
                found.setdefault(name, []).append(speed(entry, baseline))
    return found


def _worst(speeds):
    """(name, mean) of the group whose geometric mean is least."""
    return min(((name, geometric_mean(values)) for name, values in speeds.items()), key=lambda pair: pair[1])


def _plain(cases):
    for kind in CLASSES:
        for which in PASSES:
            chosen = [case for case in cases if (case["key"]["kind"], case["key"]["pass"]) == (kind, which)]
            if chosen:
                name, mean = _worst(_speeds(chosen, lambda case, entry: entry["arithmetic"]))
                what = f"float32 sequential, blocked: {kind} {which}"
                yield Line(what, "torch", 0.8 if kind == "depthwise" else 1.0, mean, of=short(name))
    layers = _speeds(
        cases, lambda case, entry: f"{case['key']['shape']} {case['key']['pass']} {short(entry['arithmetic'])}"
    )
    name, least = _worst(layers)
    yield Line("float32 sequential, blocked: slowest layer", "torch", 0.7, least, of=name)

    def directed(case, entry):
        rounding, order, *_ = entry["arithmetic"].split()
        return rounding if rounding != "nearest_even" and order == "blocked(512)" else None

    name, mean = _worst(_speeds(cases, directed, lambda entry: entry["arithmetic"] == NEAREST))
    yield Line("directed rounding, all layers and passes", "fpdet nearest_even", 0.97, mean, of=name)


def _ordered(cases):
    for name, values in _speeds(cases, lambda case, entry: entry["arithmetic"]).items():
        yield Line(f"{short(name)}, all passes", "torch", 0.5, geometric_mean(values))


def _exact(cases):
    def group(case, entry):
        return f"{entry['arithmetic'].split()[0]} on {case['key']['data']}"

    name, mean = _worst(_speeds(cases, group))
    yield Line("exact, 4 roundings x 4 kinds of data", "torch", 0.4, mean, of=name)


def _stochastic(cases):
    def group(case, entry):
        if not entry["arithmetic"].startswith("stochastic"):
            return None
        return 8 if "bits=8" in entry["arithmetic"] else 32

    speeds = _speeds(cases, group, lambda entry: entry["arithmetic"] == NEAREST)
    for bits, bar in ((32, 0.02), (8, 0.05)):
        yield Line(f"stochastic, {bits} random bits", "fpdet nearest_even", bar, geometric_mean(speeds[bits]))


def _narrow(cases):
    def group(case, entry):
        return entry["dtype"] if entry["dtype"] != "float32" else None

    for dtype, values in _speeds(cases, group, lambda entry: entry["dtype"] == "float32").items():
        yield Line(f"{dtype} operands, float32 accumulator", "fpdet float32", 0.8, geometric_mean(values))


def _sgd(cases):
    def group(case, entry):
        return entry["arithmetic"].split()[0]

    for case in cases:
        name, mean = _worst(_speeds([case], group))
        shape, kind = case["key"]["shape"], case["key"]["kind"]
        bar = {"hardware": 1.0, "stochastic": 0.5}[kind]
        yield Line(f"SGD step, {shape} list, {kind}", "torch's faster of foreach and fused", bar, mean, of=name)


def _round(cases):
    for format in ("bfloat16", "float16"):
        chosen = [case for case in cases if case["key"]["shape"].endswith(f" to {format}")]
        if not chosen:  # the run was stopped before
            continue
        for what, bar, wanted in (("hardware modes", 0.9, suite.HARDWARE), ("stochastic", 0.6, ("stochastic",))):

            def group(case, entry, wanted=wanted):
                fits = entry["arithmetic"].split()[0] in wanted
                return f"{entry['arithmetic']}, {case['key']['data']}" if fits else None

            name, mean = _worst(_speeds(chosen, group))
            yield Line(f"rounding an array to {format}, {what}", "copy_ of the same bytes", bar, mean, of=name)


def _calls(cases):
    for case in cases:
        ours = next(entry for entry in case["entries"] if entry["system"] == FPDET)
        which = case["key"]["pass"]
        bar = {"forward": 40.0, "backward": 80.0}[which]
        torch = fastest(entry for entry in case["entries"] if entry["system"] in case["baselines"])
        own = f"(torch: {1e6 * median(torch['seconds']):.0f} µs)"
        yield Line(f"a call beyond its kernel, {which}", own, bar, 1e6 * median(ours["seconds"]), "µs")
