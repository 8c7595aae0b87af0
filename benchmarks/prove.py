"""fpdet prove FUNCTION: an elementary function on every float32 pattern, and the record of it.

csrc/prove/prove.cpp does the work, in chunks that a later call goes on with. An input that its bound leaves undecided
is settled by MPFR, by name. The record in benchmarks/results/proofs belongs to the code that `digest` sees.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
CORE = ROOT / "csrc" / "core"
RECORDS = Path(__file__).parent / "results" / "proofs"
FOLDER = ROOT / "build" / "prove"
CHUNK, PATTERNS = 2**26, 2**32
HARDEST = 32
COUNTS = ("numbers", "decided_fast", "decided_accurate", "algebraic")


def functions():
    """Words of csrc/core/functions.h and the header of each."""
    text = (CORE / "functions.h").read_text()
    words = re.findall(r'X\(\w+, "(\w+)", \w+, \d+\)', text)
    headers = {path: path.read_text() for path in sorted((CORE / "functions").glob("*.h"))}

    def home(word):
        return next(path for path, text in headers.items() if re.search(rf" {word}_(enclosure|unpacked)\(", text))

    return {word: home(word) for word in words}


def sources(word):
    """The files that decide a function's proof: the headers of csrc/core/functions that its own includes, the table,
    and the program."""
    found, todo = [], [functions()[word]]
    while todo:
        header = todo.pop()
        if header not in found:
            found.append(header)
            names = re.findall(r'#include "([\w.]+)"', header.read_text())
            todo += [header.parent / name for name in names if (header.parent / name).exists()]
    return [*sorted(found), CORE / "functions.h", ROOT / "csrc" / "prove" / "prove.cpp"]


def digest(word, text_of=Path.read_text):
    """SHA-256 over the code of `sources`: comments, white space and line breaks do not count."""
    state = hashlib.sha256()
    for path in sources(word):
        code = re.sub(r"//[^\n]*", "", text_of(path)).replace("\\\n", "")
        state.update(path.name.encode() + re.sub(r"\s+", "", code).encode())
    return state.hexdigest()


def build():
    """The program, compiled for the widest instruction set of this machine, and its compiler."""
    sys.path.insert(0, str(ROOT / "csrc" / "build"))
    import native
    import plan

    work = plan.Plan(ROOT / "build" / "prove")
    instructions = [flag for flags in native.widest().values() for flag in flags]
    flags = [*plan.HOST_FLAGS, f"-I{plan.CSRC}", *instructions]
    program = work.link(work.folder / "prove", [work.compile(ROOT / "csrc" / "prove" / "prove.cpp", flags)], [])
    work.run()
    version = subprocess.run([work.compiler, "--version"], capture_output=True, text=True).stdout.splitlines()[0]
    return program, f"{version}, {' '.join(flags[1:2] + instructions)}"


def add(state, output):
    """A chunk's lines into the sums."""
    for line in output.splitlines():
        key, *values = line.split()
        if key in COUNTS:
            state[key] += int(values[0])
        elif key == "fast_error":
            state[key] = max(state[key], int(values[0]))
        elif key == "hard":
            state["hardest"].append([int(values[0]), float.fromhex(values[1])])
        else:
            state[key].append(int(values[0]))
    state["hardest"] = sorted(state["hardest"], key=lambda hard: hard[1])[:HARDEST]


def run(word, patterns=PATTERNS):
    """Every chunk that no earlier call has done; returns the sums."""
    program, compiler = build()
    path = FOLDER / f"{word}.json"
    fresh = {"digest": digest(word), "next": 0, "seconds": 0.0, "compiler": compiler, "fast_error": 0}
    fresh |= dict.fromkeys(COUNTS, 0) | {"undecided": [], "wrong_fast": [], "hardest": []}
    state = json.loads(path.read_text()) if path.exists() else fresh
    if state["digest"] != fresh["digest"]:
        state = fresh
    while state["next"] < patterns:
        start = time.monotonic()
        command = [str(program), word, str(state["next"]), str(min(CHUNK, patterns - state["next"]))]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        add(state, done.stdout)
        state["next"] += CHUNK
        state["seconds"] += time.monotonic() - start
        path.write_text(json.dumps(state))
        print(f"\r{word}: {100 * state['next'] // patterns}%", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return state


def settled(word, pattern):
    """The verdict on an input that the bound leaves undecided: whether core's digits are f(x)'s, by MPFR."""
    from fpdet import core
    from fpdet.reference import functions as oracle

    x = float(np.array(pattern, np.uint32).view(np.float32))
    negative, exponent, significand, _ = core.digits(word, x)
    count = bounds()["grid_digits"] - 1
    return oracle.digits(word, x, count) == (negative, exponent, significand >> (128 - count))


def proved(fields):
    """Whether a record shows what its name claims."""
    every = sum(fields[key] for key in ("numbers", "decided_accurate", "algebraic")) + len(fields["undecided"])
    within = fields["fast_error_units"] <= 2 ** fields["bounds"]["fast_units_log2"]
    return every == PATTERNS and within and not fields["wrong_fast"] and all(fields["undecided"].values())


def record(word, state):
    """What the run shows, as the record's fields."""
    fields = {"function": word, "inputs": PATTERNS, **{key: state[key] for key in COUNTS}}
    fields["undecided"] = {str(x): settled(word, x) for x in state["undecided"]}
    fields["wrong_fast"] = state["wrong_fast"]
    fields["fast_error_units"] = state["fast_error"]
    fields["bounds"] = bounds()
    fields["hardest"] = [{"pattern": x, "distance_over_bound": ratio} for x, ratio in state["hardest"]]
    fields |= {"source_digest": state["digest"], "compiler": state["compiler"], "seconds": round(state["seconds"], 1)}
    return fields


def bounds():
    """The bounds that the run took for granted, as the sources have them."""
    text = (CORE / "functions" / "rounding_test.h").read_text()
    fast, grid = (re.search(rf"{name} = (\d+);", text)[1] for name in ("kFastErrorBits", "kGridDigits"))
    accurate = re.search(r"magnitude\(d\.hi\) \* (0x1p-\d+)", text)[1]
    return {"fast_units_log2": int(fast), "accurate": accurate, "grid_digits": int(grid)}


def main(options):
    parser = argparse.ArgumentParser(prog="fpdet prove", description=__doc__.splitlines()[0])
    parser.add_argument("function", nargs="+", choices=list(functions()), metavar="FUNCTION")
    for word in parser.parse_args(options).function:
        fields = record(word, run(word))
        RECORDS.mkdir(parents=True, exist_ok=True)
        (RECORDS / f"{word}.json").write_text(json.dumps(fields, indent=1) + "\n")
        print(f"{word}: {len(fields['undecided'])} undecided, {len(fields['wrong_fast'])} wrong: {RECORDS / word}.json")
        if not proved(fields):
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
