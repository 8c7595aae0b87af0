"""What compare calls slower: on samples drawn with the noise of shared machines, never on a clock."""

import copy

import numpy as np
import pytest

pytest.importorskip("scipy")

from benchmarks.compare import compare

ROWS, ROUNDS = 200, 9
KINDS = ("3x3", "1x1", "7x7", "depthwise")


def record(seed, rows=ROWS, rounds=ROUNDS, drift=1.0, slower=(), factor=1.2, torch_faster=()):
    """A record whose times have noise of three kinds: of a round (shared with the baseline), of a sample (with a tail),
    and of a process (how its pages happen to lie)."""
    random = np.random.default_rng(seed)
    cases = []
    for row in range(rows):
        of_round = np.exp(0.1 * random.standard_normal(rounds)) * drift
        entries = []
        for system, scale in (("torch", 1e-3), ("fpdet", 1.1e-3)):
            of_sample = np.exp(0.03 * random.standard_normal(rounds) + 0.3 * (random.random(rounds) < 0.05))
            of_process = np.exp(0.015 * random.standard_normal())
            seconds = scale * (1 + row / rows) * of_round * of_sample * of_process
            if system == "fpdet" and row in slower:
                seconds = seconds * factor
            if system == "torch" and row in torch_faster:
                seconds = seconds / factor
            entry = {"system": system, "dtype": "float32", "threads": 2, "seconds": seconds.tolist()}
            entries.append(entry | ({"arithmetic": "nearest_even sequential auto fused"} if system == "fpdet" else {}))
        kind = KINDS[row * len(KINDS) // rows]
        key = {"op": "conv", "shape": f"n{row + 1}c1h1k1r1", "pass": "forward", "data": "gaussian", "kind": kind}
        cases.append({"key": key, "work": {}, "baselines": ["torch"], "entries": entries})
    return {"schema": 1, "peaks": {}, "cases": cases}


def groups_of(changes):
    return {change.label.split()[3] for change in changes if change.label.startswith("all of")}


def rows_of(changes):
    labels = [change.label for change in changes if not change.label.startswith("all of")]
    return {int(label.split()[1][1:].partition("c")[0]) - 1 for label in labels}


@pytest.mark.parametrize("seed", range(5))
def test_a_planted_fifth_in_one_class_of_layers_is_found(seed):
    slower = set(range(50, 100))
    found = compare(record(100 + seed), record(200 + seed, slower=slower)).slower
    assert groups_of(found) == {"1x1"}
    assert rows_of(found) <= slower


def test_a_planted_fifth_everywhere_is_found_on_a_machine_that_slowed_down():
    found = compare(record(1), record(2, drift=1.5, slower=range(ROWS)))
    assert groups_of(found.slower) == set(KINDS)
    assert 1.4 < found.drift < 1.6


@pytest.mark.parametrize("drift", [1.0, 1.3, 0.7])
def test_ten_runs_of_the_same_have_nothing_slower(drift):
    first = record(0)
    assert not [change for seed in range(1, 11) for change in compare(first, record(seed, drift=drift)).slower]


def test_a_baseline_that_got_faster_is_no_slow_down_of_ours():
    faster = set(range(50, 100))
    found = compare(record(1), record(2, torch_faster=faster)).slower
    assert not groups_of(found) and len(rows_of(found)) <= 5
    assert groups_of(compare(record(1), record(2, slower=faster)).slower), "control"


def test_a_layer_alone_has_to_be_much_slower():
    """Its group is not: one of fifty."""
    assert not compare(record(1), record(2, slower={7}, factor=1.3)).slower
    assert rows_of(compare(record(1), record(2, slower={7}, factor=2.0)).slower) == {7}
    lone = compare(record(1, rows=4), record(2, rows=4, slower={2}, factor=1.3)).slower  # a class of one layer
    assert rows_of(lone) == {2}


def test_what_got_faster_is_not_slower():
    assert not compare(record(1, slower=range(ROWS)), record(2)).slower


def test_rows_and_bits_that_differ_are_told():
    a = record(1, rows=4)
    b = copy.deepcopy(a)
    a["cases"][0]["entries"][1]["digest"], b["cases"][0]["entries"][1]["digest"] = "00", "11"
    del b["cases"][3], a["cases"][2]
    found = compare(a, b)
    assert (len(found.changes), len(found.only_a), len(found.only_b), len(found.other_bits)) == (2, 1, 1, 1)
