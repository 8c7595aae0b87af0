"""Real images from files: scikit-learn's digits, Fashion-MNIST (IDX), CIFAR-10 (binary or pickle batches).

No file read here can run code: IDX and CIFAR's binary batches are plain bytes, and CIFAR's pickles pass a restricted
unpickler that knows nothing but NumPy arrays of bytes.
"""

import gzip
import io
import pickle
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fpdet.experiments.config import one_of

SHAPES = {"digits": (1, 8), "fashion-mnist": (1, 28), "cifar10": (3, 32)}  # channels, height of an image
DATASETS = tuple(SHAPES)

WHERE = {
    "fashion-mnist": "https://github.com/zalandoresearch/fashion-mnist "
    "(on Debian the package dataset-fashion-mnist puts it in /usr/share/datasets/fashion-mnist)",
    "cifar10": "https://www.cs.toronto.edu/~kriz/cifar.html (binary or python version, unpacked)",
}


class DataError(RuntimeError):
    """A data file that is missing, truncated or not what it should be."""


@dataclass(frozen=True)
class Images:
    """uint8 images, (count, channels, height, width), and their labels 0 … 9 as int64."""

    images: np.ndarray
    labels: np.ndarray


def load(data, root=None):
    """The (train, test) `Images` of a data set; digits come as one set in both (see `split`).

    Args:
        data: "digits" (bundled with scikit-learn), "fashion-mnist" or "cifar10".
        root: folder of the files; digits needs none.

    Raises:
        ConfigError: an unknown data set.
        DataError: a file is missing, truncated or of another format: path, expected, got, where to get it.
    """
    one_of("data", data, DATASETS)
    if data == "digits":
        return _digits()
    if root is None:
        raise DataError(f"--root: expected the folder of {data}, got nothing; get it from {WHERE[data]}")
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root}: expected the folder of {data}, found no folder; get it from {WHERE[data]}")
    return _fashion_mnist(root) if data == "fashion-mnist" else _cifar10(root)


def split(data, train, test, train_images, test_images, seed):
    """The first `train_images` and `test_images` of a shuffle drawn from `seed`; digits are cut into disjoint parts.

    Raises:
        DataError: fewer images than asked for.
    """
    generator = np.random.Generator(np.random.Philox(key=[seed, 0x5917]))
    if train is test:
        available = len(train.labels)
        if train_images + test_images > available:
            raise DataError(
                f"{data}: expected train_images + test_images <= {available}, got {train_images + test_images}"
            )
        chosen = generator.permutation(available)
        return _take(train, chosen[:train_images]), _take(test, chosen[train_images : train_images + test_images])
    parts = []
    for name, part, count in (("train_images", train, train_images), ("test_images", test, test_images)):
        if count > len(part.labels):
            raise DataError(f"{data}: expected {name} <= {len(part.labels)}, got {count}")
        parts.append(_take(part, generator.permutation(len(part.labels))[:count]))
    return tuple(parts)


def _take(part, indices):
    return Images(np.ascontiguousarray(part.images[indices]), part.labels[indices])


def _digits():
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError(
            "digits: expected scikit-learn, found none; install it with: pip install scikit-learn"
        ) from error
    digits = load_digits()
    every = Images(digits.images.astype(np.uint8)[:, None], digits.target.astype(np.int64))
    return every, every


# ---- Fashion-MNIST -----------------------------------------------------------------------------------


def _fashion_mnist(root):
    parts = []
    for stem in ("train", "t10k"):
        images = _idx(root, f"{stem}-images-idx3-ubyte", 3)
        labels = _idx(root, f"{stem}-labels-idx1-ubyte", 1)
        if len(images) != len(labels):
            raise DataError(f"{root}/{stem}-*: expected as many labels as images, got {len(labels)} and {len(images)}")
        if images.shape[1:] != (28, 28):
            raise DataError(f"{root}/{stem}-images-idx3-ubyte: expected 28x28 images, got {images.shape[1:]}")
        _check_labels(root / f"{stem}-labels-idx1-ubyte", labels)
        parts.append(Images(images[:, None], labels.astype(np.int64)))
    return tuple(parts)


def _idx(root, name, dimensions):
    """The array of an IDX file of bytes, plain or gzipped."""
    path = next((p for p in (root / name, root / f"{name}.gz") if p.is_file()), None)
    if path is None:
        raise DataError(f"{root / name}[.gz]: expected a file, found none; get it from {WHERE['fashion-mnist']}")
    raw = _read(path)
    header = 4 + 4 * dimensions
    magic = bytes((0, 0, 8, dimensions))
    again = f"; get it again from {WHERE['fashion-mnist']}"
    if len(raw) < header or raw[:4] != magic:
        raise DataError(
            f"{path}: expected an IDX file starting with {magic.hex()}, got {raw[:4].hex() or 'nothing'}{again}"
        )
    shape = tuple(int(n) for n in np.frombuffer(raw[4:header], ">u4"))
    expected = header + int(np.prod(shape, dtype=object))
    if len(raw) != expected:
        raise DataError(f"{path}: expected {expected} bytes (shape {shape}), got {len(raw)}{again}")
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)


