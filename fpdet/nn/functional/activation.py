"""Activations and softmax: correctly rounded functions and short programs (fpdet/programs)."""

from fpdet import _check, _programs
from fpdet._numbers import numbers


def _one(name, op, input, attributes, arithmetic, stream, batch_offset):
    _check.tensors(op, input=input)
    return _programs.run(name, [input], attributes, numbers(op, arithmetic, stream, batch_offset))[0]


def _in_place(inplace, input, y):
    return input.copy_(y) if inplace else y


def sigmoid(input, *, arithmetic=None, stream=None, batch_offset=0):
    """1 / (1 + e^-x), correctly rounded; any shape."""
    return _one("sigmoid", "sigmoid", input, {}, arithmetic, stream, batch_offset)


def tanh(input, *, arithmetic=None, stream=None, batch_offset=0):
    """tanh(x), correctly rounded; any shape."""
    return _one("tanh", "tanh", input, {}, arithmetic, stream, batch_offset)


def silu(input, inplace=False, *, arithmetic=None, stream=None, batch_offset=0):
    """x / (1 + e^-x) (swish), correctly rounded; any shape."""
    return _in_place(inplace, input, _one("silu", "silu", input, {}, arithmetic, stream, batch_offset))


def gelu(input, approximate="none", *, arithmetic=None, stream=None, batch_offset=0):
    """x * Phi(x), correctly rounded; ``approximate="tanh"``: the program `gelu_tanh`. Any shape."""
    if approximate not in ("none", "tanh"):
        raise RuntimeError(f"gelu(): approximate: expected 'none' or 'tanh', got {approximate!r}")
    name = "gelu" if approximate == "none" else "gelu_tanh"
    return _one(name, "gelu", input, {}, arithmetic, stream, batch_offset)


def softplus(input, beta=1.0, threshold=20.0, *, arithmetic=None, stream=None, batch_offset=0):
    """log(1 + e^x), correctly rounded for every x: `threshold` has nothing to cut off. `beta` other than 1 raises."""
    if beta != 1:
        raise NotImplementedError(f"softplus(): beta: expected 1, got {beta}; scale the operand and the result")
    return _one("softplus", "softplus", input, {}, arithmetic, stream, batch_offset)


def logsigmoid(input, *, arithmetic=None, stream=None, batch_offset=0):
    """-softplus(-x): one rounding, of the opposite direction where it is directed."""
    return -_one("softplus", "logsigmoid", -input, {}, arithmetic, stream, batch_offset)


def leaky_relu(input, negative_slope=0.01, inplace=False, *, arithmetic=None, stream=None, batch_offset=0):
    """x where x > 0, else x * negative_slope."""
    attributes = {"negative_slope": float(negative_slope)}
    return _in_place(
        inplace, input, _one("leaky_relu", "leaky_relu", input, attributes, arithmetic, stream, batch_offset)
    )


def elu(input, alpha=1.0, inplace=False, *, arithmetic=None, stream=None, batch_offset=0):
    """x where x > 0, else alpha * expm1(x)."""
    attributes = {"alpha": float(alpha)}
    return _in_place(inplace, input, _one("elu", "elu", input, attributes, arithmetic, stream, batch_offset))


def softmax(input, dim=None, _stacklevel=3, dtype=None, *, arithmetic=None, stream=None, batch_offset=0):
    """e / sum(e) along `dim`, e = exp(x - max); `dim` must be given."""
    return _along("softmax", input, dim, dtype, arithmetic, stream, batch_offset)


def log_softmax(input, dim=None, _stacklevel=3, dtype=None, *, arithmetic=None, stream=None, batch_offset=0):
    """z - log(sum(exp(z))) along `dim`, z = x - max; `dim` must be given."""
    return _along("log_softmax", input, dim, dtype, arithmetic, stream, batch_offset)


def _along(op, input, dim, dtype, arithmetic, stream, batch_offset):
    if dim is None:
        raise RuntimeError(f"{op}(): dim: expected an int, got None; torch's implicit choice is deprecated")
    x = input if dtype is None else input.to(dtype)
    scalar = x.dim() == 0
    x = x.reshape(1) if scalar else x
    y = _one(op, op, x, {"axis": _check.axis(op, dim, x)}, arithmetic, stream, batch_offset)
    return y.reshape(()) if scalar else y
