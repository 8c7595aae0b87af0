"""The run folder: cases.jsonl grows case by case, so that an interrupted run goes on; run.json is the finished record.

A record is plain JSON: machine, settings, peaks, and cases. A case holds what names it, its work, and one entry for
each contender with the raw samples, rounded to four digits. Everything else is derived (rows.py).
"""

import csv
import io
import json
import os
import platform
from pathlib import Path

import fpdet
from fpdet._library import shared_object

SCHEMA = 1
DIGITS = 4


class RecordError(ValueError):
    """A run folder or record that cannot be used, and why."""


def machine():
    """Where and of what a run is."""
    import hashlib

    info = fpdet.build_info()
    library = hashlib.sha256(shared_object().read_bytes()).hexdigest()[:16]
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "instruction_set": info["instruction_set"],
        "torch": info["torch"],
        "torch_capability": info["torch_cpu_capability"],
        "torch_environment": {
            name: value
            for name, value in sorted(os.environ.items())
            if name.startswith(("ATEN_CPU", "ONEDNN_", "DNNL_"))
        },
        "fpdet": info["version"],
        "commit": info["commit"],
        "library": library,
        "compiler": info["compiler"],
        "python": platform.python_version(),
        "system": platform.system(),
    }


def _processor():
    """Model name and number, where Linux tells them."""
    found = {}
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            found.setdefault(name.strip(), value.strip())
    except OSError:
        pass
    if "model name" not in found:
        return platform.processor() or platform.machine()
    numbers = [
        f"{word} {found[name]}" for word, name in (("family", "cpu family"), ("model", "model")) if name in found
    ]
    return f"{found['model name']} ({', '.join(numbers)})" if numbers else found["model name"]


def rounded(seconds):
    """A sample with as many digits as mean something."""
    return float(f"{seconds:.{DIGITS}g}")


class RunFolder:
    """A folder that holds one run.

    Raises:
        RecordError: the folder is no run folder, or one of another machine, build or settings.
    """

    def __init__(self, path, machine, settings):
        self.path = Path(path)
        self.header = {"schema": SCHEMA, "machine": machine, "settings": settings}
        self.file = self.path / "cases.jsonl"
        self.peaks, self.cases = {}, []
        if self.file.exists():
            self._resume()
        elif self.path.exists() and any(self.path.iterdir()):
            raise RecordError(f"{self.path}: expected a new folder or one with an unfinished run, got other files")
        else:
            self.path.mkdir(parents=True, exist_ok=True)
            self._append({"header": self.header})

    def _resume(self):
        for found in _lines(self.file):
            if "header" in found and found["header"] != self.header:
                kept, new = found["header"], self.header
                changed = [
                    f"{part}.{name}: {kept[part].get(name)!r} there, {value!r} now"
                    for part in ("machine", "settings")
                    for name, value in new[part].items()
                    if kept[part].get(name) != value
                ]
                raise RecordError(f"{self.path}: holds another run ({'; '.join(changed)}); choose another --out")
            self.peaks = found.get("peaks", self.peaks)
            if "key" in found:
                self.cases.append(found)

    def _append(self, line):
        with open(self.file, "a") as file:
            file.write(json.dumps(line, allow_nan=False) + "\n")

    def holds(self, key):
        """Whether a case has been measured."""
        return any(case["key"] == key for case in self.cases)

    def set_peaks(self, peaks):
        self.peaks = peaks
        self._append({"peaks": peaks})

    def add(self, case):
        self.cases.append(case)
        self._append(case)

    def finish(self):
        """Write run.json and rows.csv; returns the record."""
        record = {**self.header, "peaks": self.peaks, "cases": self.cases}
        write(self.path / "run.json", record)
        return record


def write(path, record):
    """One case a line."""
    head = {name: value for name, value in record.items() if name != "cases"}
    lines = ",\n".join("  " + json.dumps(case, allow_nan=False) for case in record["cases"])
    text = json.dumps(head, indent=1, allow_nan=False).removesuffix("\n}")
    Path(path).write_text(f'{text},\n "cases": [\n{lines}\n ]\n}}\n')


def _lines(file):
    """What the lines of cases.jsonl hold."""
    for line in file.read_text().splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            pass  # the line that an interruption cut


def _unfinished(folder):
    """The record of the cases that a folder holds so far."""
    found = {"peaks": {}, "cases": []}
    for part in _lines(folder / "cases.jsonl"):
        found |= part.get("header", {}) | ({"peaks": part["peaks"]} if "peaks" in part else {})
        if "key" in part:
            found["cases"].append(part)
    return found


def read(path):
    """The record of a run folder, finished or not, of a folder of such (see joined), or of a JSON file.

    Raises:
        RecordError: there is none, it is of another version, or several are no runs of one binary.
    """
    path = Path(path)
    if path.is_dir() and not any((path / name).exists() for name in ("run.json", "cases.jsonl")):
        if runs := sorted(inner for inner in path.iterdir() if inner.is_dir()):
            return joined([read(inner) for inner in runs])
    file = path / "run.json" if path.is_dir() else path
    try:
        unfinished = path.is_dir() and not file.exists()
        record = _unfinished(path) if unfinished else json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise RecordError(f"{file}: expected the record of a run, got {type(error).__name__}: {error}") from None
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        got = record.get("schema") if isinstance(record, dict) else type(record).__name__
        raise RecordError(f"{file}: expected a record of schema {SCHEMA}, got {got!r}")
    return record


def joined(records):
    """Runs of one binary, a process each, as one: the rounds of all, for the cases that all have.

    What differs from process to process although the code is the same, such as where its memory lies, is so sampled.

    Raises:
        RecordError: they are of several machines or binaries, or their results have other bits.
    """
    first, *others = records
    for other in others:
        for part in ("machine", "settings"):
            if other.get(part) != first.get(part):
                raise RecordError(f"{part}: expected runs of one binary, got {first.get(part)} and {other.get(part)}")
    tables = [{json.dumps(case["key"]): case for case in other["cases"]} for other in others]
    cases = []
    for case in first["cases"]:
        rest = [table[json.dumps(case["key"])] for table in tables if json.dumps(case["key"]) in table]
        if len(rest) == len(others):
            cases.append({**case, "entries": [_joined_entry(entry, rest) for entry in case["entries"]]})
    return {**first, "cases": cases}


def _joined_entry(entry, cases):
    def name(one):
        return [one.get(word) for word in ("system", "arithmetic", "dtype")]

    seconds = list(entry["seconds"])
    for case in cases:
        other = next(one for one in case["entries"] if name(one) == name(entry))
        if other.get("digest") != entry.get("digest"):
            raise RecordError(f"{case['key']}, {name(entry)}: results of one binary have other bits")
        seconds += other["seconds"]
    return {**entry, "seconds": seconds}


def write_csv(path, rows):
    """Rows of equal keys as a table; None is an empty cell."""
    text = io.StringIO()
    table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    Path(path).write_text(text.getvalue())
