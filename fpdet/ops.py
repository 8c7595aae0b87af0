"""torch's tensor functions with a stated arithmetic: torch's arguments, then those of fpdet.nn.functional by keyword.

Every function is one rounded operation per element, one ordered sum, or one program of fpdet/programs; gradients too.
Of a number as operand the float64 value is rounded once, to nearest even, into the accumulator's format.

Raises: as fpdet.nn.functional.
"""

import torch

from fpdet import _check, _primitives, _programs
from fpdet._numbers import numbers
from fpdet.nn.functional.linear import MATMUL

_BINARY = {"add": 1 << 19, "sub": (1 << 19) + 1, "mul": (1 << 19) + 2, "div": (1 << 19) + 3}
_SUM, _EXPAND, _PICK = (1 << 19) + 4, (1 << 19) + 5, (1 << 19) + 6
NAMES_OF_FUNCTIONS = (
    "exp",
    "expm1",
    "log",
    "log1p",
    "sqrt",
    "rsqrt",
    "reciprocal",
    "sigmoid",
    "tanh",
    "erf",
    "square",
)


def _numbers(op, keywords):
    return numbers(op, keywords.pop("arithmetic", None), keywords.pop("stream", None), keywords.pop("batch_offset", 0))


def _binary(operation, a, b, keywords):
    call = _numbers(operation, keywords)
    _refuse(operation, keywords)
    if not isinstance(a, torch.Tensor):
        _check.tensors(operation, other=b)
        a = _number(operation, a)
    elif not isinstance(b, torch.Tensor):
        _check.tensors(operation, input=a)
        b = _number(operation, b)
    else:
        _check.tensors(operation, input=a, other=b)
    return _primitives.binary(operation, a, b, call.text, call.draw, _BINARY[operation], call.offset)


def _number(op, value):
    if isinstance(value, complex) or not isinstance(value, bool | int | float | torch.SymInt | torch.SymFloat):
        raise TypeError(f"{op}(): expected a tensor or a number, got {type(value).__name__}")
    return float(value)


def _refuse(op, keywords):
    if keywords:
        raise TypeError(f"{op}() got an unexpected keyword argument {next(iter(keywords))!r}")


def add(input, other, *, alpha=1, **keywords):
    """input + alpha * other, broadcast; alpha other than 1 costs a rounding of its own."""
    return _scaled("add", input, other, alpha, keywords)


def sub(input, other, *, alpha=1, **keywords):
    """input - alpha * other, broadcast."""
    return _scaled("sub", input, other, alpha, keywords)


def _scaled(operation, a, b, alpha, keywords):
    if alpha == 1 or not isinstance(b, torch.Tensor):
        return _binary(operation, a, b if alpha == 1 else alpha * b, keywords)
    factor = float(alpha) if operation == "add" else -float(alpha)
    if not isinstance(a, torch.Tensor):
        return _binary("add", a, mul(b, factor, **keywords), keywords)
    _check.tensors(operation, input=a, other=b)
    shape = torch.broadcast_shapes(a.shape, b.shape)
    pair = [broadcast_to(x, shape, **keywords) for x in (a, b)]
    return _programs.run("add_scaled", pair, {"alpha": factor}, _numbers(operation, keywords))[0]


def mul(input, other, **keywords):
    """input * other, broadcast."""
    return _binary("mul", input, other, keywords)


def div(input, other, *, rounding_mode=None, **keywords):
    """input / other, broadcast."""
    if rounding_mode is not None:
        raise NotImplementedError(f"div(): rounding_mode: expected None, got {rounding_mode!r}")
    return _binary("div", input, other, keywords)


def pow(input, exponent, **keywords):
    """input to the power 1, 2, 0.5, -0.5 or -1: x, x*x, sqrt, rsqrt, reciprocal. Others raise NotImplementedError."""
    names = {1: None, 2: "square", 0.5: "sqrt", -0.5: "rsqrt", -1: "reciprocal"}
    if isinstance(exponent, torch.Tensor) or exponent not in names:
        raise NotImplementedError(f"pow(): exponent: expected one of {', '.join(map(str, names))}, got {exponent}")
    return input if names[exponent] is None else _function(names[exponent], input, keywords)


def _function(name, input, keywords):
    _check.tensors(name, input=input)
    call = _numbers(name, keywords)
    _refuse(name, keywords)
    return _programs.run(name, [input], {}, call)[0]


def _make(name):
    def function(input, **keywords):
        return _function(name, input, keywords)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{name} of each element, correctly rounded." if name != "square" else "input * input."
    return function


for _name in NAMES_OF_FUNCTIONS:
    globals()[_name] = _make(_name)


def sum(input, dim=None, keepdim=False, *, dtype=None, **keywords):
    """The ordered sum over `dim` (all, if None), row-major."""
    x = input if dtype is None else input.to(dtype)
    _check.tensors("sum", input=x)
    axes = _check.axes("sum", dim, x)
    call = _numbers("sum", keywords)
    _refuse("sum", keywords)
    if x.dim() == 0:
        return _primitives.sum(x.reshape(1), None, [0], False, call.text, call.draw, _SUM, call.offset)
    return _primitives.sum(x, None, axes, keepdim, call.text, call.draw, _SUM, call.offset)


