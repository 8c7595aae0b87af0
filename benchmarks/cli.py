"""The command line: python -m fpdet bench [options] | compare A B | report RUN | page RUN."""

import argparse
import sys
import time
from pathlib import Path

import torch
from rich.console import Console

from benchmarks import data, record, runner, shapes, table
from benchmarks.cases import DTYPES, PASSES, Choice, convolution
from benchmarks.problems import ProblemError, parse
from benchmarks.rows import rows

ARITHMETIC = ("nearest_even blocked(512)", "nearest_even sequential")


def main(arguments=None):
    """Exit status: 0, 1 (a wrong result, something slower), 2 (bad input)."""
    given = parser().parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 180, highlight=False)
    try:
        return given.call(given, console) or 0
    except (ProblemError, record.RecordError, ValueError) as error:
        print(f"fpdet bench: error: {error}", file=sys.stderr)
        return 2


def parser():
    top = argparse.ArgumentParser(prog="fpdet bench", description=__doc__)
    top.set_defaults(call=_run)
    top.add_argument("--shapes", nargs="+", metavar="LIST", help=f"of {', '.join(shapes.names())}, or files")
    top.add_argument("--problem", nargs="+", default=[], metavar="DESCRIPTOR", help="such as n4c64h56k64r3p1")
    top.add_argument("--passes", nargs="+", choices=PASSES, default=PASSES)
    top.add_argument("--arithmetic", nargs="+", default=ARITHMETIC, metavar="WORDS", help="in quotes, one or more")
    top.add_argument("--data", nargs="+", choices=tuple(data.KINDS), default=["gaussian"])
    top.add_argument("--dtype", nargs="+", choices=tuple(DTYPES), default=["float32"], help="of fpdet's operands")
    top.add_argument("--op", action="store_true", help="time the ops themselves, not the public call")
    top.add_argument("--most", type=int, metavar="N", help="halve batch, size, channels down to N multiply-adds")
    top.add_argument("--threads", nargs="+", type=int, metavar="N", help="each contender runs at the best of these")
    top.add_argument("--rounds", type=int, help="samples of each contender")
    top.add_argument("--out", metavar="DIR", help="run folder (default: runs/bench-TIME); an unfinished one goes on")
    top.add_argument("--seconds", type=float, metavar="S", help="stop after S seconds; the same command goes on")
    return top


def _run(given, console):
    cases = _chosen(given)
    threads = given.threads or sorted({1, min(2, torch.get_num_threads())})
    settings = {"threads": threads, "rounds": given.rounds or 7, "warm_allocations": runner.keep_allocations_warm()}
    out = given.out or f"runs/bench-{time.strftime('%Y%m%d-%H%M%S')}"
    folder = record.RunFolder(out, record.machine(), settings)
    if not runner.run(cases, folder, threads, settings["rounds"], console, given.seconds):
        console.print(f"{len(folder.cases)} of {len(cases)} cases; the same command with --out {out} goes on")
        return 0
    finished = folder.finish()
    found = rows(finished)
    record.write_csv(folder.path / "rows.csv", found)
    console.print(table.details(found))
    console.print(table.summary(found))
    console.print(f"{Path(out) / 'run.json'}")
    return 0


def _chosen(given):
    problems = [problem for name in given.shapes or [] for problem in shapes.read(name)]
    problems += [parse(text, "--problem") for text in given.problem]
    choices = [Choice(words, dtype) for dtype in given.dtype for words in given.arithmetic]
    if given.most:
        problems = [problem.small(given.most) for problem in problems]
    return [
        convolution(problem, which, choices, kind, given.op)
        for problem in problems
        for which in given.passes
        for kind in given.data
    ]
