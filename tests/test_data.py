"""The data loaders on small files made here: every layout, damage of every kind, and a pickle that would run code."""

import gzip
import pickle

import numpy as np
import pytest

from fpdet.experiments import data
from fpdet.experiments.config import ConfigError

GENERATOR = np.random.Generator(np.random.Philox(5))


def idx(array):
    """An IDX file's bytes."""
    return bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


@pytest.fixture
def fashion(tmp_path):
    """A folder with small Fashion-MNIST files, half of them gzipped, and what they hold."""
    held = {}
    for stem, count in (("train", 12), ("t10k", 5)):
        held[stem] = (
            GENERATOR.integers(0, 256, (count, 28, 28), np.uint8),
            GENERATOR.integers(0, 10, count, np.uint8),
        )
        (tmp_path / f"{stem}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(held[stem][0])))
        (tmp_path / f"{stem}-labels-idx1-ubyte").write_bytes(idx(held[stem][1]))
    return tmp_path, held


def cifar_batches(count=4):
    """Six (images, labels), five of training and one of test."""
    return [
        (GENERATOR.integers(0, 256, (count, 3072), np.uint8), GENERATOR.integers(0, 10, count, np.uint8))
        for _ in range(6)
    ]


CIFAR_NAMES = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]


def write_pickles(folder, batches, protocol=2):
    folder.mkdir(exist_ok=True, parents=True)
    for name, (images, labels) in zip(CIFAR_NAMES, batches, strict=True):
        batch = {b"data": images, b"labels": labels.tolist(), b"batch_label": b"x", b"filenames": [b"a.png"]}
        (folder / name).write_bytes(pickle.dumps(batch, protocol))


def test_digits_are_real_and_split_into_disjoint_parts():
    pytest.importorskip("sklearn")
    train, test = data.load("digits")
    assert train.images.shape == (1797, 1, 8, 8)
    assert np.bincount(train.labels).min() > 150
    a, b = data.split("digits", train, test, 1000, 797, 3)
    assert len(a.labels) == 1000 and len(b.labels) == 797
    counts = np.bincount(np.concatenate([a.labels, b.labels]))
    assert counts.tolist() == np.bincount(train.labels).tolist()
    again = data.split("digits", train, test, 1000, 797, 3)[0]
    assert (again.images == a.images).all()
    assert (data.split("digits", train, test, 1000, 797, 4)[0].images != a.images).any()
    with pytest.raises(data.DataError, match=r"<= 1797, got 1798"):
        data.split("digits", train, test, 1000, 798, 3)


def test_fashion_mnist_plain_and_gzipped(fashion):
    root, held = fashion
    train, test = data.load("fashion-mnist", root)
    assert (train.images[:, 0] == held["train"][0]).all() and (train.labels == held["train"][1]).all()
    assert (test.images[:, 0] == held["t10k"][0]).all() and (test.labels == held["t10k"][1]).all()
    with pytest.raises(data.DataError, match=r"train_images <= 12, got 13"):
        data.split("fashion-mnist", train, test, 13, 1, 0)


@pytest.mark.parametrize(
    "name, change, message",
    [
        ("t10k-labels-idx1-ubyte", None, r"t10k-labels-idx1-ubyte.*found none; get it from https"),
        ("t10k-labels-idx1-ubyte", lambda raw: raw[:-1], r"expected 13 bytes .* got 12; get it again from https"),
        ("t10k-labels-idx1-ubyte", lambda raw: raw + b"0", r"expected 13 bytes .* got 14"),
        ("t10k-labels-idx1-ubyte", lambda raw: raw[:5], r"expected an IDX file"),
        ("t10k-labels-idx1-ubyte", lambda raw: b"", r"starting with 00000801, got nothing"),
        ("t10k-labels-idx1-ubyte", lambda raw: raw[:-1] + b"\x0b", r"expected labels 0 to 9, got \d+ to 11"),
        ("train-images-idx3-ubyte.gz", lambda raw: raw[:-40], r"train-images.*expected a readable file, got EOFError"),
        ("train-images-idx3-ubyte.gz", lambda raw: b"no gzip", r"expected a readable file, got BadGzipFile"),
    ],
)
def test_fashion_mnist_damaged(fashion, name, change, message):
    root, _ = fashion
    path = root / name
    if change is None:
        path.unlink()
    else:
        path.write_bytes(change(path.read_bytes()))
    with pytest.raises(data.DataError, match=message) as caught:
        data.load("fashion-mnist", root)
    assert str(root) in str(caught.value)