def mean(input, dim=None, keepdim=False, *, dtype=None, **keywords):
    """sum / number of terms."""
    return _reduction("mean", input if dtype is None else input.to(dtype), dim, keepdim, {}, keywords)


def var(input, dim=None, unbiased=None, keepdim=False, *, correction=None, **keywords):
    """The sum of the squared deviations from the mean, divided by their number minus `correction` (1)."""
    if unbiased is not None and not isinstance(dim, bool):
        correction = int(unbiased)
    if isinstance(dim, bool):  # torch.var(x, unbiased)
        dim, correction = None, int(dim)
    correction = 1 if correction is None else correction
    return _reduction("var", input, dim, keepdim, {"correction": correction}, keywords)


def std(input, dim=None, unbiased=None, keepdim=False, *, correction=None, **keywords):
    """sqrt(var)."""
    return sqrt(var(input, dim, unbiased, keepdim, correction=correction, **keywords), **keywords)  # noqa: F821


def logsumexp(input, dim, keepdim=False, **keywords):
    """log of the ordered sum of exp, shifted by the greatest element."""
    return _reduction("logsumexp", input, dim, keepdim, {}, keywords)


def _reduction(name, x, dim, keepdim, attributes, keywords):
    _check.tensors(name, input=x)
    axes = _check.axes(name, dim, x)
    call = _numbers(name, keywords)
    _refuse(name, keywords)
    if x.dim() == 0:
        x, axes = x.reshape(1), [0]
        return _programs.run(name, [x], {"axes": axes, **attributes}, call)[0].reshape(())
    y = _programs.run(name, [x], {"axes": axes, **attributes}, call)[0]
    return y if keepdim else y.reshape([n for i, n in enumerate(x.shape) if i not in axes])


def matmul(input, other, *, bias=None, **keywords):
    """The matrix product, with torch's rules for vectors and batches; `bias` (N) comes last in each sum."""
    _check.tensors("matmul", input=input, other=other, bias=bias)
    a, b = input, other
    if a.dim() == 0 or b.dim() == 0:
        raise RuntimeError(f"both arguments to matmul need to be at least 1D, but they are {a.dim()}D and {b.dim()}D")
    left = a.unsqueeze(0) if a.dim() == 1 else a
    right = b.unsqueeze(1) if b.dim() == 1 else b
    if left.shape[-1] != right.shape[-2]:
        raise RuntimeError(
            f"matmul(): other: expected {left.shape[-1]} rows as input {list(a.shape)} has columns, "
            f"got size {list(b.shape)}"
        )
    if left.dim() > 2 and right.dim() > 2 and left.shape[:-2] != right.shape[:-2]:
        batch = torch.broadcast_shapes(left.shape[:-2], right.shape[:-2])
        left = broadcast_to(left, (*batch, *left.shape[-2:]), **keywords)
        right = broadcast_to(right, (*batch, *right.shape[-2:]), **keywords)
    call = _numbers("matmul", keywords)
    _refuse("matmul", keywords)
    y = _primitives.matmul(left, right, bias, call.text, call.draw, MATMUL, call.offset)
    y = y.squeeze(-2) if a.dim() == 1 else y
    return y.squeeze(-1) if b.dim() == 1 else y


def _of_rank(name, ranks):
    def function(input, other, **keywords):
        for argument, tensor, rank in (("input", input, ranks[0]), ("other", other, ranks[1])):
            if tensor.dim() != rank:
                raise RuntimeError(f"{name}(): {argument}: expected {rank} dimensions, got size {list(tensor.shape)}")
        return matmul(input, other, **keywords)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"torch.{name}: matmul of {ranks[0]} by {ranks[1]} dimensions."
    return function


mm, bmm, mv, dot = (_of_rank(n, r) for n, r in (("mm", (2, 2)), ("bmm", (3, 3)), ("mv", (2, 1)), ("dot", (1, 1))))


def addmm(input, mat1, mat2, *, beta=1, alpha=1, **keywords):
    """beta*input + alpha*(mat1 @ mat2): with a vector input and factors 1 it is the bias of the sum, else one
    product for each factor that is not 1, and one addition."""
    if input.dim() == 1 and beta == 1 and alpha == 1 and input.shape[0] == mat2.shape[-1]:
        return matmul(mat1, mat2, bias=input, **keywords)
    product = matmul(mat1, mat2, **keywords)
    product = product if alpha == 1 else mul(product, alpha, **keywords)
    return add(input if beta == 1 else mul(input, beta, **keywords), product, **keywords)


baddbmm = addmm


