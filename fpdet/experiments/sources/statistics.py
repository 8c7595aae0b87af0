"""Spread of a source and what a control must show."""

import math
from itertools import combinations

import numpy as np

from fpdet.experiments.sources.members import BASELINE, CONTROL, EXACT


def spread(values, samples, seed):
    """Standard deviation (ddof=1) and its bootstrap interval: percentiles 2.5 and 97.5 over members drawn again.

    Returns:
        dict with sd, low, high, holds_zero (whether the interval holds zero); None where fewer than two values are.
    """
    values = np.asarray(values, np.float64)
    if len(values) < 2:
        return {"sd": None, "low": None, "high": None, "holds_zero": None}
    generator = np.random.Generator(np.random.Philox(key=[seed, 0xB007]))
    drawn = values[generator.integers(0, len(values), (samples, len(values)))]
    low, high = np.percentile(_sd(drawn), (2.5, 97.5))
    return {"sd": float(_sd(values)), "low": float(low), "high": float(high), "holds_zero": bool(low <= 0)}


def _sd(values):
    """Like np.std(ddof=1), and exactly zero where all values are equal."""
    sd = values.std(axis=-1, ddof=1)
    return np.where(values.max(axis=-1) == values.min(axis=-1), 0.0, sd)


def disagreement(predictions):
    """Images on which two members disagree, over all pairs: mean, least, most."""
    counts = [int((a != b).sum()) for a, b in combinations(predictions, 2)]
    if not counts:
        return {"mean": None, "least": None, "most": None}
    return {"mean": sum(counts) / len(counts), "least": min(counts), "most": max(counts)}


def summarise(config, results, predictions):
    """What the report shows.

    Args:
        results: per member, in order, the dict that `lockstep.train` returns; baseline first.
        predictions: per member, an array of classes.
    """
    base = results[0]
    index = {id(result): i for i, result in enumerate(results)}
    sources = []
    for source in config.sources:
        group = [result for result in results if result["source"] in (BASELINE, source)]
        if len(group) < 2:
            continue
        others = group[1:]
        accuracies = [result["test_accuracy"] for result in group]
        firsts = [result["first_difference"] for result in others if result["first_difference"] is not None]
        sources.append(
            {
                "source": source,
                "members": len(group),
                "mean": float(np.mean(accuracies)),
                "accuracies": accuracies,
                **spread(accuracies, config.bootstrap, config.seed),
                "disagreement": disagreement([predictions[index[id(result)]] for result in group]),
                "first_difference": min(firsts) if firsts else None,
                "never_differ": len(others) - len(firsts),
                "final_relative_l1": [result["relative_l1"][-1] for result in others],
                "not_finite": sum(not result["finite"] for result in group),
            }
        )
    seed_sd = next((row["sd"] for row in sources if row["source"] == "seed"), None)
    for row in sources:
        row["over_seed"] = row["sd"] / seed_sd if seed_sd else None
    return {
        "test_images": config.test_images,
        "baseline_accuracy": base["test_accuracy"],
        "sources": sources,
        "controls": [_against(base, result, predictions, index) for result in results if result["source"] == CONTROL],
        "exact": [_against(base, result, predictions, index) for result in results if result["source"] == EXACT],
        "controls_zero": all(
            result["digests"] == base["digests"] and bool((predictions[index[id(result)]] == predictions[0]).all())
            for result in results
            if result["source"] == CONTROL
        ),
    }


def _against(base, result, predictions, index):
    distances = [float(distance) for distance in result["relative_l1"]]
    return {
        "name": result["name"],
        "accuracy": result["test_accuracy"],
        "accuracy_difference": result["test_accuracy"] - base["test_accuracy"],
        "disagreement": int((predictions[index[id(result)]] != predictions[0]).sum()),
        "largest_relative_l1": "nan" if any(map(math.isnan, distances)) else max(distances),
        "final_relative_l1": result["relative_l1"][-1],
        "first_difference": result["first_difference"],
    }
