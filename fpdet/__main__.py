"""The command line: ``python -m fpdet``, or ``fpdet`` once installed."""

import argparse
import json
import sys
from pathlib import Path


def parser():
    """The argument parser of every command."""
    top = argparse.ArgumentParser(prog="fpdet", description="Convolution and SGD whose every bit is specified.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run an experiment, or go on with one that was interrupted")
    run.add_argument("experiment", help="its name (see: fpdet list)")
    run.add_argument("--size", default="laptop", help="smoke (seconds, says nothing), laptop (default) or paper")
    run.add_argument("--config", metavar="FILE", help="settings from a TOML file instead of a size's")
    run.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting (repeatable)")
    run.add_argument("--data", help="digits, fashion-mnist or cifar10, for experiments that train on images")
    run.add_argument("--root", metavar="DIR", help="folder of the data files; digits needs none")
    run.add_argument("--out", metavar="DIR", help="run folder (default: runs/EXPERIMENT-[DATA-]SIZE)")
    run.add_argument("--executor", default="local", help="local (default: this machine) or ray; the bits are the same")
    run.add_argument("--workers", type=int, metavar="N", help="units at a time (local: 1; ray: as many as find room)")
    run.add_argument("--address", metavar="HOST:PORT", help="a Ray cluster to use (default: one for this run, here)")
    run.set_defaults(call=_run)

    listing = commands.add_parser("list", help="the experiments, their sizes and what they cost")
    listing.add_argument("experiment", nargs="?", help="its settings instead")
    listing.set_defaults(call=_list)
    report = commands.add_parser("report", help="write tables, plots and report of a finished run again; compare runs")
    report.add_argument("folders", nargs="*", metavar="DIR", help="one: its report; several: what differs among them")
    report.add_argument("--docs", action="store_true", help="write docs/experiments.md again, from these runs too")
    report.set_defaults(call=_report)
    commands.add_parser("info", help="how fpdet was built and what is in use").set_defaults(call=_info)
    compare = commands.add_parser("compare", help="find the first op in which two recordings (fpdet.record) differ")
    compare.add_argument("a", metavar="A", help="a file that fpdet.record wrote")
    compare.add_argument("b", metavar="B", help="another one, of the same model")
    compare.set_defaults(call=_compare)
    conformance = commands.add_parser("conformance", help="compare a device's bits with those recorded on a CPU")
    conformance.add_argument("--device", default="cuda", help="cuda (default), cuda:1 or cpu")
    conformance.add_argument("--out", default=".", metavar="DIR", help="folder of conformance-GPU.json (default: here)")
    conformance.add_argument("--mutants", action="store_true", help="also require that ten planted errors are flagged")
    conformance.add_argument("--record", action="store_true", help="rewrite the recorded digests (on a CPU)")
    conformance.set_defaults(call=_conformance)
    bench = commands.add_parser("bench", help="speed beside torch's, bits beside the oracle (see: fpdet bench --help)")
    bench.add_argument("options", nargs=argparse.REMAINDER)
    prove = commands.add_parser("prove", help="an elementary function on every float32 (see: fpdet prove --help)")
    prove.add_argument("options", nargs=argparse.REMAINDER)
    return top


def main(arguments=None):
    """Run a command; returns its exit status: 0, 1 (failed), 2 (bad input), 130 (interrupted)."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments[:1] in (["bench"], ["prove"]):  # their options are their own
        return _from_checkout(arguments[0], arguments[1:])
    given = parser().parse_args(arguments)
    try:
        return given.call(given) or 0
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on with the first unfinished run", file=sys.stderr)
        return 130
    except ModuleNotFoundError as error:
        if error.name not in ("rich", "matplotlib", "sklearn", "tomli"):
            raise
        return _missing(error.name, "demo")


def bad_input(error):
    """Print one error; the exit status of bad input."""
    failed(error)
    return 2


def failed(error):
    """Print one error; the exit status of what was right to ask for, and failed."""
    print(f"fpdet: error: {error}", file=sys.stderr)
    return 1


def _from_checkout(command, options):
    root = Path(__file__).resolve().parents[1]
    if not (root / "benchmarks" / "cli.py").is_file():
        return bad_input(
            f"{command}: expected the folder benchmarks beside {root / 'fpdet'}, found none: it comes with the source, "
            f"not with the wheel; in a checkout, run: make {command}"
        )
    sys.path.insert(0, str(root))
    try:
        if command == "bench":
            from benchmarks.cli import main as call
        else:
            from benchmarks.prove import main as call
    except ModuleNotFoundError as error:
        if error.name not in ("rich", "matplotlib", "scipy"):
            raise
        return _missing(error.name, "bench")
    return call(options)


def _missing(package, extra):
    return failed(f"expected {package}, not installed; pip install 'fpdet[{extra}]'")


def _run(given):
    from fpdet.experiments import cli

    return cli.run(given)


def _list(given):
    from fpdet.experiments import cli

    return cli.show(given)


def _report(given):
    from fpdet.experiments import cli

    return cli.report(given)


def _compare(given):
    from fpdet._compare import compare
    from fpdet._recording import RecordingError

    try:
        found = compare(given.a, given.b)
    except RecordingError as error:
        return bad_input(error)
    print(found)
    return 0 if found.equal else 1


def _conformance(given):
    from fpdet.conformance.record import main as conformance

    try:
        return conformance(given.device, given.out, given.record, given.mutants)
    except ValueError as error:
        return bad_input(error)


def _info(given):
    import fpdet

    print(json.dumps(fpdet.build_info(), indent=1, default=str))


if __name__ == "__main__":
    sys.exit(main())
