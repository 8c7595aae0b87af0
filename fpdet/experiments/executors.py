"""Where the units of a run are computed: the choice, the order in which they start, and what a lost worker means.

An executor's `started(shared)` is a context manager that raises ConfigError for what cannot be used and gives a pool:

* ``slots``: how many units run at a time;
* ``submit(index, unit, fetch)``: begin one (``fetch(index)`` is the (result, record) of a unit that has finished);
* ``next(on_step)``: the next (index, answer), an answer being a (result, record), a `work.Failure` or a `work.Lost`;
  None when a second has passed; ``on_step(index, share)`` is called for what units say of themselves meanwhile.

`Here`, `processes.Processes` and `cluster.Cluster` are those there are. Workers write no file of the run.
"""

import bisect
from collections import Counter
from contextlib import contextmanager

from fpdet.experiments import work
from fpdet.experiments.config import ConfigError, at_least, one_of

NAMES = ("local", "ray")
RETRIES = 2  # how often a unit begins again after its worker died


class WorkerLostError(RuntimeError):
    """A unit's workers died, each time; the text names the unit."""


class Here:
    """This process, one unit after another."""

    def processors(self, threads):
        """How many of this machine's processors a run would keep busy."""
        return threads

    @contextmanager
    def started(self, shared):
        yield _Now(shared)


class _Now:
    slots = 1

    def __init__(self, shared):
        self.shared = shared

    def submit(self, index, unit, fetch):
        self.task = index, unit, {need: fetch(need) for need in unit.needs}

    def next(self, on_step):
        index, unit, needed = self.task
        return index, work.compute(self.shared, unit, needed, lambda share: on_step(index, share))


def chosen(name="local", workers=None, address=None):
    """The executor that the options of ``fpdet run`` name.

    Raises:
        ConfigError: options that mean nothing together, or Ray is not installed.
    """
    one_of("--executor", name, NAMES)
    if workers is not None:
        at_least("--workers", workers, 1)
    if name == "local":
        if address is not None:
            raise ConfigError(
                f"--address: expected none with --executor local, got {address!r}; add --executor ray, or leave it out"
            )
        if workers in (None, 1):
            return Here()
        from fpdet.experiments.processes import Processes

        return Processes(workers)
    from fpdet.experiments.cluster import Cluster

    return Cluster(workers, address)


def finished(pool, units, done, fetch, watch):
    """Compute the units that are not in `done`, yielding (index, (result, record)) as they finish.

    A unit starts once all that it needs has been yielded and kept. `watch` is told what happens (`progress.Bar`).

    Raises:
        WorkerLostError: a unit lost its worker more than `RETRIES` times.
        Exception: whatever a unit raised.
    """
    done, running, losses = set(done), set(), Counter()
    waiting = [index for index in range(len(units)) if index not in done]
    while waiting or running:
        ready = [index for index in waiting if done.issuperset(units[index].needs)]
        for index in ready[: max(0, pool.slots - len(running))]:
            waiting.remove(index)
            running.add(index)
            watch.began(index)
            pool.submit(index, units[index], fetch)
        event = pool.next(watch.step)
        if event is None:
            watch.tick()
            continue
        index, answer = event
        running.remove(index)
        if isinstance(answer, work.Failure):
            answer.reraise()
        if isinstance(answer, work.Lost):
            losses[index] += 1
            _again(units[index], answer, losses[index], index, watch)
            bisect.insort(waiting, index)
            continue
        yield index, answer
        done.add(index)


def _again(unit, lost, times, index, watch):
    what = f"{unit.group} · {unit.name}: its worker was lost ({lost.reason})"
    if times > RETRIES:
        raise WorkerLostError(
            f"{what}; tried {times} time{'s' * (times > 1)}. What has finished is kept; "
            "the same command goes on with the rest"
        )
    watch.lost(index, f"{what}; it begins again, retry {times} of {RETRIES}")


def check_needs(units):
    """Raise RuntimeError unless every unit needs earlier ones alone: a mistake of the experiment."""
    for index, unit in enumerate(units):
        for need in unit.needs:
            if need not in range(index):
                raise RuntimeError(f"unit {index}, {unit.name!r}: expected needs of earlier units, got {need!r}")
