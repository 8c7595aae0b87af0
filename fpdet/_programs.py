"""Programs (fpdet/programs) on torch's tensors: one op runs any of them, a second one its gradients.

Both are opaque to torch.compile, so a compiled graph runs the same lines as eager. A derivative that is itself to be
differentiated runs the same lines again, step by step above autograd, where each step has its own derivative.
"""

import ast
from functools import lru_cache

import torch

from fpdet import _functions, _ops, _partials, _primitives
from fpdet._arithmetic import as_arithmetic
from fpdet.programs import PROGRAMS
from fpdet.programs.machine import BACKWARD, FORWARD, Machine

_NARROW = (torch.bfloat16, torch.float16)


class TorchMachine(Machine):
    """Steps through fpdet's primitive ops. `texts`: the arithmetic of these steps, and of those on weights."""

    def __init__(self, first_tag, texts, draw, batch_offset):
        super().__init__(first_tag)
        self._text, self._weights_text = texts
        self._draw, self._offset = draw, batch_offset

    def _binary(self, operation, a, b, tag):
        return _primitives.binary(operation, a, b, self._text, self._draw, tag, self._offset)

    def _unary(self, function, x, tag):
        return _functions.unary(function, x, self._text, self._draw, tag, self._offset)

    def _sum(self, a, b, axes, tag):
        return _primitives.sum(a, b, list(axes), True, self._text, self._draw, tag, self._offset)

    def _gather_sum(self, x, offsets, indices, weights, tag):
        return _primitives.gather_sum(x, offsets, indices, weights, self._text, self._draw, tag, self._offset)

    def enter(self, x):
        return x if x is None or x.dtype not in _NARROW else x.to(torch.float32)

    def leave(self, x, like):
        if x.dtype == like.dtype:
            return x
        format, rounding = _conversion(self._text, like.dtype)
        return _ops.ops.round.default(x, format, rounding, self._draw, self._offset).to(like.dtype)

    def amax(self, x, axis):
        return torch.amax(x.detach(), axis, keepdim=True)

    def where(self, condition, a, b):
        return torch.where(condition, a, b)

    def expand(self, x, shape):
        return _primitives.expand(x, shape, self._text, self._draw, self._next())

    def pick(self, x, index):
        return _primitives.gather_rows(x, index, self._text, self._draw, self._next())

    def on_weights(self):
        return TorchMachine(self._tag, (self._weights_text,) * 2, self._draw, self._offset)


@lru_cache(maxsize=256)
def _conversion(text, dtype):
    words = text.split()
    return str(dtype).removeprefix("torch."), " ".join([words[0], *(w for w in words[1:] if "=" in w and "(" not in w)])


@lru_cache(maxsize=4096)
def _attributes(text):
    """The inverse of `_spelled`."""
    found = {}
    for part in text.split("; ") if text else ():
        key, _, value = part.partition("=")
        value = ast.literal_eval(value)
        found[key] = tuple(value) if isinstance(value, list) else value
    return found


def _spelled(attributes):
    """Numbers and lists of ints as text: an op's argument."""
    return "; ".join([f"{key}={value!r}" for key, value in attributes.items()])


def _pass_texts(text):
    """(forward), (grad_input, grad_weight) of an arithmetic."""
    return tuple(_ops.arithmetic_of_pass(text, tag) for tag in (_ops.FORWARD, _ops.GRAD_INPUT, _ops.GRAD_WEIGHT))


def _forward(name, tensors, attributes, arithmetic, draw, batch_offset):
    forward, _, weights = _pass_texts(arithmetic)
    machine = TorchMachine(FORWARD, (forward, weights), draw, batch_offset)
    return PROGRAMS[name].forward(machine, *tensors, **_attributes(attributes))


def _backward(name, needed, grads, tensors, outputs, attributes, arithmetic, draw, batch_offset):
    _, inputs, weights = _pass_texts(arithmetic)
    machine = TorchMachine(BACKWARD, (inputs, weights), draw, batch_offset)
    return PROGRAMS[name].backward(machine, needed, grads, tensors, outputs, **_attributes(attributes))


def _spread(tensors, present):
    """The program's inputs: the tensors of the op, None where an argument is missing."""
    found = iter(tensors)
    return [next(found) if here else None for here in present]


def _program(name, tensors, present, attributes, arithmetic, draw, batch_offset):
    outputs = _forward(name, _spread(tensors, present), attributes, arithmetic, draw, batch_offset)
    return _fresh(outputs, tensors)


def _program_backward(name, needed, grads, tensors, present, kept, attributes, arithmetic, draw, batch_offset):
    inputs, outputs = _spread(tensors, present), [*[None] * PROGRAMS[name].results, *kept]
    found = _backward(name, needed, grads, inputs, outputs, attributes, arithmetic, draw, batch_offset)
    return _fresh([g for g, wanted in zip(found, needed, strict=True) if wanted], [*tensors, *grads, *kept])


