"""Recordings of runs: lines of JSON, one for each op, and the tensors' bytes beside them.

Both files only grow, and a line is written after the bytes that it speaks of: whatever ends a run, what it had written
can be read, a torn last line being left out.
"""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

FORMAT = 1
KEEP = ("digests", "tensors")


class RecordingError(ValueError):
    """A recording that cannot be read, or that belongs to another model."""


class Tensor(NamedTuple):
    """What an op took or gave: dtype and shape in words and numbers, the first 128 bits of `fpdet.digest`."""

    dtype: str
    shape: tuple
    digest: str

    def __str__(self):
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"


class Op(NamedTuple):
    """One op of a run.

    name: as torch.ops has it, for fpdet's with the word that says what it does (``fpdet.binary:add``).
    phase: forward, backward, recompute (forward within backward) or optimizer.
    module: the path of the module in which it ran, or whose gradients it is part of.
    arithmetic: of fpdet's ops, else "".
    """

    index: int
    name: str
    phase: str
    module: str
    inputs: tuple
    outputs: tuple
    arithmetic: str = ""

    def __str__(self):
        where = f" in {self.module}" if self.module else ""
        return f"#{self.index} {self.name} ({self.phase}{where})"


class Recording:
    """What `fpdet.record` saw.

    Attributes:
        header: a dict of the versions, the arithmetic and the settings of the run.
        models: (class name, parameters) of the models that ran, parameters being (name, dtype, shape).
        ops: a list of `Op`.
        end: None where the run was cut off; else a dict: ``seconds`` in the block, ``hashing`` the part of them that
            the recorder took.
    """

    def __init__(self, name="recording"):
        self.name = name
        self.header, self.models, self.ops, self.end = {}, [], [], None
        self._places, self._kept, self._bytes = {}, {}, None

    @classmethod
    def load(cls, path):
        """Read what `fpdet.record(path)` wrote.

        Raises:
            RecordingError: no recording, one of another format, or a damaged one.
        """
        path = Path(path)
        if not path.is_file():
            raise RecordingError(f"{path}: expected a file that fpdet.record wrote, found none")
        recording = cls(str(path))
        recording._bytes = _bytes_path(path)
        lines = path.read_bytes().split(b"\n")
        lines.pop()  # behind the last newline: nothing, or a line that was torn
        for number, line in enumerate(lines, 1):
            try:
                recording._add(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError):
                raise RecordingError(f"{path}: line {number}: expected a line that fpdet.record wrote") from None
            if recording.header.get("format") != FORMAT:
                found = recording.header.get("format")
                raise RecordingError(f"{path}: expected a recording of format {FORMAT}, got {found!r}")
        if not lines:
            raise RecordingError(f"{path}: expected a recording, found an empty one")
        return recording

    def _add(self, line):
        kind = line["kind"]
        if kind == "op":
            inputs, outputs = (
                tuple(Tensor(dtype, tuple(shape), digest) for dtype, shape, digest in line[side])
                for side in ("inputs", "outputs")
            )
            op = Op(len(self.ops), line["name"], line["phase"], line["module"], inputs, outputs, line["arithmetic"])
            self.ops.append(op)
        elif kind == "tensor":
            self._places[line["digest"]] = line["offset"], line["bytes"]
        elif kind == "model":
            parameters = tuple((name, dtype, tuple(shape)) for name, dtype, shape in line["parameters"])
            self.models.append((line["class"], parameters))
        elif kind == "header":
            self.header = {key: value for key, value in line.items() if key != "kind"}
        elif kind == "end":
            self.end = {"seconds": line["seconds"], "hashing": line["hashing"]}
        else:
            raise KeyError(kind)

    def tensor(self, described):
        """The tensor that a `Tensor` of this recording describes; None where it was not kept."""
        if described.digest in self._kept:
            return self._kept[described.digest]
        if described.digest not in self._places:
            return None
        offset, count = self._places[described.digest]
        with open(self._bytes, "rb") as file:
            file.seek(offset)
            raw = file.read(count)
        if len(raw) != count:
            raise RecordingError(f"{self._bytes}: expected {count} bytes at {offset}, got {len(raw)}")
        return _from_bytes(raw, getattr(torch, described.dtype)).reshape(described.shape)


class Writer:
    """Adds lines and tensors to a recording, and to its files if it has any."""

    def __init__(self, path):
        self.recording = Recording("recording" if path is None else str(path))
        self._lines = self._bytes = None
        if path is not None:
            path = Path(path)
            # "x": a recording is never written over.
            self._lines, self._bytes = open(path, "x"), open(_bytes_path(path), "xb")
            self.recording._bytes = _bytes_path(path)

    def line(self, **values):
        self.recording._add(values)
        if self._lines is not None:
            self._lines.write(json.dumps(values, separators=(",", ":")) + "\n")
            self._lines.flush()

    def keep(self, digest, tensor):
        """Keep the tensor, once for each digest."""
        recording = self.recording
        if digest in recording._places or digest in recording._kept:
            return
        if self._bytes is None:
            recording._kept[digest] = tensor.detach().cpu().clone()
            return
        raw, offset = _to_bytes(tensor), self._bytes.tell()
        self._bytes.write(raw)
        self._bytes.flush()
        self.line(kind="tensor", digest=digest, offset=offset, bytes=len(raw))

    def close(self):
        for file in (self._lines, self._bytes):
            if file is not None:
                file.close()


def _bytes_path(path):
    return path.with_name(path.name + ".tensors")


def _to_bytes(tensor):
    """Row-major, little-endian."""
    flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    size = tensor.element_size() // (2 if tensor.is_complex() else 1)
    return flat.view(f"=u{size}").astype(f"<u{size}").tobytes()


def _from_bytes(raw, dtype):
    size = dtype.itemsize // (2 if dtype.is_complex else 1)
    native = np.frombuffer(raw, f"<u{size}").astype(f"=u{size}")
    return torch.from_numpy(native.view(np.uint8)).view(dtype)
