"""Spread of accuracies, disagreement, correlation and the gain of an ensemble, over the pairs of a group."""

from itertools import combinations

import numpy as np


def spread(values, samples, seed):
    """SD with ddof=0 (the paper's) and ddof=1, and the 95% interval of the latter by percentile bootstrap.

    `relative_error` is that of an SD of n normal values, 1/sqrt(2(n-1)): 32% for n = 6.
    """
    values = np.asarray(values, np.float64)
    n = len(values)
    if n < 2:
        return {"n": n, "sd_paper": None, "sd": None, "low": None, "high": None, "relative_error": None}
    generator = np.random.Generator(np.random.Philox(key=[seed, 0xB007]))
    drawn = values[generator.integers(0, n, (samples, n))]
    equal = drawn.max(axis=1) == drawn.min(axis=1)
    low, high = np.percentile(np.where(equal, 0.0, drawn.std(axis=1, ddof=1)), (2.5, 97.5))
    same = values.max() == values.min()
    return {
        "n": n,
        "sd_paper": 0.0 if same else float(values.std()),
        "sd": 0.0 if same else float(values.std(ddof=1)),
        "low": float(low),
        "high": float(high),
        "relative_error": float(1 / np.sqrt(2 * (n - 1))),
    }


def pairs(probabilities, labels):
    """Means over all pairs: images on which the classes differ (share), Pearson correlation of the probabilities, and
    by how many points the mean of two members' probabilities beats the mean accuracy of the two."""
    disagreement, correlation, gain = [], [], []
    for a, b in combinations(probabilities, 2):
        disagreement.append(float((a.argmax(1) != b.argmax(1)).mean()))
        same = np.array_equal(a, b)
        correlation.append(1.0 if same else float(np.corrcoef(a.reshape(-1), b.reshape(-1))[0, 1]))
        alone = [(p.argmax(1) == labels).mean() for p in (a, b)]
        gain.append(100 * float(((a + b).argmax(1) == labels).mean() - np.mean(alone)))
    if not disagreement:
        return {"disagreement": None, "correlation": None, "ensemble_gain": None}
    return {
        "disagreement": float(np.mean(disagreement)),
        "correlation": float(np.mean(correlation)),
        "ensemble_gain": float(np.mean(gain)),
    }
