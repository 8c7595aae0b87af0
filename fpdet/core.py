# SPDX-License-Identifier: MIT
"""fpdet's arithmetic over NumPy arrays; torch is not imported.

Every function computes exactly and rounds once, to ``format`` by ``rounding`` (words as everywhere in
fpdet). Operands are float64, float32 or float16 arrays, or anything that NumPy turns into one exactly.
Results are values of ``format``, returned in the operands' NumPy type where that holds the format, else
in the narrowest NumPy type that holds both.

Stochastic rounding draws from ``(seed, counter)``: the first axis counts samples (as a batch, from
``batch_offset``), the flat position within a sample is the element, as in ``fpdet.round``. ``random_bits`` gives
the bits of reductions, ``elementwise_bits`` those of all else.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fpdet import _core

__all__ = [
    "FORMATS",
    "FUNCTIONS",
    "ORDERS",
    "ROUNDINGS",
    "add",
    "build_info",
    "canary",
    "digits",
    "div",
    "dot",
    "dot_exact",
    "elementwise_bits",
    "erf",
    "exp",
    "expm1",
    "fma",
    "format_info",
    "function",
    "gelu",
    "log",
    "log1p",
    "mul",
    "normal_cdf",
    "parse_arithmetic",
    "parse_order",
    "parse_rounding",
    "philox",
    "random_bits",
    "reciprocal",
    "reduce",
    "round",
    "rsqrt",
    "sigmoid",
    "silu",
    "softplus",
    "sqrt",
    "sum_exact",
    "tanh",
    "tree",
]

ROUNDINGS: tuple[str, ...] = _core.ROUNDINGS
ORDERS: tuple[str, ...] = _core.ORDERS
FUNCTIONS: tuple[str, ...] = _core.FUNCTIONS
FORMATS: dict[str, dict[str, Any]] = _core.FORMATS

parse_arithmetic = _core.parse_arithmetic
parse_rounding = _core.parse_rounding
parse_order = _core.parse_order
format_info = _core.parse_format
random_bits = _core.random_bits
elementwise_bits = _core.elementwise_bits
digits = _core.function_digits
canary = _core.canary

# Pass tags of the random streams (csrc/core/random.h).
_PASS_FORWARD, _PASS_ADD, _PASS_ROUND, _PASS_UNARY = 0, 4, 6, 9


def _operand(x: ArrayLike, name: str) -> NDArray:
    """x as a floating-point array of the same values."""
    array = np.asarray(x)
    if array.dtype in (np.float64, np.float32, np.float16) and array.dtype.isnative:
        return array
    if array.dtype.kind in "iub":
        if array.size and max(abs(int(array.min())), abs(int(array.max()))) > 2**53:
            raise ValueError(f"{name}: expected integers of at most 2**53 in magnitude")
        return array.astype(np.float64)
    raise TypeError(f"{name}: expected float64, float32 or float16, got {array.dtype}")


def _operands(**named: ArrayLike) -> tuple[list[NDArray], np.dtype]:
    """The operands broadcast against each other and contiguous, and NumPy's type of the result."""
    arrays = [_operand(x, name) for name, x in named.items()]
    # A Python number is a float64 operand but, as in NumPy, does not widen the result's type.
    strong = [a for a, x in zip(arrays, named.values(), strict=False) if not isinstance(x, (int, float))]
    dtype = np.result_type(*(strong or [np.float64]))
    return [np.asarray(a, order="C") for a in np.broadcast_arrays(*arrays)], dtype


_OWN_FORMAT = {np.dtype(np.float16): "float16", np.dtype(np.float32): "float32", np.dtype(np.float64): "float64"}


def _embeds(inner: dict[str, Any], outer: dict[str, Any]) -> bool:
    return (
        inner["precision"] <= outer["precision"]
        and inner["exponent_max"] <= outer["exponent_max"]
        and inner["exponent_min"] - inner["precision"] >= outer["exponent_min"] - outer["precision"]
    )


def _output(shape: tuple[int, ...], dtype: np.dtype, format: str) -> NDArray:
    described = _core.parse_format(format)
    for candidate, word in _OWN_FORMAT.items():
        if candidate.itemsize >= dtype.itemsize and _embeds(described, FORMATS[word]):
            return np.empty(shape, candidate)
    raise AssertionError("float64 holds every format")


