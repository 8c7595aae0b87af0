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
    run.add_argument("--data", default="digits", help="digits (default), fashion-mnist or cifar10")
    run.add_argument("--root", metavar="DIR", help="folder of the data files; digits needs none")
    run.add_argument("--out", metavar="DIR", help="run folder (default: runs/EXPERIMENT-DATA-SIZE)")
    run.add_argument("--size", default="laptop", help="laptop (default, minutes) or smoke (seconds, says nothing)")
    run.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting (repeatable)")
    run.set_defaults(call=_run)

    commands.add_parser("list", help="name the experiments and their settings").set_defaults(call=_list)
    report = commands.add_parser("report", help="write tables, plots and report of a finished run again")
    report.add_argument("folder", metavar="DIR")
    report.set_defaults(call=_report)
    commands.add_parser("info", help="how fpdet was built and what is in use").set_defaults(call=_info)
    conformance = commands.add_parser("conformance", help="compare a device's bits with those recorded on a CPU")
    conformance.add_argument("--device", default="cuda", help="cuda (default), cuda:1 or cpu")
    conformance.add_argument("--out", default=".", metavar="DIR", help="folder of conformance-GPU.json (default: here)")
    conformance.add_argument("--mutants", action="store_true", help="also require that ten planted errors are flagged")
    conformance.add_argument("--record", action="store_true", help="rewrite the recorded digests (on a CPU)")
    conformance.set_defaults(call=_conformance)
    bench = commands.add_parser("bench", help="speed beside torch's, bits beside the oracle (see: fpdet bench --help)")
    bench.add_argument("options", nargs=argparse.REMAINDER)
    return top


def main(arguments=None):
    """Run a command; returns its exit status: 0, 1 (failed), 2 (bad input), 130 (interrupted)."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments[:1] == ["bench"]:  # its options are its own
        return _bench(arguments[1:])
    given = parser().parse_args(arguments)
    try:
        return given.call(given) or 0
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on with the first unfinished run", file=sys.stderr)
        return 130
    except ModuleNotFoundError as error:
        if error.name not in ("rich", "matplotlib", "sklearn"):
            raise
        return _missing(error.name, "demo")


def _bad_input(error):
    print(f"fpdet: error: {error}", file=sys.stderr)
    return 2


def _bench(options):
    root = Path(__file__).resolve().parents[1]
    if not (root / "benchmarks" / "cli.py").is_file():
        return _bad_input(
            f"bench: expected the folder benchmarks beside {root / 'fpdet'}, found none: it comes with the source, "
            "not with the wheel; in a checkout, run: make bench"
        )
    sys.path.insert(0, str(root))
    try:
        from benchmarks.cli import main as bench
    except ModuleNotFoundError as error:
        if error.name not in ("rich", "matplotlib", "scipy"):
            raise
        return _missing(error.name, "bench")
    return bench(options)


def _missing(package, extra):
    print(f"fpdet: error: expected {package}, not installed; pip install 'fpdet[{extra}]'", file=sys.stderr)
    return 1


def _run(given):
    from fpdet.experiments import EXPERIMENTS
    from fpdet.experiments.config import ConfigError, one_of, preset

    try:
        one_of("experiment", given.experiment, tuple(EXPERIMENTS))
        config = preset(given.size, given.data).change(given.set)
        from fpdet.experiments.sources import members

        members(config)  # an unknown word of an arithmetic
    except (ConfigError, ValueError) as error:
        return _bad_input(error)
    from fpdet.experiments.data import DataError
    from fpdet.experiments.run import run

    out = given.out or f"runs/{given.experiment}-{config.data}-{given.size}"
    try:
        summary = run(config, out, given.root)
    except (ConfigError, DataError) as error:
        return _bad_input(error)
    return 0 if summary["controls_zero"] else 1


def _list(given):
    from dataclasses import fields

    from fpdet.experiments import EXPERIMENTS
    from fpdet.experiments.config import Config

    for name, words in EXPERIMENTS.items():
        print(f"{name}: {words}")
    print("\nsettings (--set KEY=VALUE) and their values:")
    for field in fields(Config):
        value = field.default
        text = ",".join(map(str, value)) if isinstance(value, tuple) else value
        print(f"  {field.name}={text}")


def _report(given):
    from fpdet.experiments.config import ConfigError
    from fpdet.experiments.run import finish
    from fpdet.experiments.store import RunFolder

    try:
        folder = RunFolder(given.folder)
        finish(folder)
    except ConfigError as error:
        return _bad_input(error)
    print(folder.path / "report.html")


def _conformance(given):
    from fpdet.conformance.record import main as conformance

    try:
        return conformance(given.device, given.out, given.record, given.mutants)
    except ValueError as error:
        return _bad_input(error)


def _info(given):
    import fpdet

    print(json.dumps(fpdet.build_info(), indent=1, default=str))


if __name__ == "__main__":
    sys.exit(main())
