"""The primitives that the networks' ops are programs of: binary, sum, matmul, gather_sum, and the exact
copies expand and gather_rows, whose derivatives are sums.

Every function takes last: the arithmetic's text, the stream's draw (or None), the pass tag and the number of
the first sample. A text "A | B | C" holds the arithmetics of forward, grad_input and grad_weight: an op uses the
first, its derivatives are called with "B | B | C", those of matmul's second operand and bias with "C | B | C".

The derivative of an op tagged t draws with 64*t + {FIRST, SECOND, THIRD} for its operands, STEP for a step
before the one that ends in an operand's gradient, and UNDO_FIRST, UNDO_SECOND for the sum that undoes the
broadcasting of an operand (docs/semantics.md, "Primitives"). Derivatives are made of the same primitives, so they
have derivatives.
"""

import functools

import torch

from fpdet import _library, _partials  # noqa: F401  (registers the C++ ops)
from fpdet._check import unwatched
from fpdet._interrupt import call
from fpdet._ops import SEPARATOR, _define, _describe

FIRST, SECOND, THIRD, UNDO_FIRST, UNDO_SECOND, STEP = 1, 2, 3, 4, 5, 6

_ops = torch.ops.fpdet
_PLAIN = (torch.Tensor, torch.nn.Parameter)


# Calls.


def binary(operation, a, b, text, draw, tag, batch_offset=0):
    """`a` op `b`, operation one of "add", "sub", "mul", "div"; one of them may be a Python number."""
    if not isinstance(b, torch.Tensor):
        return _call("binary_scalar", a, float(b), False, operation, text, draw, tag, batch_offset)
    if not isinstance(a, torch.Tensor):
        return _call("binary_scalar", b, float(a), True, operation, text, draw, tag, batch_offset)
    return _call("binary", a, b, operation, text, draw, tag, batch_offset)


def sum(a, b, dims, keepdim, text, draw, tag, batch_offset=0):
    """The sum of `a`, or of the products a*b where `b` is not None, over `dims` (none named: all)."""
    return _call("sum", a, b, list(dims), keepdim, text, draw, tag, batch_offset)


def matmul(a, b, bias, text, draw, tag, batch_offset=0):
    """a (*, M, K) times b (*, K, N), batches equal or one of the two a matrix; `bias` (N) or None."""
    return _call("matmul", a, b, bias, text, draw, tag, batch_offset)


def gather_sum(x, offsets, indices, weights, text, draw, tag, batch_offset=0):
    """Line s of the result: the sum over j in [offsets[s], offsets[s+1]) of (weights[j] times) x[indices[j]]."""
    return _call("gather_sum", x, offsets, indices, weights, text, draw, tag, batch_offset)


def gather_rows(x, indices, text, draw, tag):
    """Lines `indices` of the matrix `x`, exact; its derivative sums what meets in one line."""
    return _call("gather_rows", x, indices, text, draw, tag)


def expand(x, size, text, draw, tag):
    """A copy of `x` broadcast to `size`, exact; its derivative is a sum."""
    return _call("expand", x, list(size), text, draw, tag)


def by_target(index, size):
    """(offsets, indices) for `gather_sum` from the target of each source: sources of one target ascend.

    Args:
        index: int64 tensor of one dimension, values in [0, size).
        size: how many targets there are.
    """
    targets, indices = torch.sort(index, stable=True)
    return torch.searchsorted(targets, torch.arange(size + 1, device=index.device)), indices


def _call(name, *inputs):
    op = getattr(_ops, name).default
    if not unwatched():
        return call(op, *inputs)
    tensors = [x for x in inputs if isinstance(x, torch.Tensor)]
    if any(type(x) not in _PLAIN or not x.is_cpu for x in tensors):
        return call(op, *inputs)
    if torch.is_grad_enabled() and any(x.requires_grad for x in tensors):
        return _Plain.apply(name, *inputs)
    with torch._C._AutoDispatchBelowAutograd():
        return call(op, *inputs)


