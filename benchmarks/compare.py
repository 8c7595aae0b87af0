"""What got slower between two runs: a test on ratios, because machines drift.

A sample is the logarithm of our time over the baseline's time in the same round. What is compared are entries, and
groups of them: an arithmetic in a pass over all layers of a class, whose sample is the mean over the layers. One got
slower if

* the one-sided Mann-Whitney U test says that its ratios are larger in B than in A, at level ALPHA over all that both
  runs have (Bonferroni: nine rounds are enough for 1200 entries), and
* its median ratio grew by at least `least` (10% unless told), or by ALONE where it is one layer of a group: on a shared
  machine a layer alone can be slower by a third for minutes, its baseline not, while groups stay together, and
* so did its median time, measured by how much the baselines' times changed over the whole run. A ratio that grew
  because the baseline alone got faster is no slow-down of ours.

The sizes of effect keep out what differs between two processes that run the same code (where pages and code happen to
lie), which no number of rounds within a process averages out.
"""

from dataclasses import dataclass
from math import exp, log
from statistics import mean, median

from scipy.stats import mannwhitneyu

from benchmarks.cases import FPDET, short
from benchmarks.rows import fastest

ALPHA = 0.05
LEAST = 0.1
ALONE = 0.5


@dataclass(frozen=True)
class Change:
    """An entry or a group of both runs: `factor` times its time (the lesser size of effect), and its corrected p."""

    label: str
    factor: float
    p: float
    slower: bool


@dataclass(frozen=True)
class Comparison:
    """Changes of the entries and groups that both runs have; labels that only one has; results whose digest differs."""

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
    pairs = {label: ([first[label]], [second[label]]) for label in common}
    bars = dict.fromkeys(common, least)
    for group, labels in _groups(first, common).items():
        pairs[f"all of {group}"] = [first[x] for x in labels], [second[x] for x in labels]
        bars[f"all of {group}"] = least
        bars.update(dict.fromkeys(labels, max(least, ALONE)))
    ratios = {label: (_ratios(one), _ratios(two)) for label, (one, two) in pairs.items()}
    tests = [mannwhitneyu(two, one, alternative="greater").pvalue for one, two in ratios.values()]
    changes = []
    for (label, (one, two)), p in zip(pairs.items(), tests, strict=True):
        corrected = min(1.0, float(p) * len(tests))
        by_ratio = median(ratios[label][1]) - median(ratios[label][0])
        by_time = _log_time(two) - _log_time(one) - drift
        effect = min(by_ratio, by_time)
        slower = corrected < ALPHA and effect >= log(1 + bars[label])
        changes.append(Change(label, exp(effect), corrected, bool(slower)))
    return Comparison(
        changes,
        [label for label in first if label not in second],
        [label for label in second if label not in first],
        [x for x in common if None not in (first[x].digest, second[x].digest) and first[x].digest != second[x].digest],
        exp(drift),
    )


def _groups(entries, labels):
    """{what layers have in common: labels} of two layers or more with equal numbers of rounds."""
    groups = {}
    for label in labels:
        groups.setdefault((entries[label].group, len(entries[label].seconds)), []).append(label)
    return {f"{group} ({len(found)} layers)": found for (group, _), found in groups.items() if len(found) > 1}


def _ratios(entries):
    """Log of our time over the baseline's, a number a round, the mean over entries."""
    return [mean(values) for values in zip(*(entry.ratios for entry in entries), strict=True)]


def _log_time(entries):
    return mean(log(median(entry.seconds)) for entry in entries)


@dataclass(frozen=True)
class _Entry:
    seconds: list
    baseline: list
    digest: str | None
    group: str

    @property
    def ratios(self):
        return [log(ours / theirs) for ours, theirs in zip(self.seconds, self.baseline, strict=True)]


def _entries(record):
    found = {}
    for case in record["cases"]:
        baseline = fastest(entry for entry in case["entries"] if entry["system"] in case["baselines"])
        names = [str(value) for name, value in case["key"].items() if value and name not in ("kind", "name")]
        words = [case["key"][name] for name in ("part", "op", "kind", "pass", "data") if case["key"].get(name)]
        for entry in case["entries"]:
            if entry["system"] == FPDET:
                label = " ".join([*names, short(entry["arithmetic"]), entry["dtype"]])
                group = " ".join([*words, short(entry["arithmetic"]), entry["dtype"]])
                found[label] = _Entry(entry["seconds"], baseline["seconds"], entry.get("digest"), group)
    return found
