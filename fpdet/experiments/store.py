"""The run folder: what a run was, one file pair per finished member, and the tables made of them.

A member is finished when its JSON file is there: the tensors are written first, both through a temporary file and a
rename. Tensors are loaded with ``weights_only=True``.
"""

import csv
import hashlib
import io
import json
import os
import re
from pathlib import Path

import torch

import fpdet
from fpdet._library import shared_object
from fpdet.experiments.config import SCHEMA, Config, ConfigError


class RunFolderError(ConfigError):
    """A run folder that another version or another Config wrote, or that is damaged."""


class RunFolder:
    """A folder that holds one run.

    Args:
        path: the folder.
        config: the Config to run; None opens a folder that exists.

    Raises:
        RunFolderError: the folder is of another version or Config, is no run folder, or cannot be read.
    """

    def __init__(self, path, config=None):
        self.path = Path(path)
        header = self.path / "config.json"
        if header.exists():
            self.config = self._check(header, config)
        elif config is None:
            raise RunFolderError(f"{self.path}: expected a run folder with config.json, found none")
        else:
            if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
                raise RunFolderError(f"{self.path}: expected a new or empty folder or a run folder, got neither")
            self.config = config
            self.path.mkdir(parents=True, exist_ok=True)
            self.write_json("config.json", {**_versions(), **_library(), "config": config.to_json()})
        (self.path / "members").mkdir(exist_ok=True)

    def _check(self, header, config):
        found = _read_json(header)
        # A folder is read by the version that wrote it, and gone on with by the very library that wrote it.
        expected = _versions() if config is None else {**_versions(), **_library()}
        for key, value in expected.items():
            if found.get(key) != value:
                raise RunFolderError(
                    f"{self.path}: expected a run folder of {key} {value}, got {found.get(key)!r}; "
                    "results of different versions are not mixed: choose another --out"
                )
        try:
            kept = Config.from_json(found.get("config"))
        except ConfigError as error:
            raise RunFolderError(f"{header}: {error}") from None
        if config is not None and kept != config:
            old, new = kept.to_json(), config.to_json()
            changed = ", ".join(f"{name}: {old[name]} there, {new[name]} now" for name in old if old[name] != new[name])
            raise RunFolderError(f"{self.path}: holds a run with other settings ({changed}); choose another --out")
        return kept

    def _stem(self, index, member):
        slug = re.sub(r"[^a-z0-9]+", "-", member.name.lower()).strip("-")
        return f"members/{index:02d}-{member.source}-{slug}"

    def save(self, index, member, result, record):
        """Keep a finished member."""
        stem = self._stem(index, member)
        buffer = io.BytesIO()
        torch.save(record, buffer)
        raw = buffer.getvalue()
        self.write(f"{stem}.pt", raw)
        self.write_json(f"{stem}.json", {**result, "sha256": hashlib.sha256(raw).hexdigest()})

    def load(self, index, member):
        """The (result, record) of a finished member, None if it has not finished.

        Raises:
            RunFolderError: its files are damaged.
        """
        stem = self._stem(index, member)
        header = self.path / f"{stem}.json"
        if not header.exists():
            return None
        result = _read_json(header)
        path = self.path / f"{stem}.pt"
        remedy = f"delete {header} to train this member again"
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
            with open(temporary, "wb") as file:
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


def _versions():
    return {"schema": SCHEMA, "fpdet": fpdet.__version__, "torch": torch.__version__}


def _library():
    """The compiled ops by their digest: a rebuilt one may give other bits."""
    return {"library": hashlib.sha256(shared_object().read_bytes()).hexdigest()[:16]}


def _read_json(path):
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{path}: expected JSON, got {type(error).__name__}: {error}") from None
    if not isinstance(found, dict):
        raise RunFolderError(f"{path}: expected a JSON object, got {type(found).__name__}")
    return found
