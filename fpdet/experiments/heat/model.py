"""u <- u + r (left - 2u + right): in a machine's arithmetic, and exactly, in rationals."""

from fractions import Fraction

import numpy as np


def hat(points, peak):
    """The initial data: from zero up to `peak` in the middle and down again, as float64."""
    middle = (points - 1) // 2
    return np.array([peak * (middle - abs(i - middle)) / middle for i in range(points)])


def step(machine, u, r):
    """One step, each operation rounded: 2u, left - 2u, + right, then u + r * that. The ends stay."""
    left, centre, right = u[:-2], u[1:-1], u[2:]
    second = machine.add(machine.sub(left, machine.mul(2.0, centre)), right)
    out = u.copy()
    out[1:-1] = machine.fma(r, second, centre)
    return out


def exact_steps(u, r, steps):
    """Yields the exact solution of the recurrence after 0, 1, … steps, from float64 `u` and the rational `r`.

    Numerators over one common denominator, q^t for r = p/q, so that every step is on integers.
    """
    values = [Fraction(float(x)) for x in u]
    scale = 1
    for value in values:
        scale = max(scale, value.denominator)  # powers of two
    numerators = [int(value * scale) for value in values]
    denominator = Fraction(scale)
    p, q = r.numerator, r.denominator
    for _ in range(steps + 1):
        yield numerators, int(denominator)
        inner = [
            q * b + p * (a - 2 * b + c) for a, b, c in zip(numerators, numerators[1:], numerators[2:], strict=False)
        ]
        numerators = [q * numerators[0], *inner, q * numerators[-1]]
        denominator *= q


def amplification(r, points):
    """(largest |factor| of a mode that the grid has, its mode number): |1 - 4 r sin^2(j pi / (2 (points - 1)))|."""
    modes = np.arange(1, points - 1)
    factors = 1 - 4 * float(r) * np.sin(modes * np.pi / (2 * (points - 1))) ** 2
    worst = int(np.argmax(np.abs(factors)))
    return float(abs(factors[worst])), int(modes[worst])


def expected(r, points, peak, steps):
    """ "stable" for r <= 1/2, "unstable" where the fastest mode of the hat must pass twice its peak, else None."""
    if Fraction(r) <= Fraction(1, 2):
        return "stable"
    factor, mode = amplification(float(Fraction(r)), points)
    sines = np.sin(mode * np.pi * np.arange(points) / (points - 1))
    amplitude = abs(2 / (points - 1) * float(np.dot(hat(points, peak), sines)))
    grown = np.log(max(amplitude, 1e-300)) + steps * np.log(factor)
    return "unstable" if grown > np.log(2 * peak) else None


def limit(points):
    """The largest stable r of the grid: 1 / (2 sin^2 of the highest mode), a little above von Neumann's 1/2."""
    return float(0.5 / np.sin((points - 2) * np.pi / (2 * (points - 1))) ** 2)