def _read(path, limit=1 << 30):
    try:
        opened = gzip.open(path) if path.suffix == ".gz" else open(path, "rb")
        with opened as file:
            raw = file.read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: expected a readable file, got {type(error).__name__}: {error}; get it again"
        ) from error
    if len(raw) > limit:
        raise DataError(f"{path}: expected at most {limit} bytes, got more")
    return raw


def _check_labels(path, labels):
    if len(labels) and (labels.min() < 0 or labels.max() > 9):
        raise DataError(f"{path}: expected labels 0 to 9, got {labels.min()} to {labels.max()}")


# ---- CIFAR-10 ----------------------------------------------------------------------------------------


def _cifar10(root):
    for folder, read, suffix in (
        (root, _cifar_binary, ".bin"),
        (root / "cifar-10-batches-bin", _cifar_binary, ".bin"),
        (root, _cifar_pickle, ""),
        (root / "cifar-10-batches-py", _cifar_pickle, ""),
    ):
        if (folder / f"data_batch_1{suffix}").is_file():
            train = [read(folder / f"data_batch_{i}{suffix}") for i in range(1, 6)]
            images, labels = (np.concatenate(arrays) for arrays in zip(*train, strict=True))
            return Images(images, labels), Images(*read(folder / f"test_batch{suffix}"))
    raise DataError(
        f"{root}: expected data_batch_1.bin or data_batch_1 there or in cifar-10-batches-bin or cifar-10-batches-py, "
        f"found none; get it from {WHERE['cifar10']}"
    )


def _present(path):
    if not path.is_file():
        raise DataError(f"{path}: expected a file, found none; get it from {WHERE['cifar10']}")
    return _read(path)


def _cifar_binary(path):
    raw = _present(path)
    if not raw or len(raw) % 3073:
        raise DataError(
            f"{path}: expected records of 3073 bytes (10000 of them), got {len(raw)} bytes; "
            f"get it again from {WHERE['cifar10']}"
        )
    records = np.frombuffer(raw, np.uint8).reshape(-1, 3073)
    _check_labels(path, records[:, 0])
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].astype(np.int64)


def _cifar_pickle(path):
    raw = _present(path)
    try:
        batch = _ArraysOnly(io.BytesIO(raw), encoding="bytes").load()
    except Exception as error:  # a pickle can fail in any way; nothing of it has run
        raise DataError(
            f"{path}: expected a pickled CIFAR-10 batch, got {type(error).__name__}: {error}; "
            f"get it again from {WHERE['cifar10']}"
        ) from error
    images = batch.get(b"data") if isinstance(batch, dict) else None
    labels = batch.get(b"labels") if isinstance(batch, dict) else None
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 2 or images.shape[1] != 3072:
        raise DataError(f"{path}: expected b'data' as (n, 3072) uint8, got {_about(images)}")
    if not isinstance(labels, list) or len(labels) != len(images) or any(type(label) is not int for label in labels):
        raise DataError(f"{path}: expected b'labels' as a list of {len(images)} ints, got {_about(labels)}")
    labels = np.array(labels, np.int64)
    _check_labels(path, labels)
    return images.reshape(-1, 3, 32, 32), labels


def _about(value):
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__


class _Byte:
    """Stands for ``numpy.dtype``: only bytes ("u1"), and its state is not looked at."""

    def __new__(cls, kind="u1", *_):
        if kind not in ("u1", b"u1"):
            raise pickle.UnpicklingError(f"expected an array of bytes (u1), got {kind!r}")
        return super().__new__(cls)

    def __setstate__(self, state):
        pass


class _Array:
    """Stands for an array under construction: takes (version, shape, dtype, order, bytes), nothing else."""

    def __init__(self, *_):
        self.array = None

    def __setstate__(self, state):
        _, shape, kind, fortran, raw = state
        if not isinstance(kind, _Byte) or not isinstance(raw, bytes):
            raise pickle.UnpicklingError("expected an array of bytes")
        order = "F" if fortran else "C"
        self.array = np.frombuffer(raw, np.uint8).reshape(shape, order=order)


class _ArraysOnly(pickle.Unpickler):
    """Refuses every global but those of a NumPy array of bytes, and gives plain stand-ins even for these."""

    def find_class(self, module, name):
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return _Array
        if (module, name) == ("numpy", "ndarray"):
            return _Array
        if (module, name) == ("numpy", "dtype"):
            return _Byte
        if (module, name) == ("_codecs", "encode"):
            return _latin1
        raise pickle.UnpicklingError(f"refused to load {module}.{name}")

    def load(self):
        batch = super().load()
        if isinstance(batch, dict):
            return {key: value.array if isinstance(value, _Array) else value for key, value in batch.items()}
        return batch


def _latin1(text, encoding="latin1"):
    """Python 3 writes bytes in protocols 0 to 2 as ``_codecs.encode(text, 'latin1')``."""
    if encoding not in ("latin1", b"latin1") or not isinstance(text, str):
        raise pickle.UnpicklingError(f"refused _codecs.encode with {encoding!r}")
    return text.encode("latin1")
