"""What a run did, in one word, and what the word is made of."""

import math

import numpy as np

REGIMES = ("converges", "oscillates", "amplifies", "diverges")


def relative_l1(a, b):
    """mean of 2|a-b| / (|a|+|b|) in float64; a pair of zeros counts as 0."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(all="ignore"):
        size = np.abs(a) + np.abs(b)
        return float(np.where(size == 0, 0.0, 2 * np.abs(a - b) / np.where(size == 0, 1.0, size)).mean())


def lyapunov(bends, lr, alpha, tail):
    """Largest Lyapunov exponent over the last `tail` steps: mean log |1 - lr curvature|, along c or across it."""
    with np.errstate(all="ignore"):
        along = float(np.mean(np.log(np.maximum(np.abs(1 - lr * np.array(bends[-tail:])), 1e-300))))
    across = math.log(max(abs(1 - lr * alpha), 1e-300))
    return max(along, across) if math.isfinite(along) else float("nan")


def regime(losses, distances, unit_roundoff, tail):
    """One of REGIMES.

    diverges: the loss is not finite, or ends above twice the largest of the first `tail` steps. Otherwise bounded, and
    with sqrt(unit roundoff) as the middle between rounding level and order one: amplifies if the mean distance of the
    twins over the last `tail` steps is above it; oscillates if the loss's span there is, relative to the loss; else
    converges.
    """
    last = np.array(losses[-tail:])
    if not np.isfinite(losses).all() or last.max() > 2 * max(losses[:tail]):
        return "diverges"
    middle = math.sqrt(unit_roundoff)
    if not np.mean(distances[-tail:]) <= middle:
        return "amplifies"
    return "oscillates" if np.ptp(last) > middle * np.abs(last).max() else "converges"