def _fresh(outputs, inputs):
    """The outputs as an op may return them: none is an input, and one that is kept is not returned twice."""
    known = {id(x) for x in inputs}
    results = []
    for y in outputs:
        if any(y is other for other in results):
            continue
        results.append(y.clone() if id(y) in known else y)
    return results


def _setup(ctx, inputs, output):
    ctx.name, tensors, ctx.present, ctx.attributes, ctx.arithmetic, draw, ctx.offset = inputs
    ctx.count = len(tensors)
    # A result that backward does not want is not saved: the caller may change it in place. Where a program keeps its
    # result and that is in the working dtype, the last output is both.
    program = PROGRAMS[ctx.name]
    kept = output[-1:] if program.keeps_result else output[program.results :]
    ctx.save_for_backward(*tensors, draw, *kept)
    ctx.set_materialize_grads(False)


def _derivative(ctx, grads):
    nothing = (None,) * 5
    results = PROGRAMS[ctx.name].results
    if all(g is None for g in grads[:results]):
        return None, [None] * ctx.count, *nothing
    saved = ctx.saved_tensors
    tensors, draw, kept = list(saved[: ctx.count]), saved[ctx.count], list(saved[ctx.count + 1 :])
    needed = _spread(ctx.needs_input_grad[1], ctx.present)
    needed = [bool(wanted) for wanted in needed]
    if any(g is None for g in grads[:results]):  # of running statistics: nothing flows through them
        grads = grads[:1]
    rest = (ctx.attributes, ctx.arithmetic, draw, ctx.offset)
    if torch.is_grad_enabled():
        inputs = _spread(tensors, ctx.present)
        again = list(_forward(ctx.name, inputs, *rest))
        found = _backward(ctx.name, needed, grads, inputs, again, *rest)
    elif _partials.watching():
        inputs, outputs = _spread(tensors, ctx.present), [*[None] * results, *kept]
        return None, _recorded(ctx, needed, grads[:results], inputs, outputs, rest), *nothing
    else:
        op = _ops.ops.program_backward.default
        wanted = iter(op(ctx.name, needed, list(grads[:results]), tensors, ctx.present, kept, *rest))
        found = [next(wanted) if each else None for each in needed]
    chosen = [g if wanted else None for g, wanted in zip(found, needed, strict=True)]
    return None, [g for g, here in zip(chosen, ctx.present, strict=True) if here], *nothing


def _setup_unary(ctx, inputs, output):
    x, ctx.function, ctx.arithmetic, draw, ctx.tag, ctx.offset = inputs
    ctx.save_for_backward(x, output, draw)


def _unary_derivative(ctx, grad):
    """g * slope, by the steps of the function's own program, numbered from 64 * tag."""
    x, y, draw = ctx.saved_tensors
    machine = TorchMachine(64 * ctx.tag, (ctx.arithmetic,) * 2, draw, ctx.offset)
    return machine.mul(grad, PROGRAMS[ctx.function].slope(machine, x, y)), None, None, None, None, None


torch.library.register_autograd("fpdet::unary", _unary_derivative, setup_context=_setup_unary, lib=_ops._definitions)


def _recorded(ctx, needed, grads, inputs, outputs, rest):
    """The gradients of the tensors that are present, those of watched parameters recorded."""

    def derive():
        found = _backward(ctx.name, needed, grads, inputs, outputs, *rest)
        found = [g if wanted else None for g, wanted in zip(found, needed, strict=True)]
        return [g for g, here in zip(found, ctx.present, strict=True) if here]

    if ctx.name == "batch_norm":
        raise _partials.GradientError(
            "batch_norm: expected statistics over all workers under order 'exact', got those of each worker's samples; "
            "use fpdet.distributed.SyncBatchNorm.convert(model)"
        )
    places = [i for i, here in enumerate(ctx.present) if here]
    over_samples = {places.index(i) for i in PROGRAMS[ctx.name].affine if i in places}
    return _partials.gradients(ctx, ctx.needs_input_grad[1], derive, over_samples)


_ops._define(
    "program",
    "(str name, Tensor[] tensors, bool[] present, str attributes, str arithmetic, Tensor? draw, int batch_offset)"
    " -> Tensor[]",
    _program,
    _program,
    _derivative,
    _setup,
)
_ops._define(
    "program_backward",
    "(str name, bool[] needed, Tensor[] grads, Tensor[] tensors, bool[] present, Tensor[] outputs, str attributes, "
    "str arithmetic, Tensor? draw, int batch_offset) -> Tensor[]",
    _program_backward,
    _program_backward,
)


def run(name, tensors, attributes, numbers):
    """The results of a program as a list. numbers: (arithmetic, draw, batch_offset)."""
    arithmetic, draw, offset = numbers
    given = [x for x in tensors if x is not None]
    present = [x is not None for x in tensors]
    text = as_arithmetic(arithmetic).text
    outputs = _ops.ops.program.default(name, given, present, _spelled(attributes), text, draw, offset)
    return outputs[: PROGRAMS[name].results]