def lerp(input, end, weight, **keywords):
    """input + weight * (end - input), `weight` a number."""
    if isinstance(weight, torch.Tensor):
        raise NotImplementedError("lerp(): weight: expected a number, got a tensor")
    _check.tensors("lerp", input=input, end=end)
    shape = torch.broadcast_shapes(input.shape, end.shape)
    pair = [broadcast_to(x, shape, **keywords) for x in (input, end)]
    return _programs.run("lerp", pair, {"weight": float(weight)}, _numbers("lerp", keywords))[0]


def divide_by_count(input, count, **keywords):
    """input / count, `count` an integer tensor, taken into the working dtype (float32, float64 for float64)."""
    wide = torch.float64 if input.dtype == torch.float64 else torch.float32
    return _programs.run("divide", [input, count.to(wide)], {}, _numbers("divide_by_count", keywords))[0]


# Copies, whose gradients meet in an ordered sum.


def broadcast_to(input, shape, **keywords):
    """input expanded to `shape`; its gradient is the ordered sum over the copies."""
    shape = torch.broadcast_shapes(input.shape, tuple(shape))
    if tuple(shape) == tuple(input.shape) or not (input.requires_grad and torch.is_grad_enabled()):
        return input.expand(shape)
    _check.tensors("broadcast_to", input=input)
    call = _numbers("broadcast_to", keywords)
    return _primitives.expand(input, shape, call.text, call.draw, _EXPAND)


def fan_out(input, copies, **keywords):
    """`copies` copies of input for as many uses: their gradients are added first to last, by the arithmetic."""
    if not (input.requires_grad and torch.is_grad_enabled()):
        return (input,) * copies
    whole = _programs.run("fan_out", [input], {"copies": copies}, _numbers("fan_out", keywords))[0]
    return whole.unbind(0)


def _pick(op, rows, index, keywords):
    """rows (T, D) at a flat index (S); the gradient sums by target."""
    call = _numbers(op, keywords)
    _refuse(op, keywords)
    return _primitives.gather_rows(rows, index, call.text, call.draw, _PICK)


def _places(input):
    """Each element's number, row-major."""
    return torch.arange(input.numel(), device=input.device).reshape(input.shape)


def getitem(input, index, **keywords):
    """input[index] with tensors or lists in `index`."""
    _check.tensors("getitem", input=input)
    places = _places(input)[index]
    return _pick("getitem", input.reshape(-1, 1), places.reshape(-1), keywords).reshape(places.shape)


def gather(input, dim, index, **keywords):
    """torch.gather."""
    _check.tensors("gather", input=input)
    places = torch.gather(_places(input), dim, index)
    return _pick("gather", input.reshape(-1, 1), places.reshape(-1), keywords).reshape(places.shape)


def index_select(input, dim, index, **keywords):
    """torch.index_select."""
    _check.tensors("index_select", input=input)
    axis = _check.axis("index_select", dim, input)
    if index.dim() > 1:
        raise IndexError(f"index_select(): Index is supposed to be a vector, got size {list(index.shape)}")
    moved = input.movedim(axis, 0)
    # Negative and bad numbers: torch's error.
    index = torch.arange(moved.shape[0], device=input.device)[index.reshape(-1).long()]
    y = _pick("index_select", moved.reshape(moved.shape[0], -1), index, keywords)
    return y.reshape(index.shape[0], *moved.shape[1:]).movedim(0, axis)


def index_add(input, dim, index, source, *, alpha=1, **keywords):
    """torch.index_add: to each slice of input the ordered sum of the slices of source with its number is added."""
    _check.tensors("index_add", input=input, source=source)
    axis = _check.axis("index_add", dim, input)
    x, v = input.movedim(axis, 0), source.movedim(axis, 0)
    if index.dim() > 1 or index.numel() != v.shape[0] or v.shape[1:] != x.shape[1:]:
        raise RuntimeError(
            f"index_add(): source: expected {index.numel()} slices of input {list(input.shape)}, "
            f"got {list(source.shape)}"
        )
    v = v if alpha == 1 else mul(v, alpha, **keywords)
    index = torch.arange(x.shape[0], device=input.device)[index.reshape(-1).long()]
    y = _accumulate("index_add", x.reshape(x.shape[0], -1), v.reshape(v.shape[0], -1), index, keywords)
    return y.reshape(x.shape).movedim(0, axis)


def scatter_add(input, dim, index, src, **keywords):
    """torch.scatter_add: to each element of input the ordered sum of the elements of src sent to it is added."""
    _check.tensors("scatter_add", input=input, src=src)
    places = torch.gather(_places(input), dim, index).reshape(-1)
    chosen = src[tuple(slice(n) for n in index.shape)].reshape(-1, 1)
    return _accumulate("scatter_add", input.reshape(-1, 1), chosen, places, keywords).reshape(input.shape)


def _accumulate(op, rows, v, index, keywords):
    call = _numbers(op, keywords)
    _refuse(op, keywords)
    offsets, sources = _primitives.by_target(index, rows.shape[0])
    touched = (offsets[1:] > offsets[:-1]).reshape(-1, 1)
    return _programs.run("accumulate_rows", [rows, v, index, offsets, sources, touched], {}, call)[0]
