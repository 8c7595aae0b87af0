"""The workers of a process group: exchanges that count their bytes and, where one fails, name who is missing.

A collective fails on the workers that are left when one dies (its connections close) or when the group's timeout
passes. They then call the roll in the group's store: each writes its own rank and waits for the others'. Under torchrun
the store lives with the agent, so it outlasts any worker; else it lives in rank 0, and a store that is gone names it.
"""

import contextlib
import threading
import time

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import _get_default_store

ROLL_SECONDS = 10.0

_thread = threading.local()


class WorkerLostError(RuntimeError):
    """A collective that failed, with the ranks that did not answer afterwards in `ranks`."""

    def __init__(self, message, ranks):
        super().__init__(message)
        self.ranks = ranks


@contextlib.contextmanager
def naming_lost_workers(what="training", seconds=ROLL_SECONDS):
    """Around a training step or loop: a collective that fails inside raises `WorkerLostError`.

    Args:
        what: for the message, as "step 12".
        seconds: how long the others may take to answer the roll.
    """
    if getattr(_thread, "named", False):  # the outermost one calls the roll
        yield
        return
    _thread.named = True
    try:
        yield
    except RuntimeError as error:
        if not _is_of_a_collective(error):
            raise
        raise _lost(what, seconds, error) from error
    finally:
        _thread.named = False


def _is_of_a_collective(error):
    if isinstance(error, dist.DistError):
        return True
    text = str(error)  # gloo's own errors are plain RuntimeErrors; they name their source
    return "gloo" in text or "Connection closed by peer" in text or "Connection reset by peer" in text


def _lost(what, seconds, error):
    rank, size = dist.get_rank(), dist.get_world_size()
    first = str(error).strip().splitlines()[0]
    try:
        missing = _missing(rank, size, seconds)
    except RuntimeError:
        missing = [0]
        first += "; the store, which is rank 0's, does not answer"
    if not missing:
        return WorkerLostError(
            f"{what}: a collective failed on rank {rank} although all {size} workers live: {first}", []
        )
    names = ", ".join(map(str, missing))
    return WorkerLostError(
        f"{what}: rank {names} of {size} died or hangs (no answer to rank {rank} within {seconds:g} s): {first}",
        missing,
    )


def _missing(rank, size, seconds):
    store = _get_default_store()
    store.set(f"fpdet/roll/{rank}", "here")
    deadline = time.monotonic() + seconds
    missing = [r for r in range(size) if r != rank]
    while missing and time.monotonic() < deadline:
        missing = [r for r in missing if not store.check([f"fpdet/roll/{r}"])]
        if missing:
            time.sleep(0.05)
    return missing


class Workers:
    """Exchanges among the workers of a group; `bytes_sent` counts what this one has sent to others."""

    def __init__(self, group=None):
        if not dist.is_available() or not dist.is_initialized():
            raise RuntimeError(
                "group: expected a process group, got none; call torch.distributed.init_process_group first"
            )
        self.group = group
        self.rank, self.size = dist.get_rank(group), dist.get_world_size(group)
        self.bytes_sent = 0

    def maximum(self, number):
        """The greatest of the workers' ints."""
        return self._reduced(number, dist.ReduceOp.MAX)

    def total(self, number):
        """The sum of the workers' ints."""
        return self._reduced(number, dist.ReduceOp.SUM)

    def _reduced(self, number, operation):
        if self.size == 1:
            return number
        value = torch.tensor([number], dtype=torch.int64)
        with naming_lost_workers("all_reduce"):
            dist.all_reduce(value, operation, group=self.group)
        self.bytes_sent += value.nbytes * 2 * (self.size - 1) // self.size
        return int(value)

    def pieces(self, x):
        """x [size, *] -> [size, *]: piece r of the result is worker r's piece for this one."""
        if self.size == 1:
            return x
        received = torch.empty_like(x)
        with naming_lost_workers("all_to_all"):
            dist.all_to_all_single(_as_bytes(received), _as_bytes(x), group=self.group)
        self.bytes_sent += x.nbytes // self.size * (self.size - 1)
        return received

    def gathered(self, x):
        """x [*] -> [size, *], every worker's x in the order of ranks."""
        if self.size == 1:
            return x.unsqueeze(0)
        received = x.new_empty(self.size, *x.shape)
        with naming_lost_workers("all_gather"):
            dist.all_gather([_as_bytes(each) for each in received], _as_bytes(x), group=self.group)
        self.bytes_sent += x.nbytes * (self.size - 1)
        return received


def _as_bytes(x):
    """Backends need no dtype to move bits."""
    return x.reshape(-1).view(torch.uint8)
