"""Programs (fpdet/programs) on torch's tensors: one op runs any of them, a second one its gradients.

Both are opaque to torch.compile, so a compiled graph runs the same lines as eager. A derivative that is itself to be
differentiated runs the same lines again, step by step above autograd, where each step has its own derivative.
"""

import json
from functools import lru_cache

import torch

from fpdet import _functions, _ops, _primitives
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
        return torch.amax(x, axis, keepdim=True)

    def where(self, condition, a, b):
        return torch.where(condition, a, b)

    def expand(self, x, shape):
        return x.expand(shape)

    def permute(self, x, axes):
        return x.permute(axes)

    def on_weights(self):
        machine = TorchMachine(self._tag, (self._weights_text,) * 2, self._draw, self._offset)
        return machine


@lru_cache(maxsize=256)
def _conversion(text, dtype):
    words = text.split()
    return str(dtype).removeprefix("torch."), " ".join([words[0], *(w for w in words[1:] if "=" in w and "(" not in w)])


@lru_cache(maxsize=4096)
def _attributes(text):
    return {key: tuple(v) if isinstance(v, list) else v for key, v in json.loads(text).items()}


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


def _program(name, tensors, attributes, arithmetic, draw, batch_offset):
    outputs = _forward(name, tensors, attributes, arithmetic, draw, batch_offset)
    return _fresh(outputs, tensors)


def _program_backward(name, needed, grads, tensors, outputs, attributes, arithmetic, draw, batch_offset):
    found = _backward(
        name, needed, grads, tensors, _with_result(name, outputs), attributes, arithmetic, draw, batch_offset
    )
    return _fresh([g for g, wanted in zip(found, needed, strict=True) if wanted], [*tensors, *grads, *outputs])


def _fresh(outputs, inputs):
    """The outputs as an op may return them: none is an input, and one that is kept is not returned twice."""
    known = {id(x) for x in inputs if x is not None}
    results = []
    for y in outputs:
        if any(y is other for other in results):
            continue
        results.append(y.clone() if id(y) in known else y)
    return results


def _with_result(name, outputs):
    """The outputs as the program returned them: where its working dtype is the operand's, what it keeps is its
    result itself."""
    program = PROGRAMS[name]
    return [*outputs, outputs[0]] if len(outputs) == program.results and program.keeps_result else outputs


def _setup(ctx, inputs, output):
    ctx.name, tensors, ctx.attributes, ctx.arithmetic, draw, ctx.offset = inputs
    ctx.count = len(tensors)
    ctx.save_for_backward(*tensors, draw, *output)
    ctx.set_materialize_grads(False)


def _derivative(ctx, grads):
    nothing = (None,) * 4
    saved = ctx.saved_tensors
    tensors, draw, outputs = list(saved[: ctx.count]), saved[ctx.count], list(saved[ctx.count + 1 :])
    needed = list(ctx.needs_input_grad[1])
    rest = (ctx.attributes, ctx.arithmetic, draw, ctx.offset)
    if grads[0] is None:
        return None, [None] * ctx.count, *nothing
    grads = list(grads[: PROGRAMS[ctx.name].results])
    if torch.is_grad_enabled():
        again = list(_forward(ctx.name, tensors, *rest))
        found = _backward(ctx.name, needed, grads, tensors, again, *rest)
        return None, [g if wanted else None for g, wanted in zip(found, needed, strict=True)], *nothing
    found = iter(_ops.ops.program_backward.default(ctx.name, needed, grads, tensors, outputs, *rest))
    return None, [next(found) if wanted else None for wanted in needed], *nothing


def _no_derivative(ctx, grads):
    raise NotImplementedError("fpdet: the gradient of a gradient op: expected torch.autograd with create_graph=True")


_ops._define(
    "program",
    "(str name, Tensor?[] tensors, str attributes, str arithmetic, Tensor? draw, int batch_offset) -> Tensor[]",
    _program,
    _program,
    _derivative,
    _setup,
)
_ops._definitions.define(
    "program_backward(str name, bool[] needed, Tensor?[] grads, Tensor?[] tensors, Tensor[] outputs, "
    "str attributes, str arithmetic, Tensor? draw, int batch_offset) -> Tensor[]"
)
_ops._definitions.impl("program_backward", _program_backward, "CompositeExplicitAutograd")
torch.library.register_fake("fpdet::program_backward", _program_backward, lib=_ops._definitions)


def run(name, tensors, attributes, numbers):
    """The results of a program as a list. numbers: (arithmetic, draw, batch_offset)."""
    arithmetic, draw, offset = numbers
    text = json.dumps(attributes)
    outputs = _ops.ops.program.default(name, tensors, text, as_arithmetic(arithmetic).text, draw, offset)
    return outputs[: PROGRAMS[name].results]
