"""Does `compare` work on this machine? Runs of one binary, a few processes each, and one with a planted slow-down.

The first run is compared with every other: nothing may be slower. Then with a run in which each call of ours is
followed by idle turns for a fifth of its own time: `compare` has to call that slower. In how many groups of layers it
does says how much it can see through the noise of this machine.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.progress import track

from benchmarks import record
from benchmarks.compare import compare

PLANTED = 1.2
LAYERS = ("n2c64h28k64r3p1", "n1c128h14k128r3p1", "n1c256h14k64r1", "n4c64h14k256r1")
PROCESSES, ROUNDS = 3, 5  # of a run, and of each of its processes
OUTCOME = "control.json"


@dataclass(frozen=True)
class Outcome:
    """Per run of the same binary what was called slower; of the planted run the groups it holds and those found."""

    false: list
    groups: list
    found: list

    @property
    def passed(self):
        """Whether the planted run, and no other, is called slower."""
        return not any(self.false) and bool(self.found)


def run(out, count, console):
    """The Outcome of `count` runs beside a first one; kept in the folder, whose finished runs are not repeated."""
    out = Path(out)
    for number in track(range(count + 2), "runs of one binary", console=console, transient=True):
        for process in range(PROCESSES):
            folder = _folder(out, number) / f"process-{process}"
            if not (folder / "run.json").exists():
                _measure(folder, planted=number == count + 1)
    first, *same, slower = [record.read(_folder(out, number)) for number in range(count + 2)]
    found = compare(first, slower)
    outcome = Outcome(
        [[change.label for change in compare(first, other).slower] for other in same],
        _groups(found.changes),
        _groups(found.slower),
    )
    setting = {"planted": PLANTED, "layers": LAYERS, "processes": PROCESSES, "rounds": ROUNDS}
    kept = {"machine": first["machine"], **setting, **vars(outcome)}
    (out / OUTCOME).write_text(json.dumps(kept, indent=1) + "\n")
    return outcome


def kept(out):
    """What a finished control left in its folder, as JSON has it."""
    return json.loads((Path(out) / OUTCOME).read_text())


def _folder(out, number):
    return out / f"run-{number:02}"


def _groups(changes):
    return sorted(change.label for change in changes if change.label.startswith("all of"))


def _measure(folder, planted):
    command = [sys.executable, "-m", "benchmarks", "--problem", *LAYERS, "--rounds", str(ROUNDS), "--out", str(folder)]
    if planted:
        command += ["--planted", str(PLANTED)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).resolve().parents[1])
    if done.returncode != 0:
        raise record.RecordError(f"{folder}: {' '.join(command)} failed: {done.stderr.strip()}")