class _Plain(torch.autograd.Function):
    """What the ops' registered derivatives do, without the dispatcher's way to them: for plain eager calls."""

    @staticmethod
    def forward(ctx, name, *inputs):
        ctx.name = name
        with torch._C._AutoDispatchBelowAutograd():
            output = call(getattr(_ops, name).default, *inputs)
        _SETUPS[name](ctx, inputs, output)
        return output

    @staticmethod
    def backward(ctx, grad):
        return (None, *_derive(ctx.name, ctx, grad, ctx.needs_input_grad[1:]))


# Derivatives.


@functools.lru_cache(maxsize=256)
def _text_of(text, part):
    """The text that a derivative is called with; part 1: of grad_input, 2: of grad_weight."""
    if SEPARATOR not in text:
        return text
    parts = text.split(SEPARATOR)
    return SEPARATOR.join((parts[part], parts[1], parts[2]))


class _Context:
    """How the derivatives of one call are made: their text, draw, tags and first sample."""

    def __init__(self, text, draw, tag, batch_offset):
        self.texts = {1: _text_of(text, 1), 2: _text_of(text, 2)}
        self.draw, self.base_tag, self.batch_offset = draw, 64 * tag, batch_offset

    def binary(self, operation, a, b, tag):
        return binary(operation, a, b, self.texts[1], self.draw, self.base_tag + tag, self.batch_offset)

    def sum(self, a, b, dims, keepdim, tag, batch_offset, part=1):
        return sum(a, b, dims, keepdim, self.texts[part], self.draw, self.base_tag + tag, batch_offset)

    def expand(self, x, size, tag):
        if not torch.is_grad_enabled():
            return x.expand(size)
        return expand(x, size, self.texts[1], self.draw, self.base_tag + tag)

    def undo_broadcast(self, grad, shape, tag):
        """`grad` summed to `shape`, which was broadcast to its own. Dimensions are kept while summing; samples are
        numbered from the call's first one where the operand has the result's first dimension, else from 0."""
        if grad.shape == shape:
            return grad
        missing = grad.dim() - len(shape)
        dims = list(range(missing)) + [
            missing + d for d, size in enumerate(shape) if size == 1 and grad.shape[missing + d] != 1
        ]
        alone = dims == list(range(missing)) and all(grad.shape[d] == 1 for d in dims)
        if alone and not _partials.watching():  # there it is a sum over samples, here of one
            return grad.reshape(shape)
        offset = 0 if 0 in dims else self.batch_offset
        return self.sum(grad, None, dims, True, tag, offset).reshape(shape)


def _setup_binary(ctx, inputs, output):
    a, b, ctx.operation, ctx.text, draw, ctx.tag, ctx.batch_offset = inputs
    needs_values = ctx.operation in ("mul", "div")
    ctx.shapes = a.shape, b.shape
    saved = a if ctx.operation == "mul" else None, b if needs_values else None, _quotient(ctx, output)
    ctx.save_for_backward(*saved, draw)


def _quotient(ctx, output):
    return output if ctx.operation == "div" else None


def _binary_derivative(ctx, grad, needed):
    a, b, quotient, draw = ctx.saved_tensors
    steps = _Context(ctx.text, draw, ctx.tag, ctx.batch_offset)
    first = second = None
    if needed[0]:
        first = grad
        if ctx.operation in ("mul", "div"):
            first = steps.binary(ctx.operation, grad, b, FIRST)
        first = steps.undo_broadcast(first, ctx.shapes[0], UNDO_FIRST)
    if needed[1]:
        if ctx.operation == "mul":
            second = steps.binary("mul", grad, a, SECOND)
        elif ctx.operation == "div":
            second = -steps.binary("div", steps.binary("mul", grad, quotient, STEP), b, SECOND)
        else:
            second = -grad if ctx.operation == "sub" else grad
        second = steps.undo_broadcast(second, ctx.shapes[1], UNDO_SECOND)
    return first, second, None, None, None, None, None


