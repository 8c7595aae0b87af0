"""Measures cases one after another, with progress, into a run folder."""

import ctypes
import gc
import sys
import time
from dataclasses import replace

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import peak, record
from benchmarks.cases import FPDET
from benchmarks.measure import measure


def keep_allocations_warm():
    """Have malloc keep what is freed (glibc): no call, torch's or ours, pays for fresh pages. Whether it could."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD, M_MMAP_MAX
    return mallopt is not None and bool(mallopt(trim_threshold, 2**31 - 1)) and bool(mallopt(mmap_max, 0))


def run(cases, folder, thread_counts, console, seconds=None, planted=None):
    """Measure the cases that the folder lacks; whether all are there now. Stops between cases after `seconds`.

    `planted` makes every call of ours take that many times its time: what a comparison of runs has to find."""
    torch.manual_seed(0)
    end = None if seconds is None else time.monotonic() + seconds
    if not folder.peaks:
        folder.set_peaks(peak.measure(thread_counts))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=len(cases))
        for case in cases:
            if not folder.holds(case.key):
                if end is not None and time.monotonic() > end:
                    return False
                progress.update(bar, description=case.label[:70])
                folder.add(measured(case, thread_counts, planted))
                gc.collect()
            progress.advance(bar)
    return True


def measured(case, thread_counts, planted=None):
    """A case as the record has it."""
    contenders = list(case.contenders())
    for number, c in enumerate(contenders):
        if planted and c.tags["system"] == FPDET:
            contenders[number] = replace(c, call=_delayed(c.call, planted))
    timings = measure(contenders, case.threads or thread_counts, case.rounds)
    entries = []
    for contender, timing in zip(contenders, timings, strict=True):
        seconds = [record.rounded(value) for value in timing.seconds]
        entry = {**contender.tags, "threads": timing.threads, "seconds": seconds}
        if contender.tags["system"] == FPDET:
            entry |= _probed(contender)
        entries.append(entry)
    kept = {"key": case.key, "work": case.work, "baselines": list(case.baselines), "entries": entries}
    return kept | ({"note": case.note} if case.note else {})


def _delayed(call, factor):
    def delayed():
        start = time.perf_counter()
        result = call()
        end = start + factor * (time.perf_counter() - start)
        while time.perf_counter() < end:
            pass
        return result

    return delayed


def _probed(contender):
    """Digest, work memory and, where the library counts them, outputs settled by each stage of the exact method."""
    ops = torch.ops.fpdet
    stages = getattr(ops, "exact_stages", None)
    ops.take_work_memory()
    if stages is not None:
        stages()
    found = {"digest": contender.digest()}
    scratch, packed, _ = ops.take_work_memory()
    if scratch:
        found |= {"scratch": scratch, "packed": packed}
    counts = stages() if stages is not None else []
    if sum(counts):
        found["stages"] = [round(count / sum(counts), 6) for count in counts]
    return found
