"""Digests over bits, and distances in units in the last place.

Every NaN counts as one pattern, -0 and +0 are two.
"""

import hashlib
from collections.abc import Mapping

import numpy as np
import torch

_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_CHUNK = 1 << 15  # elements: what is read twice stays in the processor's cache
# Patterns of infinity, beyond which NaNs lie, and of the one NaN.
_NAN = {
    torch.float64: (0x7FF << 52, 0xFFF << 51),
    torch.float32: (0xFF << 23, 0x1FF << 22),
    torch.bfloat16: (0xFF << 7, 0x1FF << 6),
    torch.float16: (0x1F << 10, 0x3F << 9),
}


def digest(value):
    """SHA-256, in hex, of a tensor, array, module (its state_dict), mapping, sequence or scalar.

    dtype and shape take part, memory layout and device do not; mappings are taken in sorted order
    of their keys.

    Raises:
        TypeError: something in `value` is none of these.
    """
    sha = hashlib.sha256()
    _feed(sha, value)
    return sha.hexdigest()


def _feed(sha, value):
    if isinstance(value, torch.nn.Module):
        value = value.state_dict()
    if isinstance(value, np.ndarray | np.generic):
        value = torch.from_numpy(np.array(value))
    if isinstance(value, torch.Tensor):
        _feed_tensor(sha, value)
    elif isinstance(value, Mapping):
        _feed_text(sha, "mapping", len(value))
        for key in sorted(value, key=lambda key: (type(key).__name__, repr(key))):
            _feed(sha, key)
            _feed(sha, value[key])
    elif isinstance(value, list | tuple):
        _feed_text(sha, "sequence", len(value))
        for item in value:
            _feed(sha, item)
    elif isinstance(value, float):
        _feed_text(sha, "float", "nan" if value != value else value.hex())
    elif value is None or isinstance(value, bool | int | str | bytes):
        _feed_text(sha, type(value).__name__, repr(value))
    else:
        raise TypeError(
            f"digest: expected a tensor, array, module, mapping, sequence or scalar, got {type(value).__name__}"
        )


def _feed_text(sha, *words):
    text = " ".join(str(word) for word in words).encode()
    sha.update(f"{len(text)}:".encode() + text + b"\n")


def _feed_tensor(sha, tensor):
    tensor = tensor.detach().cpu()
    _feed_text(sha, tensor.dtype, list(tensor.shape))
    flat = tensor.resolve_conj().reshape(-1)
    if flat.is_complex():
        flat = torch.view_as_real(flat).reshape(-1)
    if flat.dtype not in _NAN:
        flat = canonical(flat)
    bits = flat.contiguous().view(_BITS[flat.element_size()]) if flat.dtype != torch.bool else flat
    words = bits.numpy()
    little = words.dtype.newbyteorder("<")
    for start in range(0, len(words), _CHUNK):
        chunk = words[start : start + _CHUNK]
        if flat.dtype in _NAN:
            chunk = _without_payloads(chunk, *_NAN[flat.dtype])
        sha.update(chunk.astype(little, copy=False).data)


def _without_payloads(words, infinity, nan):
    magnitude = words & ~np.left_shift(words.dtype.type(-1), 8 * words.itemsize - 1)
    if np.maximum.reduce(magnitude) <= infinity:
        return words
    return np.where(magnitude > infinity, words.dtype.type(nan), words)


def canonical(tensor):
    """`tensor` with every NaN replaced by one pattern."""
    if not tensor.is_floating_point() and not tensor.is_complex():
        return tensor
    if tensor.is_complex():
        return torch.view_as_complex(canonical(torch.view_as_real(tensor.resolve_conj())))
    return torch.where(tensor.isnan(), torch.tensor(float("nan"), dtype=tensor.dtype), tensor)


def ulp_distance(a, b):
    """How many representable values lie between `a` and `b`, per element, as int64.

    -0 and +0 are 0 apart, two NaNs as well; a NaN and a number are 2^63 - 1 apart, the largest
    answer there is.

    Raises:
        TypeError: not tensors, or not of a floating dtype.
        RuntimeError: dtypes or shapes differ.
    """
    for name, tensor in (("a", a), ("b", b)):
        if not isinstance(tensor, torch.Tensor):
            raise TypeError(f"ulp_distance: {name}: expected a Tensor, got {type(tensor).__name__}")
        if not tensor.is_floating_point():
            raise TypeError(f"ulp_distance: {name}: expected a floating dtype, got {tensor.dtype}")
    if a.dtype != b.dtype or a.shape != b.shape:
        raise RuntimeError(
            f"ulp_distance: b: expected {a.dtype} of shape {tuple(a.shape)} as a has, "
            f"got {b.dtype} of shape {tuple(b.shape)}"
        )
    far = torch.iinfo(torch.int64).max
    x, y = _ranks(a), _ranks(b)
    distance = (x - y).abs()
    distance = torch.where((x < 0) != (y < 0), x.abs() + y.abs(), distance)
    distance = torch.where(distance < 0, far, distance)  # past int64: float64 ends only
    distance = torch.where(a.isnan() != b.isnan(), far, distance)
    return torch.where(a.isnan() & b.isnan(), 0, distance)


def _ranks(tensor):
    """Place of each value among the representable ones, zeros at 0."""
    kind = _BITS[tensor.element_size()]
    bits = tensor.detach().contiguous().view(kind).to(torch.int64)
    if kind == torch.uint8:
        sign, magnitude = bits >= 128, bits & 127
    else:
        sign, magnitude = bits < 0, bits & torch.iinfo(kind).max
    return torch.where(sign, -magnitude, magnitude)