def _setup_binary_scalar(ctx, inputs, output):
    a, ctx.number, ctx.scalar_first, ctx.operation, ctx.text, draw, ctx.tag, ctx.batch_offset = inputs
    divides_by_a = ctx.operation == "div" and ctx.scalar_first
    ctx.save_for_backward(a if divides_by_a else None, output if divides_by_a else None, draw)


def _binary_scalar_derivative(ctx, grad, needed):
    a, quotient, draw = ctx.saved_tensors
    steps = _Context(ctx.text, draw, ctx.tag, ctx.batch_offset)
    if ctx.operation == "div" and ctx.scalar_first:
        result = -steps.binary("div", steps.binary("mul", grad, quotient, STEP), a, FIRST)
    elif ctx.operation in ("mul", "div"):
        result = steps.binary(ctx.operation, grad, ctx.number, FIRST)
    else:
        result = -grad if ctx.operation == "sub" and ctx.scalar_first else grad
    return (result, *(None,) * 7)


def _setup_sum(ctx, inputs, output):
    a, b, ctx.dims, ctx.keepdim, ctx.text, draw, ctx.tag, ctx.batch_offset = inputs
    ctx.shapes = a.shape, None if b is None else b.shape
    ctx.save_for_backward(None if b is None else a, b, draw)


def _sum_derivative(ctx, grad, needed):
    a, b, draw = ctx.saved_tensors
    shape_a, shape_b = ctx.shapes
    shape = shape_a if shape_b is None else torch.broadcast_shapes(shape_a, shape_b)
    dims = sorted(d % len(shape) for d in ctx.dims) if ctx.dims and shape else list(range(len(shape)))
    steps = _Context(ctx.text, draw, ctx.tag, 0 if 0 in dims else ctx.batch_offset)
    if not ctx.keepdim:
        for d in dims:
            grad = grad.unsqueeze(d)
    first = second = None
    if b is None:
        first = steps.expand(grad, shape, FIRST)
    else:
        if needed[0]:
            first = steps.undo_broadcast(_whole(steps, grad, b, shape, FIRST), shape_a, UNDO_FIRST)
        if needed[1]:
            second = steps.undo_broadcast(_whole(steps, grad, a, shape, SECOND), shape_b, UNDO_SECOND)
    return (first, second, *(None,) * 6)


def _whole(steps, grad, factor, shape, tag):
    """grad * factor, of the whole shape even where both are broadcast."""
    product = steps.binary("mul", grad, factor, tag)
    return product if product.shape == shape else steps.expand(product, shape, tag)


def _setup_matmul(ctx, inputs, output):
    a, b, _, ctx.text, draw, ctx.tag, ctx.batch_offset = inputs
    ctx.save_for_backward(a, b, draw)


def _matmul_derivative(ctx, grad, needed):
    a, b, draw = ctx.saved_tensors
    steps = _Context(ctx.text, draw, ctx.tag, ctx.batch_offset)

    def product(x, y, tag, part, batch_offset):
        return matmul(x, y, None, steps.texts[part], draw, steps.base_tag + tag, batch_offset)

    grad_a = grad_b = grad_bias = None
    shared_b, shared_a = b.dim() == 2, a.dim() == 2 and b.dim() > 2
    if needed[0]:
        if shared_a:  # one sum over the batch and b's columns
            wide, tall = grad.flatten(0, -3).transpose(0, 1), b.flatten(0, -3).transpose(1, 2)
            grad_a = product(wide.flatten(1), tall.flatten(0, 1), FIRST, 1, 0)
        else:
            grad_a = product(grad, b.transpose(-1, -2), FIRST, 1, steps.batch_offset)
    if needed[1]:
        if shared_b:  # one sum over the batch and a's lines
            grad_b = product(a.flatten(0, -2).t(), grad.flatten(0, -2), SECOND, 2, 0)
        else:
            grad_b = product(a.transpose(-1, -2), grad, SECOND, 2, steps.batch_offset)
    if needed[2]:
        lines = list(range(grad.dim() - 1))
        grad_bias = steps.sum(grad, None, lines, True, THIRD, 0, part=2).reshape(-1)
    return (grad_a, grad_b, grad_bias, *(None,) * 4)