def _rounding(rounding: str, bits: int, variant: str, seed: int, keyed_by: str) -> str:
    """The rounding's words with those options that are not the defaults; the parser judges them."""
    options = {"bits": (bits, 32), "variant": (variant, "a"), "seed": (seed, 0), "keyed_by": (keyed_by, "position")}
    words = [rounding, *(f"{name}={value}" for name, (value, default) in options.items() if value != default)]
    return _core.parse_rounding(" ".join(words))["text"]


def _sample_size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape[1:], dtype=np.int64)) if shape else 1


def _elementwise(
    operation: str,
    operands: dict[str, ArrayLike],
    format: str,
    rounding: str,
    options: dict[str, Any],
    pass_tag: int,
) -> NDArray:
    options = dict(options)
    counter, batch_offset = options.pop("counter", 0), options.pop("batch_offset", 0)
    words = _rounding(rounding, **_stochastic_options(operation, options))
    arrays, dtype = _operands(**operands)
    out = _output(arrays[0].shape, dtype, format)
    size = _sample_size(out.shape)
    _core.elementwise(operation, arrays, out, format, words, counter, pass_tag, batch_offset, size)
    return out[()]


def _stochastic_options(name: str, options: dict[str, Any]) -> dict[str, Any]:
    defaults = {"bits": 32, "variant": "a", "seed": 0, "keyed_by": "position"}
    unknown = set(options) - set(defaults)
    if unknown:
        raise TypeError(
            f"{name}: unexpected option {sorted(unknown)[0]!r}; expected one of bits, variant, seed, keyed_by, "
            "counter, batch_offset"
        )
    return {**defaults, **options}


def round(x: ArrayLike, format: str, rounding: str = "nearest_even", **options: Any) -> NDArray:
    """x rounded to ``format``. Options of stochastic: bits, variant, seed, keyed_by, counter, batch_offset."""
    return _elementwise("round", {"x": x}, format, rounding, options, _PASS_ROUND)


def add(x: ArrayLike, y: ArrayLike, format: str = "float64", rounding: str = "nearest_even", **options: Any) -> NDArray:
    """round(x + y)."""
    return _elementwise("add", {"x": x, "y": y}, format, rounding, options, _PASS_ADD)


def mul(x: ArrayLike, y: ArrayLike, format: str = "float64", rounding: str = "nearest_even", **options: Any) -> NDArray:
    """round(x * y)."""
    return _elementwise("mul", {"x": x, "y": y}, format, rounding, options, _PASS_ADD)


def div(x: ArrayLike, y: ArrayLike, format: str = "float64", rounding: str = "nearest_even", **options: Any) -> NDArray:
    """round(x / y)."""
    return _elementwise("div", {"x": x, "y": y}, format, rounding, options, _PASS_ADD)


def fma(
    x: ArrayLike,
    y: ArrayLike,
    z: ArrayLike,
    format: str = "float64",
    rounding: str = "nearest_even",
    **options: Any,
) -> NDArray:
    """round(x * y + z), rounded once."""
    return _elementwise("fma", {"x": x, "y": y, "z": z}, format, rounding, options, _PASS_ADD)


def function(
    name: str, x: ArrayLike, format: str = "float32", rounding: str = "nearest_even", **options: Any
) -> NDArray:
    """round(name(x)), correctly rounded; ``name`` is one of ``FUNCTIONS``.

    x is float32 or float16 and ``format`` lies inside float32; sqrt, rsqrt and reciprocal take all.
    """
    options = dict(options)
    counter, batch_offset = options.pop("counter", 0), options.pop("batch_offset", 0)
    words = _rounding(rounding, **_stochastic_options(name, options))
    (array,), dtype = _operands(x=x)
    out = _output(array.shape, dtype, format)
    size = _sample_size(out.shape)
    _core.function(name, array, out, format, words, counter, _PASS_UNARY, batch_offset, size)
    return out[()]


def _named(name: str):
    def call(x: ArrayLike, format: str = "float32", rounding: str = "nearest_even", **options: Any) -> NDArray:
        return function(name, x, format, rounding, **options)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"round({name}(x)), as ``function``."
    return call


erf, exp, expm1, gelu = map(_named, ("erf", "exp", "expm1", "gelu"))
log, log1p, normal_cdf = map(_named, ("log", "log1p", "normal_cdf"))
reciprocal, rsqrt, sqrt = map(_named, ("reciprocal", "rsqrt", "sqrt"))
sigmoid, silu, softplus, tanh = map(_named, ("sigmoid", "silu", "softplus", "tanh"))


