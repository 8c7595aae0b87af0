"""What the terminal shows of a run: what is running, how much is done, the time left."""

import time

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


class Bar:
    """The progress bar of a run, a context manager that an executor tells what happens.

    Args:
        results: of the units that have finished; None for the others.
        workers: a function: how many units run at a time.
    """

    def __init__(self, console, units, results, workers):
        self.units = units
        self.workers = workers
        self.clock = Clock(units, results)
        self.running = []
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
        )
        self.task = self.progress.add_task("", total=self.clock.total, left="")

    def __enter__(self):
        self.progress.start()
        self._show()
        return self

    def __exit__(self, *raised):
        self.progress.stop()

    def began(self, index):
        self.running.append(index)
        self.clock.began(index)
        self._show()

    def step(self, index, share):
        """A unit said how far it is."""
        self.clock.at(index, share)
        self._show()

    def tick(self):
        """Time passed; how far a unit is that says nothing is guessed."""
        for index in self.running:
            self.clock.guess(index)
        self._show()

    def finished(self, index, seconds):
        self.running.remove(index)
        self.clock.finished(index, seconds)
        self._show()

    def lost(self, index, text):
        """A unit's worker died, so it has to begin again."""
        self.running.remove(index)
        self.clock.forget(index)
        self.progress.console.print(text, style="yellow", markup=False)
        self._show()

    def _show(self):
        if self.running:
            shown = " · ".join((self.units[self.running[0]].group, self.units[self.running[0]].name))
            if len(self.running) > 1:
                shown += f" and {len(self.running) - 1} more"
        elif self.clock.done() < self.clock.total:
            shown = "waiting for a worker"
        else:
            shown = "done"
        self.progress.update(
            self.task,
            description=shown,
            completed=self.clock.done(),
            left=f"{duration(self.clock.left(self.workers()))} left",
        )


class Clock:
    """Estimates the time left: guessed seconds, scaled by what units of the same class took."""

    def __init__(self, units, results):
        self.kinds = [unit.cost_class for unit in units]
        self.costs = [unit.seconds for unit in units]
        self.total = sum(self.costs)
        self.rates = {}
        self.fraction = [0.0] * len(units)
        self.start = {}  # when a unit began
        self.first = {}  # when and where it first said how far it is
        for index, result in enumerate(results):
            if result is not None:
                self.finished(index, result["seconds"])

    def began(self, index):
        self.start[index] = time.perf_counter()

    def forget(self, index):
        self.fraction[index] = 0.0
        self.first.pop(index, None)

    def finished(self, index, seconds):
        self.rates[self.kinds[index]] = seconds / self.costs[index]
        self.fraction[index] = 1.0

    def at(self, index, fraction):
        """Note how far a unit is."""
        now = time.perf_counter()
        first, start = self.first.setdefault(index, (now, fraction))
        if fraction - start > 0.05:
            self.rates[self.kinds[index]] = (now - first) / ((fraction - start) * self.costs[index])
        self.fraction[index] = fraction

    def guess(self, index):
        """Take the time since a unit began for how far it is, unless it has said that itself."""
        if index not in self.first:
            expected = self.costs[index] * self.rates.get(self.kinds[index], 1.0)
            self.fraction[index] = min(0.95, (time.perf_counter() - self.start[index]) / max(expected, 1e-9))

    def done(self):
        """The guessed seconds that are done."""
        return sum(cost * part for cost, part in zip(self.costs, self.fraction, strict=True))

    def left(self, workers):
        """Seconds: of all that is left, shared by the workers, but no less than of one unit."""
        each = [
            cost * (1 - part) * self.rates.get(kind, 1.0)
            for cost, part, kind in zip(self.costs, self.fraction, self.kinds, strict=True)
        ]
        return max(sum(each) / max(workers, 1), max(each, default=0.0))


def duration(seconds):
    """Seconds in words."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
