"""The run folder: what a run was, one file pair per finished unit, and the tables made of them.

A unit is finished when its JSON file is there: the tensors are written first, both through a temporary file and a
rename. Tensors are loaded with ``weights_only=True``. A folder belongs to one process at a time (`RunFolder.locked`).
"""

import csv
import errno
import fcntl
import hashlib
import io
import json
import math
import os
import re
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch

import fpdet
from fpdet._library import shared_object
from fpdet.experiments import EXPERIMENTS, load
from fpdet.experiments.config import SCHEMA, ConfigError, one_of


class RunFolderError(ConfigError):
    """A run folder that another version or other settings wrote, that is damaged, in use, or cannot be written."""


class RunFolder:
    """A folder that holds one run.

    Args:
        path: the folder.
        experiment: name of the experiment; None opens a folder that exists.
        settings: the Settings to run.

    Raises:
        RunFolderError: the folder is of another version, experiment or settings, is no run folder, or cannot be read.
    """

    def __init__(self, path, experiment=None, settings=None):
        self.path = Path(path)
        header = self.path / "config.json"
        if header.exists():
            self.experiment, self.settings = self._check(header, experiment, settings)
        elif experiment is None:
            raise RunFolderError(f"{self.path}: expected a run folder with config.json, found none")
        else:
            if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
                raise RunFolderError(f"{self.path}: expected a new or empty folder or a run folder, got neither")
            self.experiment, self.settings = experiment, settings
            with _explained(self.path):
                self.path.mkdir(parents=True, exist_ok=True)
            self.write_json("config.json", {**identity(), "experiment": experiment, "config": settings.to_json()})
        with _explained(self.path):
            (self.path / "members").mkdir(exist_ok=True)
            (self.path / "plots").mkdir(exist_ok=True)

    def _check(self, header, experiment, settings):
        found = read_json(header)
        # A folder is read by the version that wrote it, and gone on with by the very library that wrote it.
        expected = _versions() if experiment is None else {**identity(), "experiment": experiment}
        for key, value in expected.items():
            if found.get(key) != value:
                raise RunFolderError(
                    f"{self.path}: expected a run folder of {key} {value}, got {found.get(key)!r}; "
                    "results of different versions are not mixed: choose another --out"
                )
        name = found.get("experiment")
        try:
            one_of("experiment", name, tuple(EXPERIMENTS))
            kept = load(name).Settings.from_json(found.get("config"))
        except ConfigError as error:
            raise RunFolderError(f"{header}: {error}") from None
        if settings is not None and kept != settings:
            old, new = kept.to_json(), settings.to_json()
            changed = ", ".join(f"{name}: {old[name]} there, {new[name]} now" for name in old if old[name] != new[name])
            raise RunFolderError(f"{self.path}: holds a run with other settings ({changed}); choose another --out")
        return name, kept

    @contextmanager
    def locked(self):
        """Hold the folder; the lock ends with the process, however that ends.

        Raises:
            RunFolderError: another process holds it.
        """
        with ExitStack() as held:
            with _explained(self.path):  # taking the lock; what is raised under it is not about the folder
                self._take(held.enter_context(open(self.path / "lock", "a+")))
            yield

    def _take(self, file):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise RunFolderError(
                f"{self.path}: expected a run folder that no process uses, got one in use by process {holder}; "
                "wait for it, or choose another --out"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()

    def _stem(self, index, unit):
        slug = re.sub(r"[^a-z0-9]+", "-", unit.name.lower()).strip("-")
        return f"members/{index:02d}-{unit.group}-{slug}"

    def save(self, index, unit, result, record):
        """Keep a finished unit."""
        stem = self._stem(index, unit)
        buffer = io.BytesIO()
        torch.save(record, buffer)
        raw = buffer.getvalue()
        self.write(f"{stem}.pt", raw)
        self.write_json(f"{stem}.json", {**result, "sha256": hashlib.sha256(raw).hexdigest()})

    def result(self, index, unit):
        """The result of a finished unit, None if it has not finished. Its tensors are checked, not kept."""
        found = self.load(index, unit)
        return None if found is None else found[0]

    def load(self, index, unit):
        """The (result, record) of a finished unit, None if it has not finished.

        Raises:
            RunFolderError: its files are damaged.
        """
        stem = self._stem(index, unit)
        header = self.path / f"{stem}.json"
        if not header.exists():
            return None
        result = read_json(header)
        path = self.path / f"{stem}.pt"
        remedy = f"delete {header} to run this part again"
        raw = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(raw).hexdigest() != result.get("sha256"):
            raise RunFolderError(
                f"{path}: expected the tensors whose SHA-256 {header.name} names, got others; {remedy}"
            )
        return result, torch.load(io.BytesIO(raw), weights_only=True)

    def write(self, name, raw):
        """Write a file whole or not at all."""
        path = self.path / name
        temporary = path.with_name(path.name + ".tmp")
        try:
            with _explained(path), open(temporary, "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        return path

    def write_json(self, name, value):
        """Write JSON (NaN and infinities must have become words)."""
        return self.write(name, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())

    def write_csv(self, name, rows):
        """Write dicts of equal keys as a table; None is an empty cell."""
        text = io.StringIO()
        table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        return self.write(name, text.getvalue().encode())


@contextmanager
def _explained(path):
    """A full or read-only disk as one error that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RunFolderError(
                f"{path}: the disk is full; what has finished is kept: free some space and run the same command again"
            ) from error
        raise RunFolderError(f"{path}: expected a place to write, got {type(error).__name__}: {error}") from error


def number(value):
    """A finite float as it is; NaN and infinities as words, which JSON can hold."""
    value = float(value)
    return value if math.isfinite(value) else str(value)


def read_csv(path):
    """The rows of a table: numbers as floats (words "nan" and "inf" too), empty cells as None."""
    with open(path, newline="") as file:
        return [{name: _cell(text) for name, text in row.items()} for row in csv.DictReader(file)]


def read_tables(folder):
    """{name: rows} of every CSV file in a folder."""
    return {path.stem: read_csv(path) for path in sorted(Path(folder).glob("*.csv"))}


def _cell(text):
    if text in ("True", "False"):
        return text == "True"
    try:
        return float(text) if text else None
    except ValueError:
        return text


def _versions():
    return {"schema": SCHEMA, "fpdet": fpdet.__version__, "torch": torch.__version__}


def identity():
    """What must agree wherever units of one run are computed; the compiled ops by their digest, since a rebuilt library
    may give other bits."""
    return {**_versions(), "library": hashlib.sha256(shared_object().read_bytes()).hexdigest()[:16]}


def read_json(path):
    """The JSON object in a file.

    Raises:
        RunFolderError: no such file, or something else in it.
    """
    try:
        found = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{path}: expected JSON, got {type(error).__name__}: {error}") from None
    if not isinstance(found, dict):
        raise RunFolderError(f"{path}: expected a JSON object, got {type(found).__name__}")
    return found