def _setup_gather_sum(ctx, inputs, output):
    x, offsets, indices, weights, ctx.text, draw, ctx.tag, ctx.batch_offset = inputs
    ctx.lines = x.shape[0]
    ctx.save_for_backward(None if weights is None else x, offsets, indices, weights, draw)


def _gather_sum_derivative(ctx, grad, needed):
    x, offsets, indices, weights, draw = ctx.saved_tensors
    steps = _Context(ctx.text, draw, ctx.tag, 0)
    text, tag = steps.texts[1], steps.base_tag
    places = torch.arange(indices.shape[0], device=indices.device)
    sums = torch.searchsorted(offsets, places, right=True) - 1  # the sum that each term belongs to
    used = (sums >= 0) & (sums < offsets.shape[0] - 1)
    grad_x = grad_weights = None
    if needed[0]:
        # Terms of no sum go behind the last target.
        ends, order = by_target(torch.where(used, indices, ctx.lines), ctx.lines)
        sources = torch.where(used, sums, 0)[order]
        factors = None if weights is None else _reordered(weights, order, text, draw, tag + STEP)
        grad_x = gather_sum(grad, ends, sources, factors, text, draw, tag + FIRST)
    if needed[3]:
        left = gather_rows(grad, torch.where(used, sums, 0), text, draw, tag + UNDO_FIRST)
        right = gather_rows(x, indices, text, draw, tag + UNDO_SECOND)
        grad_weights = steps.sum(left, right, [1], False, SECOND, 0)
        grad_weights = torch.where(used, grad_weights, 0.0)
    return grad_x, None, None, grad_weights, None, None, None, None


def _reordered(vector, order, text, draw, tag):
    return gather_rows(vector.unsqueeze(1), order, text, draw, tag).squeeze(1)


def _setup_gather_rows(ctx, inputs, output):
    x, indices, ctx.text, draw, ctx.tag = inputs
    ctx.lines = x.shape[0]
    ctx.save_for_backward(indices, draw)


def _gather_rows_derivative(ctx, grad, needed):
    indices, draw = ctx.saved_tensors
    offsets, sources = by_target(indices, ctx.lines)
    steps = _Context(ctx.text, draw, ctx.tag, 0)
    total = gather_sum(grad, offsets, sources, None, steps.texts[1], draw, steps.base_tag + FIRST)
    return total, None, None, None, None


def _setup_expand(ctx, inputs, output):
    x, _, ctx.text, draw, ctx.tag = inputs
    ctx.shape = x.shape
    ctx.save_for_backward(draw)


def _expand_derivative(ctx, grad, needed):
    (draw,) = ctx.saved_tensors
    steps = _Context(ctx.text, draw, ctx.tag, 0)
    return steps.undo_broadcast(grad, ctx.shape, UNDO_FIRST), None, None, None, None


# Fake kernels: shape, dtype, layout.


def _fake_binary(a, b, operation, arithmetic, draw, pass_tag, batch_offset):
    shape = torch.broadcast_shapes(a.shape, b.shape)
    for operand in (a, b):
        if operand.shape == shape:
            return torch.empty_like(operand)
    return a.new_empty(shape)


def _fake_binary_scalar(a, b, scalar_first, operation, arithmetic, draw, pass_tag, batch_offset):
    return torch.empty_like(a)


