"""Builds and runs the programs of tests/native, which need neither Python nor torch.

    python csrc/build/native.py host|sanitizers|aarch64 [--write-golden]

* host: the package's own flags and instruction sets;
* sanitizers: ASan and UBSan, with the widest instruction set of this machine: every third case of cpu_main;
* aarch64: cross-compiled, under qemu, which is slow: every tenth. Its compiler contracts a*b + c by default, so the same program built
  without -ffp-contract=off must make the canary fail: that is the control.

Each program checks itself (exit status) and prints `case digest` lines, equal to those of tests/native/golden.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import plan

NATIVE = plan.ROOT / "tests" / "native"
GOLDEN = NATIVE / "golden"
PROGRAMS = {
    "core_main": False,
    "shares_main": False,
    "cpu_main": True,
    "elementwise_main": True,
    "functions_main": True,
    "primitives_main": True,
    "adam_main": True,
}  # name: linked with csrc/cpu

# Sanitizer builds warn falsely about memory that is in order: warnings are the other builds' business.
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g", "-O1", "-w"]


@dataclass
class Kind:
    compiler: str | None
    flags: list[str]
    runner: list[str]
    instruction_sets: dict[str, list[str]]
    every: int = 1  # which cases of cpu_main


def widest() -> dict[str, list[str]]:
    """The last instruction set whose -m flags this processor has."""
    words = Path("/proc/cpuinfo").read_text().split() if Path("/proc/cpuinfo").exists() else []
    runs = [
        name for name, flags in plan.INSTRUCTION_SETS.items() if all(flag.removeprefix("-m") in words for flag in flags)
    ]
    return {name: plan.INSTRUCTION_SETS[name] for name in runs[-1:]}


KINDS = {
    "host": Kind(None, [], [], plan.INSTRUCTION_SETS),
    "sanitizers": Kind(None, SANITIZERS, [], widest(), every=3),
    "aarch64": Kind("aarch64-linux-gnu-g++", ["-static"], ["qemu-aarch64"], {"baseline": []}, every=10),
}


def build(name: str) -> dict[str, Path]:
    kind = KINDS[name]
    work = plan.Plan(plan.ROOT / "build" / f"native-{name}")
    work.compiler = kind.compiler or work.compiler
    objects = plan.cpu_objects(work, kind.instruction_sets, kind.flags)
    flags = [*plan.HOST_FLAGS, f"-I{plan.CSRC}", *kind.flags]
    built = {}
    for program, with_cpu in PROGRAMS.items():
        main = work.compile(NATIVE / f"{program}.cpp", flags)
        built[program] = work.link(
            work.folder / program, [main, *(objects if with_cpu else [])], [*kind.flags, "-pthread"]
        )
    contracted = [flag for flag in flags if flag != "-ffp-contract=off"]
    control = work.compile(NATIVE / "core_main.cpp", contracted, "contracted")
    built["control"] = work.link(work.folder / "control", [control], kind.flags)
    work.run()
    return built


def compare(program: str, output: str, every: int) -> list[str]:
    """The lines in which a program's output is not its golden file, or every so manieth line of it."""
    golden = (GOLDEN / f"{program}.txt").read_text().splitlines()[::every]
    got = output.splitlines()
    missing = [f"  expected {line}" for line in golden if line not in got]
    return missing + [f"  got      {line}" for line in got if line not in golden]


def main() -> int:
    parser = argparse.ArgumentParser(description="Build and run the programs of tests/native.")
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--write-golden", action="store_true", help="keep the digests instead of comparing them")
    arguments = parser.parse_args()
    kind = KINDS[arguments.kind]
    built = build(arguments.kind)
    failed = 0
    for program in PROGRAMS:
        every = kind.every if program == "cpu_main" else 1
        command = [*kind.runner, str(built[program]), *([str(every)] if every > 1 else [])]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        problems = []
        if done.returncode != 0:
            problems = [f"  ended with status {done.returncode}"]
        elif arguments.write_golden:
            GOLDEN.mkdir(exist_ok=True)
            (GOLDEN / f"{program}.txt").write_text(done.stdout)
        else:
            problems = compare(program, done.stdout, every)
        failed += bool(problems)
        print(f"{arguments.kind} {program}: {'FAILED' if problems else f'ok, {len(done.stdout.splitlines())} digests'}")
        print(*problems, sep="\n", end="\n" if problems else "", file=sys.stderr)
    if arguments.kind == "aarch64":
        control = subprocess.run([*kind.runner, str(built["control"]), "--canary"], stdout=subprocess.PIPE, text=True)
        caught = "no_contraction" in control.stdout
        failed += not caught
        verdict = "ok, the canary sees contraction" if caught else "FAILED: the canary sees no contraction"
        print(f"{arguments.kind} control: {verdict}")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except plan.BuildError as error:
        sys.exit(f"error: {error}")
