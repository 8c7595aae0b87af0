"""The executor of several processes of this machine.

Each worker has a pipe of its own, so the death of one is seen as that one's, and a worker whose parent is gone ends.
"""

import pickle
import signal
import tempfile
import time
from contextlib import contextmanager, suppress
from multiprocessing import connection, get_context
from pathlib import Path

from fpdet.experiments import work
from fpdet.experiments.store import identity

STEP = 0.2  # seconds between two messages of a unit that say how far it is


class Processes:
    """So many spawned processes; they start when there is a unit for them."""

    def __init__(self, workers):
        self.workers = workers

    def processors(self, threads):
        """How many of this machine's processors a run would keep busy."""
        return self.workers * threads

    @contextmanager
    def started(self, shared):
        with tempfile.TemporaryDirectory(prefix="fpdet-") as folder:
            path = Path(folder) / "shared"
            path.write_bytes(pickle.dumps(shared))
            pool = _Pool(self.workers, path)
            try:
                yield pool
            finally:
                pool.close()


class _Pool:
    def __init__(self, slots, path):
        self.slots = slots
        self.path = path
        self.workers = []

    def submit(self, index, unit, fetch):
        worker = next((each for each in self.workers if each.index is None), None)
        if worker is None:
            worker = _Worker(self.path)
            self.workers.append(worker)
        worker.give(index, pickle.dumps((unit, {need: pickle.dumps(fetch(need)) for need in unit.needs})))

    def next(self, on_step):
        until = time.monotonic() + 1
        while (left := until - time.monotonic()) > 0:
            busy = {worker.pipe: worker for worker in self.workers if worker.index is not None}
            for pipe in connection.wait(list(busy), left)[:1]:
                worker = busy[pipe]
                index = worker.index
                try:
                    kind, value = worker.message()
                except (EOFError, OSError):
                    self.workers.remove(worker)
                    return index, work.Lost(worker.end())
                if kind == "answer":
                    return index, value
                if kind == "step":
                    on_step(index, value)
        return None

    def close(self):
        for worker in self.workers:
            worker.stop()
        for worker in self.workers:
            worker.end()


class _Worker:
    """A process, and the unit it has."""

    def __init__(self, path):
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, path, identity()))
        # The worker inherits the mask: Ctrl-C reaches the driver alone, which then ends its workers.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self.ready = False
        self.index = self.job = None

    def give(self, index, job):
        self.index, self.job = index, job
        self._send()

    def _send(self):
        if self.ready and self.job is not None:  # a send to one that still imports torch would wait for it
            job, self.job = self.job, None
            with suppress(OSError):  # it died: the next `message` says so
                self.pipe.send_bytes(job)

    def message(self):
        """The next ("ready", None), ("step", share) or ("answer", answer)."""
        kind, value = pickle.loads(self.pipe.recv_bytes())
        if kind == "ready":
            self.ready = True
            self._send()
        if kind == "answer":
            self.index, value = None, pickle.loads(value)
        return kind, value

    def stop(self):
        """An idle worker ends by itself when its pipe closes; one that has a unit is killed."""
        self.pipe.close()
        if self.index is not None:
            self.process.kill()

    def end(self):
        """Wait until it has ended; in words, how it did."""
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        code = self.process.exitcode
        return f"process {self.process.pid} ended by " + (f"signal {-code}" if code < 0 else f"exit status {code}")


def _serve(pipe, path, driver):
    shared = path.read_bytes()
    with suppress(EOFError, OSError):  # the driver is gone, or needs no more
        pipe.send_bytes(pickle.dumps(("ready", None)))
        while True:
            answer = work.answer(driver, shared, *pickle.loads(pipe.recv_bytes()), _Steps(pipe))
            pipe.send_bytes(pickle.dumps(("answer", answer)))


class _Steps:
    """Tells the driver how far a unit is, now and then."""

    def __init__(self, pipe):
        self.pipe = pipe
        self.last = time.monotonic()

    def __call__(self, share):
        now = time.monotonic()
        if now - self.last >= STEP:
            self.last = now
            self.pipe.send_bytes(pickle.dumps(("step", share)))