@pytest.mark.parametrize("folder", ["", "cifar-10-batches-bin"])
def test_cifar_binary(tmp_path, folder):
    batches = cifar_batches()
    (tmp_path / folder).mkdir(exist_ok=True)
    for name, (images, labels) in zip(CIFAR_NAMES, batches, strict=True):
        (tmp_path / folder / f"{name}.bin").write_bytes(np.column_stack([labels, images]).tobytes())
    train, test = data.load("cifar10", tmp_path)
    assert (train.images.reshape(20, 3072) == np.concatenate([images for images, _ in batches[:5]])).all()
    assert (test.labels == batches[5][1]).all()
    path = tmp_path / folder / "data_batch_3.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(data.DataError, match=r"data_batch_3.bin: expected records of 3073 bytes .*, got 12291 bytes"):
        data.load("cifar10", tmp_path)
    path.unlink()
    with pytest.raises(data.DataError, match=r"data_batch_3.bin: expected a file, found none; get it from"):
        data.load("cifar10", tmp_path)


@pytest.mark.parametrize("folder", ["", "cifar-10-batches-py"])
@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
def test_cifar_pickles(tmp_path, folder, protocol):
    batches = cifar_batches()
    write_pickles(tmp_path / folder, batches, protocol)
    train, test = data.load("cifar10", tmp_path)
    assert (train.images.reshape(20, 3072) == np.concatenate([images for images, _ in batches[:5]])).all()
    assert (train.labels == np.concatenate([labels for _, labels in batches[:5]])).all()
    assert (test.images.reshape(4, 3072) == batches[5][0]).all()


class Planted:
    """Unpickles into a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_planted_pickle_runs_nothing(tmp_path, protocol):
    import os

    trace = tmp_path / "trace"
    for planted in (
        Planted(os.system, f"touch {trace}"),
        Planted(eval, f"open({str(trace)!r}, 'w')"),
        Planted(exec, f"open({str(trace)!r}, 'w')"),
        Planted(getattr, "", "join"),
        Planted(pickle.loads, b"N."),
    ):
        write_pickles(tmp_path, cifar_batches())
        (tmp_path / "data_batch_2").write_bytes(pickle.dumps({b"data": planted, b"labels": []}, protocol))
        with pytest.raises(data.DataError, match=r"data_batch_2: .*UnpicklingError: refused to load") as caught:
            data.load("cifar10", tmp_path)
        assert "expected a pickled CIFAR-10 batch" in str(caught.value)
    assert not trace.exists()
    pickle.loads(pickle.dumps(Planted(os.system, f"touch {trace}")))  # negative control: plain pickle runs it
    assert trace.exists()


@pytest.mark.parametrize(
    "batch, message",
    [
        ([1, 2], "b'data' as .*, got NoneType"),
        ({b"data": np.zeros((2, 3072), np.float32), b"labels": [1, 2]}, "expected an array of bytes"),
        ({b"data": np.zeros((2, 3071), np.uint8), b"labels": [1, 2]}, r"\(n, 3072\) uint8, got uint8 \(2, 3071\)"),
        ({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1]}, "a list of 2 ints, got list"),
        ({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1, "2"]}, "a list of 2 ints, got list"),
        ({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1, 10]}, "labels 0 to 9, got 1 to 10"),
        ({b"data": np.array([object()]), b"labels": [1]}, "refused|bytes"),
    ],
)
def test_cifar_pickle_of_something_else(tmp_path, batch, message):
    write_pickles(tmp_path, cifar_batches())
    (tmp_path / "test_batch").write_bytes(pickle.dumps(batch, 2))
    with pytest.raises(data.DataError, match=message):
        data.load("cifar10", tmp_path)


def test_cifar_truncated_pickle(tmp_path):
    write_pickles(tmp_path, cifar_batches())
    path = tmp_path / "data_batch_1"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(data.DataError, match=r"data_batch_1: expected a pickled CIFAR-10 batch, got .*get it again"):
        data.load("cifar10", tmp_path)


def test_missing_root_and_unknown_data(tmp_path):
    with pytest.raises(data.DataError, match=r"--root: expected the folder of cifar10"):
        data.load("cifar10")
    with pytest.raises(data.DataError, match=r"found no folder; get it from"):
        data.load("fashion-mnist", tmp_path / "none")
    with pytest.raises(data.DataError, match=r"data_batch_1.* found none; get it from"):
        data.load("cifar10", tmp_path)
    with pytest.raises(ConfigError, match=r"did you mean 'cifar10'"):
        data.load("cifar-10", tmp_path)
