"""What this machine can do at most, measured: float32 multiply-adds, and a triad over memory."""

import torch
from torch.utils.benchmark import Timer

from fpdet import _library  # noqa: F401  (registers the ops)

SECONDS = 0.1
REPEATS = 5
TRIAD_ELEMENTS = 1 << 24  # 64 MiB an array, larger than any cache


def measure(thread_counts):
    """{threads: {"gflops": ..., "gbs": ...}}, the best of a few."""
    a, b, c = (torch.full((TRIAD_ELEMENTS,), float(i)) for i in range(3))
    peaks = {}
    for threads in thread_counts:
        gflops = _gflops(threads)
        triad = Timer("torch.add(b, c, alpha=0.5, out=a)", globals={"a": a, "b": b, "c": c}, num_threads=threads)
        seconds = min(triad.timeit(1).mean for _ in range(REPEATS))
        peaks[str(threads)] = {"gflops": round(gflops, 1), "gbs": round(3e-9 * a.nbytes / seconds, 2)}
    return peaks


def _gflops(threads):
    """Of the multiply-add loop of the instruction set in use."""
    fma_loop, steps = torch.ops.fpdet.fma_loop, 1000

    def seconds():
        timer = Timer(
            "operations = fma_loop(steps)", globals={"fma_loop": fma_loop, "steps": steps}, num_threads=threads
        )
        return timer.timeit(1).mean

    while (taken := seconds()) < SECONDS / 4:
        steps = max(2 * steps, int(steps * SECONDS / 4 / max(taken, 1e-6)))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    operations = fma_loop(steps)
    torch.set_num_threads(before)
    return 1e-9 * operations / min(seconds() for _ in range(REPEATS))
