"""Interleaved timings with torch.utils.benchmark.

A round takes one sample of each contender, in another order each time, so that a machine that slows down slows all of
them down; what is compared later are the ratios inside a round. Each contender runs at the best of the given thread
counts, found by pilots that take turns as well. A sample is the mean of as many calls as make it long enough, after two
calls that warm up.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from math import ceil
from random import Random
from typing import Any

from torch.utils.benchmark import Timer

SAMPLE_SECONDS = 4e-3
PILOT_SECONDS = 0.2e-3
LONG_CALL = 0.3  # seconds: not worth a second pilot
PILOTS = 3  # of each thread count, in turns: a core that is taken away for a while does not choose one thread
CLOSE = 2.5  # thread counts this near the best get all of them
TIE = 1.1  # of two this near, the greater: while a core is taken away, they look alike


@dataclass
class Contender:
    """One way to do the work of a case: what it is (`tags`, kept in the record) and a call without arguments."""

    tags: dict[str, Any]
    call: Callable[[], Any]
    surrounding: Callable[[], Any] = nullcontext  # entered around a sample, outside its time
    digest: Callable[[], str | None] = lambda: None


@dataclass
class Timing:
    """Seconds of a call, one number a round."""

    threads: int
    calls: int  # averaged in a sample
    seconds: list[float] = field(default_factory=list)


def sample(contender, threads, calls):
    """Mean seconds of `calls` calls."""
    timer = Timer("call()", globals={"call": contender.call}, num_threads=threads)
    with contender.surrounding():
        return timer.timeit(calls).mean


def _first_look(contender, thread_counts):
    """Seconds by thread count."""
    best = {}
    for threads in thread_counts:
        seconds = sample(contender, threads, 1)
        if seconds < PILOT_SECONDS:
            seconds = sample(contender, threads, ceil(PILOT_SECONDS / seconds))
        best[threads] = seconds
    return best


def _look_again(contender, best):
    fastest = min(best.values())
    if len(best) == 1 or fastest >= LONG_CALL:
        return
    for threads, seconds in best.items():
        if seconds <= CLOSE * fastest:
            best[threads] = min(seconds, sample(contender, threads, max(2, ceil(PILOT_SECONDS / seconds))))


def _choice(best):
    threads = max(threads for threads, seconds in best.items() if seconds <= TIE * min(best.values()))
    return Timing(threads, max(1, ceil(SAMPLE_SECONDS / best[threads])))


def measure(contenders, thread_counts, rounds):
    """The Timing of each contender, in their order."""
    looks = [_first_look(contender, thread_counts) for contender in contenders]
    for _ in range(1, PILOTS):
        for contender, best in zip(contenders, looks, strict=True):
            _look_again(contender, best)
    timings = [_choice(best) for best in looks]
    pairs = list(zip(contenders, timings, strict=True))
    for number in range(rounds):
        for contender, timing in Random(number).sample(pairs, len(pairs)):
            timing.seconds.append(sample(contender, timing.threads, timing.calls))
    return timings
