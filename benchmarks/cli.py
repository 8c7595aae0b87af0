"""The command line: python -m fpdet bench [options] | compare A B | control | report RUN | page RUN."""

import argparse
import sys
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track

from benchmarks import check, control, data, others, record, runner, shapes, suite, table
from benchmarks.cases import DTYPES, PASSES, Choice, convolution
from benchmarks.problems import ProblemError, parse
from benchmarks.rows import rows

ROUNDS = 9
WORDS = ("nearest_even blocked(512)", "nearest_even sequential")
ROOT = Path(__file__).resolve().parents[1]


def main(arguments=None):
    """Exit status: 0, 1 (a wrong result, something slower), 2 (bad input), 130 (interrupted)."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    commands = {"compare": _compare_parser, "control": _control_parser, "report": _report_parser, "page": _page_parser}
    command = arguments[0] if arguments and arguments[0] in commands else None
    given = (commands[command] if command else _run_parser)().parse_args(arguments[1:] if command else arguments)
    console = Console(width=None if sys.stdout.isatty() else 180, highlight=False)
    try:
        return given.call(given, console) or 0
    except (ProblemError, record.RecordError, ValueError) as error:
        print(f"fpdet bench: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted; the same command with the same --out goes on", file=sys.stderr)
        return 130


def _run_parser():
    run = argparse.ArgumentParser(
        prog="fpdet bench",
        description="Speed beside torch's. Without --shapes and --problem: the default suite "
        "and its bars. Other commands: compare A B, control, report RUN, page RUN (each has --help).",
    )
    run.set_defaults(call=_run)
    run.add_argument(
        "--only", nargs="+", choices=[part.name for part in suite.PARTS], help="parts of the default suite"
    )
    run.add_argument("--quick", action="store_true", help="of the suite one layer of each class")
    run.add_argument("--shapes", nargs="+", metavar="LIST", help=f"of {', '.join(shapes.names())}, or files")
    run.add_argument("--problem", nargs="+", metavar="DESCRIPTOR", help="such as n4c64h56k64r3p1")
    run.add_argument("--passes", nargs="+", choices=PASSES, default=PASSES)
    run.add_argument("--arithmetic", nargs="+", default=WORDS, metavar="WORDS", help="in quotes, one or more")
    run.add_argument("--data", nargs="+", choices=tuple(data.KINDS), default=["gaussian"])
    run.add_argument("--dtype", nargs="+", choices=tuple(DTYPES), default=["float32"], help="of fpdet's operands")
    run.add_argument("--op", action="store_true", help="time the ops themselves, not the public call")
    run.add_argument("--most", type=int, metavar="N", help="halve batch, size, channels down to N multiply-adds")
    run.add_argument("--check", action="store_true", help="compare bits with the oracle, on tiny versions; no timing")
    run.add_argument("--threads", nargs="+", type=int, metavar="N", help="each contender runs at the best of these")
    run.add_argument("--rounds", type=int, help="samples of each contender")
    run.add_argument("--out", metavar="DIR", help="run folder (default: runs/bench-TIME); an unfinished one goes on")
    run.add_argument("--planted", type=float, help=argparse.SUPPRESS)  # of control.py
    run.add_argument("--page", action="store_true", help="make the finished run docs/performance.md, as page RUN does")
    run.add_argument("--seconds", type=float, metavar="S", help="stop after S seconds; the same command goes on")
    return run


def _compare_parser():
    parser = argparse.ArgumentParser(prog="fpdet bench compare", description="What got slower from run A to run B.")
    parser.set_defaults(call=_compare)
    parser.add_argument("a", metavar="A", help="run folder, a folder of such of one binary, or run.json")
    parser.add_argument("b", metavar="B")
    least = "least slow-down that counts (default 0.1: 10%%); a layer of a group alone: 50%%"
    parser.add_argument("--least", type=float, default=0.1, help=least)
    return parser


def _control_parser():
    parser = argparse.ArgumentParser(
        prog="fpdet bench control",
        description="Compare runs of one binary, a process each, with a first one: nothing may be slower; and a run "
        f"with planted idle turns, {control.PLANTED} times the time: that has to be found.",
    )
    parser.set_defaults(call=_control)
    parser.add_argument("--runs", type=int, default=10, metavar="N", help="beside the first (default 10)")
    parser.add_argument("--out", default="runs/bench-control", metavar="DIR", help="an unfinished one goes on")
    parser.add_argument("--page", action="store_true", help="keep the outcome and tell it in docs/performance.md")
    return parser


def _report_parser():
    parser = argparse.ArgumentParser(prog="fpdet bench report", description="Tables, plots and report of a run, again.")
    parser.set_defaults(call=_report)
    parser.add_argument("run", metavar="RUN", help="run folder")
    return parser


def _page_parser():
    parser = argparse.ArgumentParser(
        prog="fpdet bench page",
        description="Make a run the committed result, and docs/performance.md and its plots of it.",
    )
    parser.set_defaults(call=_page)
    parser.add_argument(
        "run", metavar="RUN", nargs="?", help="run folder, unfinished or not (default: the result committed last)"
    )
    parser.add_argument(
        "--beside", metavar="NAME", help="keep RUN as one elsewhere, whose bars the page shows besides the result's"
    )
    return parser


def _run(given, console):
    chosen = _Selection(given)
    if given.check:
        return _check(chosen, console)
    threads = given.threads or sorted({1, min(2, torch.get_num_threads())})
    cases = chosen.cases()
    settings = {
        "command": " ".join(["fpdet bench", *chosen.words]),
        "cases": len(cases),
        "threads": threads,
        "rounds": given.rounds or "by part",
        "warm_allocations": runner.keep_allocations_warm(),
    } | ({"planted": given.planted} if given.planted else {})
    out = Path(given.out or f"runs/bench-{time.strftime('%Y%m%d-%H%M%S')}")
    folder = record.RunFolder(out, record.machine(), settings)
    if chosen.is_suite and (not given.only or "others" in given.only):
        for line in others.installed()[1]:
            console.print(line, markup=False)
    console.print(f"{len(cases)} cases into {out}, {len(folder.cases)} of them there already")
    if not runner.run(cases, folder, threads, console, given.seconds, given.planted):
        console.print(f"{len(folder.cases)} of {len(cases)} cases; the same command with --out {out} goes on")
        return 0
    finished = folder.finish()
    found = rows(finished)
    if not chosen.is_suite:
        console.print(table.details(found))
    console.print(table.summary(found))
    if given.page:
        _write_page(finished, console)
    return _write_report(out, finished, console)


class _Selection:
    """What a command line names: the default suite (or parts of it), or problems."""

    def __init__(self, given):
        self.given = given
        self.is_suite = not (given.shapes or given.problem)
        self.problems = [problem for name in given.shapes or [] for problem in shapes.read(name)]
        self.problems += [parse(text, "--problem") for text in given.problem or []]
        if given.most:
            self.problems = [problem.small(given.most) for problem in self.problems]
        self.choices = [Choice(words, dtype) for dtype in given.dtype for words in given.arithmetic]
        for choice in self.choices:
            choice.tags()  # an unknown word raises now

    @property
    def words(self):
        """The options that make this selection."""
        names = (
            ("only", "quick")
            if self.is_suite
            else ("shapes", "problem", "passes", "arithmetic", "data", "dtype", "op", "most")
        )
        for name in names:
            if value := getattr(self.given, name):
                yield f"--{name}"
                values = value if isinstance(value, list | tuple) else [] if value is True else [value]
                yield from (f"'{word}'" if " " in str(word) else str(word) for word in values)

    def cases(self):
        given = self.given
        if self.is_suite:
            return suite.cases(given.only or (), given.rounds, given.quick)
        return [
            convolution(problem, which, self.choices, kind, given.op, rounds=given.rounds or ROUNDS)
            for problem in self.problems
            for which in given.passes
            for kind in given.data
        ]

    def checks(self):
        if self.is_suite:
            return list(check.of_suite())
        return list(check.of_problems(self.problems, self.given.passes, self.choices, self.given.data, self.given.op))


def _check(chosen, console):
    wrong = check.run(track(chosen.checks(), "beside the oracle", console=console, transient=True))
    for label in wrong:
        console.print(f"wrong: {label}", markup=False)
    console.print(f"{len(wrong)} wrong of {len(chosen.checks())}")
    return 1 if wrong else 0


def _write_report(out, finished, console):
    from benchmarks import report

    report.write(out, finished)
    if lines := report.bar_lines(finished):
        console.print(table.bars(lines))
    console.print(f"report: {out / 'report.html'}")
    return 0


def _report(given, console):
    return _write_report(Path(given.run), record.read(given.run), console)


def _compare(given, console):
    from benchmarks.compare import compare

    found = compare(record.read(given.a), record.read(given.b), given.least)
    console.print(table.comparison(found))
    return 1 if found.slower else 0


def _control(given, console):
    if given.runs < 1:
        raise ValueError(f"--runs: expected at least 1, got {given.runs}")
    outcome = control.run(given.out, given.runs, console)
    wrong = sum(bool(labels) for labels in outcome.false)
    console.print(f"runs of the same binary in which something is called slower: {wrong} of {len(outcome.false)}")
    console.print(f"groups in which the planted slow-down is found: {len(outcome.found)} of {len(outcome.groups)}")
    for label in sorted({label for labels in outcome.false for label in labels}):
        console.print(f"wrongly called slower: {label}", markup=False)
    if given.page:
        _write_page(None, console, control.kept(given.out))
    return 0 if outcome.passed else 1


def _page(given, console):
    if given.beside and not given.run:
        raise record.RecordError("--beside: expected a RUN to keep, got none")
    return _write_page(record.read(given.run) if given.run else None, console, beside=given.beside)


def _write_page(finished, console, outcome=None, beside=None):
    from benchmarks import page

    for path in page.write(ROOT, finished, outcome, beside):
        console.print(str(path))
    return 0