def _fake_sum(a, b, dims, keepdim, arithmetic, draw, pass_tag, batch_offset):
    shape = a.shape if b is None else torch.broadcast_shapes(a.shape, b.shape)
    reduced = {d % len(shape) for d in dims} if dims and shape else set(range(len(shape)))
    return a.new_empty([1 if d in reduced else n for d, n in enumerate(shape) if keepdim or d not in reduced])


def _fake_matmul(a, b, bias, arithmetic, draw, pass_tag, batch_offset):
    batch = a.shape[:-2] if b.dim() == 2 else b.shape[:-2]
    return a.new_empty((*batch, a.shape[-2], b.shape[-1]))


def _fake_gather_sum(x, offsets, indices, weights, arithmetic, draw, pass_tag, batch_offset):
    return x.new_empty((offsets.shape[0] - 1, x.shape[1]))


# The exact copies.


def _gather_rows(x, indices, arithmetic, draw, pass_tag):
    return torch.index_select(x, 0, indices)


def _fake_gather_rows(x, indices, arithmetic, draw, pass_tag):
    return x.new_empty((indices.shape[0], x.shape[1]))


def _expand(x, size, arithmetic, draw, pass_tag):
    return x.expand(size).clone(memory_format=torch.contiguous_format)


def _fake_expand(x, size, arithmetic, draw, pass_tag):
    return x.new_empty(torch.broadcast_shapes(x.shape, size))


_SETUPS = {
    "binary": _setup_binary,
    "binary_scalar": _setup_binary_scalar,
    "sum": _setup_sum,
    "matmul": _setup_matmul,
    "gather_sum": _setup_gather_sum,
    "gather_rows": _setup_gather_rows,
    "expand": _setup_expand,
}
_DERIVATIVES = {
    "binary": _binary_derivative,
    "binary_scalar": _binary_scalar_derivative,
    "sum": _sum_derivative,
    "matmul": _matmul_derivative,
    "gather_sum": _gather_sum_derivative,
    "gather_rows": _gather_rows_derivative,
    "expand": _expand_derivative,
}


def _derive(name, ctx, grad, needed):
    if _partials.watching():
        sums = _over_samples(name, ctx, grad)
        return tuple(_partials.gradients(ctx, needed, lambda: _DERIVATIVES[name](ctx, grad, needed), sums))
    return _DERIVATIVES[name](ctx, grad, needed)


def _over_samples(name, ctx, grad):
    """The operands whose gradients sum over the first dimension of the result."""
    if name == "matmul":
        a, b = ctx.saved_tensors[:2]
        return {0, 2} if a.dim() < b.dim() else {1, 2} if b.dim() == 2 else {2}
    if name == "binary":
        shapes, whole = ctx.shapes, grad.shape
    elif name == "expand":
        shapes, whole = (ctx.shape,), grad.shape
    elif name == "sum" and ctx.shapes[1] is not None:
        shapes, whole = ctx.shapes, torch.broadcast_shapes(*ctx.shapes)
    else:
        return set()
    return {i for i, s in enumerate(shapes) if len(s) < len(whole) or (s and s[0] == 1 != whole[0])}


def _register():
    end = "str arithmetic, Tensor? draw, int pass_tag) -> Tensor"
    ours = {
        "gather_rows": (f"(Tensor x, Tensor indices, {end}", _gather_rows),
        "expand": (f"(Tensor x, SymInt[] size, {end}", _expand),
    }
    fakes = {
        "binary": _fake_binary,
        "binary_scalar": _fake_binary_scalar,
        "sum": _fake_sum,
        "matmul": _fake_matmul,
        "gather_sum": _fake_gather_sum,
        "gather_rows": _fake_gather_rows,
        "expand": _fake_expand,
    }
    for name, fake in fakes.items():

        def backward(ctx, grad, name=name):
            return _derive(name, ctx, grad, ctx.needs_input_grad)

        if name in ours:
            _define(name, *ours[name], fake, backward, _SETUPS[name])
        else:
            _describe(name, fake, backward, _SETUPS[name])


_register()