def _rows(operands: dict[str, ArrayLike]) -> tuple[list[NDArray], np.dtype, tuple[int, ...], int]:
    arrays, dtype = _operands(**operands)
    if arrays[0].ndim == 0:
        raise ValueError(f"{next(iter(operands))}: expected at least one dimension, the terms'")
    return arrays, dtype, arrays[0].shape[:-1], arrays[0].shape[-1]


def _reduce(arrays, out, terms, order, format, words, fused, counter, batch_offset) -> None:
    size = _sample_size(out.shape)
    _core.reduce(arrays, out, terms, order, format, words, fused, counter, _PASS_FORWARD, batch_offset, size)


def _exact(operands: dict[str, ArrayLike], rounding: str, format: str | None, options: dict[str, Any]) -> NDArray:
    options = dict(options)
    counter, batch_offset = options.pop("counter", 0), options.pop("batch_offset", 0)
    words = _rounding(rounding, **_stochastic_options("exact", options))
    arrays, dtype, shape, terms = _rows(operands)
    format = _OWN_FORMAT[dtype] if format is None else format
    out = _output(shape, dtype, format)
    _reduce(arrays, out, terms, "exact", format, words, True, counter, batch_offset)
    return out[()]


def sum_exact(terms: ArrayLike, rounding: str = "nearest_even", format: str | None = None, **options: Any) -> NDArray:
    """The exact sum along the last axis, rounded once to ``format`` (None: the terms' own type)."""
    return _exact({"terms": terms}, rounding, format, options)


def dot_exact(
    a: ArrayLike, b: ArrayLike, rounding: str = "nearest_even", format: str | None = None, **options: Any
) -> NDArray:
    """The exact sum of a * b along the last axis, rounded once to ``format`` (None: the operands' own type)."""
    return _exact({"a": a, "b": b}, rounding, format, options)


def _ordered(
    operands: dict[str, ArrayLike],
    order: str,
    format: str,
    rounding: str,
    fused: bool,
    options: dict[str, Any],
) -> NDArray:
    options = dict(options)
    counter, batch_offset = options.pop("counter", 0), options.pop("batch_offset", 0)
    words = _rounding(rounding, **_stochastic_options("reduce", options))
    order = _core.parse_order(order)
    if order == "exact":
        if format != "auto":
            raise ValueError(
                f"format: the order exact has no accumulator (sum_exact and dot_exact take one), got {format!r}"
            )
        return _exact(operands, words, None, {"counter": counter, "batch_offset": batch_offset})
    if order in ("kahan", "neumaier") and not fused:
        raise ValueError(f"fused: the order {order} has no fused word, got False")
    arrays, dtype, shape, terms = _rows(operands)
    if format == "auto":
        format = "float64" if any(a.dtype == np.float64 for a in arrays) else "float32"
    out = _output(shape, dtype, format)
    _reduce(arrays, out, terms, order, format, words, fused, counter, batch_offset)
    return out[()]


def reduce(
    terms: ArrayLike,
    order: str = "blocked(512)",
    format: str = "auto",
    rounding: str = "nearest_even",
    **options: Any,
) -> NDArray:
    """The sum along the last axis in an order; ``format`` is the accumulator's, and the result's."""
    return _ordered({"terms": terms}, order, format, rounding, True, options)


def dot(
    a: ArrayLike,
    b: ArrayLike,
    order: str = "blocked(512)",
    format: str = "auto",
    rounding: str = "nearest_even",
    fused: bool = True,
    **options: Any,
) -> NDArray:
    """The sum of a * b along the last axis in an order; ``format`` is the accumulator's, and the result's."""
    return _ordered({"a": a, "b": b}, order, format, rounding, fused, options)


def tree(order: str, n: int) -> Any:
    """The order's tree over n terms: nested pairs of term indices, e.g. ``(((0, 1), 2), 3)``."""
    return _core.tree(order, n)


def philox(key: tuple[int, int], counter: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """Philox4x32-10 of two key words and four counter words."""
    return _core.philox(tuple(key), tuple(counter))


def build_info() -> dict[str, Any]:
    """Compiler, target, NumPy, and what the run-time canary found wrong (nothing, in a good build)."""
    return {**_core.build_info(), "numpy": np.__version__}
