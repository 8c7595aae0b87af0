"""What got slower between two runs: a test on ratios, because machines drift.

A sample is the logarithm of our time over the baseline's time in the same round. An entry got slower if

* the one-sided Mann-Whitney U test says that its ratios are larger in B than in A, with Holm's correction over all
  entries that both runs have, at level ALPHA, and
* its median ratio grew by at least `least` (10% unless told), and
* so did its median time, measured by how much the baselines' times changed over the whole run. A ratio that grew
  because the baseline alone got faster is no slow-down of ours.

The sizes of effect keep out what differs between two processes that run the same code (where pages and code happen to
lie), which no number of rounds within a process averages out.
"""

from dataclasses import dataclass
from math import exp, log
from statistics import median

import numpy as np
from scipy.stats import mannwhitneyu

from benchmarks.cases import FPDET, short
from benchmarks.rows import fastest

ALPHA = 0.01
LEAST = 0.1


@dataclass(frozen=True)
class Change:
    """An entry of both runs: `factor` times its time (the lesser of the two sizes of effect), and p after Holm."""

    label: str
    factor: float
    p: float
    slower: bool


@dataclass(frozen=True)
class Comparison:
    """Changes of the entries that both runs have; labels that only one has; results whose digest differs."""

    changes: list
    only_a: list
    only_b: list
    other_bits: list
    drift: float

    @property
    def slower(self):
        return [change for change in self.changes if change.slower]


def compare(a, b, least=LEAST):
    """The Comparison of two records."""
    first, second = _entries(a), _entries(b)
    common = [label for label in first if label in second]
    drift = median(log(median(second[x].baseline) / median(first[x].baseline)) for x in common) if common else 0.0
    tests = [mannwhitneyu(second[x].ratios, first[x].ratios, alternative="greater").pvalue for x in common]
    changes = []
    for label, p in zip(common, holm(tests), strict=True):
        one, two = first[label], second[label]
        by_ratio = median(two.ratios) - median(one.ratios)
        by_time = log(median(two.seconds) / median(one.seconds)) - drift
        effect = min(by_ratio, by_time)
        changes.append(Change(label, exp(effect), p, p < ALPHA and effect >= log(1 + least)))
    return Comparison(
        changes,
        [label for label in first if label not in second],
        [label for label in second if label not in first],
        [x for x in common if None not in (first[x].digest, second[x].digest) and first[x].digest != second[x].digest],
        exp(drift),
    )


def holm(p_values):
    """Holm's step-down adjusted p-values, in the given sequence."""
    order = np.argsort(p_values)
    adjusted, running = np.empty(len(p_values)), 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted.tolist()


@dataclass(frozen=True)
class _Entry:
    seconds: list
    baseline: list
    digest: str | None

    @property
    def ratios(self):
        return [log(ours / theirs) for ours, theirs in zip(self.seconds, self.baseline, strict=True)]


def _entries(record):
    found = {}
    for case in record["cases"]:
        baseline = fastest(entry for entry in case["entries"] if entry["system"] in case["baselines"])
        names = [str(value) for name, value in case["key"].items() if value and name not in ("kind", "name")]
        for entry in case["entries"]:
            if entry["system"] == FPDET:
                label = " ".join([*names, short(entry["arithmetic"]), entry["dtype"]])
                found[label] = _Entry(entry["seconds"], baseline["seconds"], entry.get("digest"))
    return found
