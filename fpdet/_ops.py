"""The torch ops of fpdet: fake kernels, derivatives, and the pass each call belongs to.

A convolution is one trilinear form in three slots (input, weight, output); each pass contracts two
of them into the third. So one formula serves every pass and every order of derivative:

    pass into slot s of (a, b)            convolution, convolution_grad_input, convolution_grad_weight
    its derivative                        convolution_backward: a pass into a, a pass into b, the bias
    derivative of that                    passes again; what meets in the gradient of the gradient is
                                          add(add(pass(da, b), pass(a, db)), dbias), in that order

Tags key the random bits: the derivative of an op tagged t draws with 64*t + {1 grad_input,
2 grad_weight, 3 grad_bias}, double backward with 16 more. A text "A | B | C" in place of one
arithmetic holds those of forward, grad_input and grad_weight; the tag says which one an op uses.
"""

from typing import NamedTuple

import torch

from fpdet import _library, _partials  # noqa: F401  (registers the C++ ops)
from fpdet._check import unwatched
from fpdet._interrupt import call, typed

ops = torch.ops.fpdet
# What calling an OpOverload calls: its frame is a part of a small call that counts.
_plain_forward, _plain_gradients = ops.convolution_forward.default._op, ops.convolution_gradients.default._op
_definitions = torch.library.Library("fpdet", "FRAGMENT")

FORWARD, GRAD_INPUT, GRAD_WEIGHT, GRAD_BIAS, ADD = 0, 1, 2, 3, 4
SECOND_FORWARD, SECOND_ADD = 7, 8  # double backward: the second contribution, the second addition
DOUBLE_BACKWARD = 16
SEPARATOR = " | "

_PART = {GRAD_INPUT: 1, GRAD_WEIGHT: 2, GRAD_BIAS: 2}
_NAMES = {
    "output": "convolution",
    "input": "convolution_grad_input",
    "weight": "convolution_grad_weight",
}
_OPERANDS = {
    "output": ("input", "weight"),
    "input": ("output", "weight"),
    "weight": ("output", "input"),
}


class Geometry(NamedTuple):
    """Of a convolution's forward: the attributes as the ops of the passes have them (stride, padding, dilation, groups,
    output size), and one after the other, as the ops of plain calls have them."""

    attributes: tuple
    flat: tuple

    @classmethod
    def of(cls, stride, padding, dilation, groups, size):
        return cls((stride, padding, dilation, groups, size), (*stride, *padding, *dilation, groups, *size))


def arithmetic_of_pass(arithmetic, tag):
    """The one arithmetic that a pass uses out of "A | B | C"."""
    if SEPARATOR not in arithmetic:
        return arithmetic
    return arithmetic.split(SEPARATOR)[_PART.get(tag % 16, 0)]


def grad_weight_arithmetic(arithmetic):
    """The arithmetic of grad_weight and grad_bias."""
    return arithmetic_of_pass(arithmetic, GRAD_WEIGHT)


# Fake kernels: shape, dtype, layout.


def _memory_format(*tensors):
    dense = {4: torch.channels_last, 5: torch.channels_last_3d}.get(tensors[0].dim())
    for tensor in tensors:
        if dense and tensor.is_contiguous(memory_format=dense) and not tensor.is_contiguous():
            return dense
    return torch.contiguous_format


def _empty(size, *like):
    first = like[0]
    layout = _memory_format(*like)
    return torch.empty(size, dtype=first.dtype, device=first.device, memory_format=layout)


def _fake_convolution(
    input, weight, bias, stride, padding, dilation, groups, output_size, arithmetic, draw, pass_tag, batch_offset
):
    return _empty((input.shape[0], weight.shape[0], *output_size), input, weight)


def _fake_grad_input(
    grad_output, weight, bias, stride, padding, dilation, groups, input_size, arithmetic, draw, pass_tag, batch_offset
):
    channels = weight.shape[1] * groups
    return _empty((grad_output.shape[0], channels, *input_size), grad_output, weight)


def _fake_grad_weight(grad_output, input, stride, padding, dilation, groups, kernel_size, arithmetic, draw, pass_tag):
    size = (grad_output.shape[1], input.shape[1] // groups, *kernel_size)
    return _empty(size, grad_output, input)


def _fake_channel_sum(grad_output, arithmetic, draw, pass_tag):
    return grad_output.new_empty(grad_output.shape[1])


def _fake_add(a, b, arithmetic, draw, pass_tag):
    return torch.empty_like(a)


def _fake_unary(x, function, arithmetic, draw, pass_tag, batch_offset):
    return torch.empty_like(x)


def _fake_round(x, format, rounding, draw, batch_offset):
    return torch.empty_like(x)


# Passes.


def _op(slot, arithmetic):
    name = _NAMES[slot]
    return getattr(ops, name + "_by_pass" if SEPARATOR in arithmetic else name).default


def _contract(slot, tensors, sizes, geometry, arithmetic, draw, tag, batch_offset):
    """The pass into `slot`; `tensors` holds the other two slots, `sizes` the spatial size of each."""
    first, second = (tensors[name] for name in _OPERANDS[slot])
    op = _op(slot, arithmetic)
    if slot == "weight":
        return call(op, first, second, *geometry, sizes[slot], arithmetic, draw, tag)
    return call(op, first, second, None, *geometry, sizes[slot], arithmetic, draw, tag, batch_offset)


def _slots(slot, grad, first, second):
    one, two = _OPERANDS[slot]
    tensors = {slot: grad, one: first, two: second}
    return tensors, {name: list(tensor.shape[2:]) for name, tensor in tensors.items()}


def _derivative_tag(result, slot):
    if result == "weight":
        return GRAD_WEIGHT
    return FORWARD if (slot, result) == ("weight", "output") else GRAD_INPUT


def _gradients(slot, grad, first, second, mask, geometry, arithmetic, draw, base_tag, batch_offset):
    """Of the two operands of a pass into `slot` and of the bias; None where the mask is False."""
    tensors, sizes = _slots(slot, grad, first, second)
    results = [None, None, None]
    for i, result in enumerate(_OPERANDS[slot]):
        if mask[i]:
            tag = base_tag + _derivative_tag(result, slot)
            results[i] = _contract(result, tensors, sizes, geometry, arithmetic, draw, tag, batch_offset)
    if mask[2]:
        text = grad_weight_arithmetic(arithmetic)
        results[2] = call(ops.channel_sum.default, grad, text, draw, base_tag + GRAD_BIAS)
    return results


def _gradients_at_once(slot, grad, first, second, mask, geometry, arithmetic, draw, base_tag, batch_offset):
    """What `_gradients` gives, by one op that has no derivative and that nothing above autograd sees."""
    one = SEPARATOR not in arithmetic
    tags = base_tag + GRAD_INPUT, base_tag + GRAD_WEIGHT, base_tag + GRAD_BIAS
    try:
        found = _plain_gradients(
            grad,
            first,
            second,
            (slot == "input", *mask, *tags, batch_offset, *geometry.flat),
            arithmetic if one else arithmetic_of_pass(arithmetic, GRAD_INPUT),
            arithmetic if one else arithmetic_of_pass(arithmetic, GRAD_WEIGHT),
            draw,
        )
    except RuntimeError as error:
        raise typed(error) from None
    if len(found) == 3:
        return found
    found.reverse()
    return [found.pop() if wanted else None for wanted in mask]


def _backward(
    grad, first, second, slot, stride, padding, dilation, groups, output_mask, arithmetic, draw, base_tag, batch_offset
):
    geometry = (stride, padding, dilation, groups)
    results = _gradients(slot, grad, first, second, output_mask, geometry, arithmetic, draw, base_tag, batch_offset)
    return tuple(grad.new_empty(0) if result is None else result for result in results)


def _fake_plain_forward(input, weight, bias, numbers, *_):
    transposed, _tag, _offset, *geometry = numbers
    spatial = input.dim() - 2
    channels = weight.shape[1] * geometry[3 * spatial] if transposed else weight.shape[0]
    return _empty((input.shape[0], channels, *geometry[3 * spatial + 1 :]), input, weight)


def _fake_plain_gradients(grad, input, weight, numbers, *_):
    wanted = numbers[1:4]
    results = _fake_backward(grad, input, weight, None, None, None, None, None, wanted)
    return [result for result, needed in zip(results, wanted, strict=True) if needed]


def _fake_backward(grad, first, second, slot, stride, padding, dilation, groups, output_mask, *_):
    pairs = ((grad, second), (grad, first))
    results = [
        _empty(tensor.shape, *pair) if wanted else grad.new_empty(0)
        for wanted, tensor, pair in zip(output_mask, (first, second), pairs, strict=False)
    ]
    bias = grad.new_empty(grad.shape[1] if output_mask[2] else 0)
    return (*results, bias)


# Derivatives.


def _setup_pass(ctx, inputs, output):
    """Of a pass: (first, second, [bias,] stride, padding, dilation, groups, size, arithmetic, draw, tag[, offset])."""
    first, second, *rest = inputs
    has_bias = isinstance(rest[0], torch.Tensor) or rest[0] is None
    if has_bias:
        rest = rest[1:]
    *attributes, arithmetic, draw, tag = rest[:8]
    offset = rest[8] if has_bias else 0
    _keep(ctx, first, second, has_bias, Geometry.of(*attributes), arithmetic, draw, tag, offset)


def _keep(ctx, first, second, has_bias, geometry, arithmetic, draw, tag, batch_offset):
    ctx.kept = (has_bias, geometry, arithmetic, 64 * tag, batch_offset)
    ctx.save_for_backward(first, second, draw)
    ctx.set_materialize_grads(False)


def _derivative(ctx, slot, grad):
    """The gradients of first, second and bias, from what `_keep` left."""
    if grad is None:
        return [None, None, None]
    if slot == "weight":
        return _unsettled(ctx, slot, grad, False)
    if _partials.watching():
        return _partials.gradients(ctx, ctx.needs_input_grad, lambda: _unsettled(ctx, slot, grad, False), {1, 2})
    return _unsettled(ctx, slot, grad, unwatched() and grad.is_cpu)


def _unsettled(ctx, slot, grad, plain):
    first, second, draw = ctx.saved_tensors
    needed = ctx.needs_input_grad
    has_bias, geometry, arithmetic, base_tag, batch_offset = ctx.kept
    mask = [needed[0], needed[1], has_bias and needed[2]]
    if plain and not torch.is_grad_enabled():
        return _gradients_at_once(slot, grad, first, second, mask, geometry, arithmetic, draw, base_tag, batch_offset)
    attributes, rest = geometry.attributes[:4], (arithmetic, draw, base_tag, batch_offset)
    if torch.is_grad_enabled():
        results = ops.convolution_backward.default(grad, first, second, slot, *attributes, mask, *rest)
        return [result if wanted else None for result, wanted in zip(results, mask, strict=True)]
    return _gradients(slot, grad, first, second, mask, attributes, *rest)


def _pass_derivative(slot):
    def backward(ctx, grad):
        gradients = _derivative(ctx, slot, grad)
        return (*gradients, *(None,) * 9) if ctx.kept[0] else (*gradients[:2], *(None,) * 8)

    return backward


class Pass(torch.autograd.Function):
    """What the ops' registered derivatives do, without the dispatcher's way to them: for plain eager calls."""

    @staticmethod
    def forward(ctx, first, second, bias, slot, geometry, numbers):
        ctx.slot = slot
        _keep(ctx, first, second, True, geometry, *numbers)
        return _kernel(slot, first, second, bias, geometry, *numbers)

    @staticmethod
    def backward(ctx, grad):
        first, second, bias = _derivative(ctx, ctx.slot, grad)
        return first, second, bias, None, None, None


def _kernel(slot, first, second, bias, geometry, arithmetic, draw, tag, batch_offset):
    """A pass that neither autograd nor anything above it sees: no operand needs a gradient, or none is recorded."""
    text = arithmetic_of_pass(arithmetic, tag)
    if torch._C._len_torch_dispatch_stack():  # modes are shown the op that compiled code has
        with torch._C._AutoDispatchBelowAutograd():
            return call(_op(slot, text), first, second, bias, *geometry.attributes, text, draw, tag, batch_offset)
    try:
        numbers = (slot == "input", tag, batch_offset, *geometry.flat)
        return _plain_forward(first, second, bias, numbers, text, draw)
    except RuntimeError as error:
        raise typed(error) from None


def forward_pass(slot, first, second, bias, geometry, *numbers, plain):
    """The op of a pass into "output" or "input".

    Args:
        geometry: a `Geometry`.
        numbers: arithmetic, draw, tag and batch offset, as the ops have them.
        plain: as of `_check.plain`.
    """
    if not plain:
        return call(_op(slot, numbers[0]), first, second, bias, *geometry.attributes, *numbers)
    if torch.is_grad_enabled() and (
        first.requires_grad or second.requires_grad or (bias is not None and bias.requires_grad)
    ):
        return Pass.apply(first, second, bias, slot, geometry, numbers)
    return _kernel(slot, first, second, bias, geometry, *numbers)


def _setup_backward(ctx, inputs, output):
    grad, first, second, ctx.slot, *geometry, ctx.mask, ctx.arithmetic, draw, tag, offset = inputs
    ctx.geometry, ctx.tag, ctx.batch_offset = tuple(geometry), tag + DOUBLE_BACKWARD, offset
    ctx.save_for_backward(grad, first, second, draw)
    ctx.set_materialize_grads(False)


def _double_backward(ctx, *cotangents):
    grad, first, second, draw = ctx.saved_tensors
    slot, (one, two) = ctx.slot, _OPERANDS[ctx.slot]
    u, v, bias = (c if wanted else None for c, wanted in zip(cotangents, ctx.mask, strict=True))
    text, tag = ctx.arithmetic, ctx.tag
    _, sizes = _slots(slot, grad, first, second)

    def contract(result, tensors, kind):
        return _contract(result, tensors, sizes, ctx.geometry, text, draw, tag + kind, ctx.batch_offset)

    grad_grad = grad_first = grad_second = None
    if ctx.needs_input_grad[0]:
        parts = []
        if u is not None:
            parts.append(contract(slot, {one: u, two: second}, FORWARD))
        if v is not None:
            parts.append(contract(slot, {one: first, two: v}, SECOND_FORWARD))
        if bias is not None:
            parts.append(ops.channel_expand.default(bias, list(grad.shape), text, draw, tag))
        adds = iter((ADD, SECOND_ADD))
        for part in parts:
            if grad_grad is None:
                grad_grad = part
            else:
                forward = arithmetic_of_pass(text, FORWARD)
                grad_grad = ops.add.default(grad_grad, part, forward, draw, tag + next(adds))
    if ctx.needs_input_grad[1] and v is not None:
        grad_first = contract(one, {slot: grad, two: v}, GRAD_INPUT)
    if ctx.needs_input_grad[2] and u is not None:
        grad_second = contract(two, {slot: grad, one: u}, GRAD_WEIGHT)
    return (grad_grad, grad_first, grad_second, *(None,) * 10)


def _setup_channel_sum(ctx, inputs, output):
    grad_output, ctx.arithmetic, draw, ctx.tag = inputs
    ctx.size = list(grad_output.shape)
    ctx.save_for_backward(draw)


def _channel_sum_backward(ctx, grad):
    (draw,) = ctx.saved_tensors
    wide = ops.channel_expand.default(grad, ctx.size, ctx.arithmetic, draw, 64 * ctx.tag)
    return wide, None, None, None


def _channel_expand(values, size, arithmetic, draw, pass_tag):
    shape = (1, values.shape[0], *(1 for _ in size[2:]))
    return values.view(shape).expand(size).contiguous()


def _fake_channel_expand(values, size, arithmetic, draw, pass_tag):
    return values.new_empty(size)


def _setup_channel_expand(ctx, inputs, output):
    _, _, ctx.arithmetic, draw, ctx.tag = inputs
    ctx.save_for_backward(draw)


def _channel_expand_backward(ctx, grad):
    (draw,) = ctx.saved_tensors
    text = grad_weight_arithmetic(ctx.arithmetic)
    total = ops.channel_sum.default(grad, text, draw, 64 * ctx.tag + GRAD_BIAS)
    return total, None, None, None, None


def _no_context(ctx, inputs, output):
    pass


# Registration.


def _define(name, schema, kernel, fake, backward=None, setup=None):
    _definitions.define(name + schema)
    _definitions.impl(name, kernel, "CompositeExplicitAutograd")
    _describe(name, fake, backward, setup)


def _describe(name, fake, backward=None, setup=None):
    torch.library.register_fake(f"fpdet::{name}", fake, lib=_definitions)
    if backward is not None:
        torch.library.register_autograd(f"fpdet::{name}", backward, setup_context=setup, lib=_definitions)


def _by_pass(name):
    """A twin of a C++ op whose text may be "A | B | C"."""
    schema = getattr(ops, name).default._schema
    places = {argument.name: i for i, argument in enumerate(schema.arguments)}
    text, tag = places["arithmetic"], places["pass_tag"]
    op = getattr(ops, name).default

    def kernel(*args):
        args = list(args)
        args[text] = arithmetic_of_pass(args[text], args[tag])
        return op(*args)

    return str(schema).partition(name)[2], kernel


def _register():
    passes = (("output", _fake_convolution), ("input", _fake_grad_input), ("weight", _fake_grad_weight))
    for slot, fake in passes:
        name = _NAMES[slot]
        derivative = _pass_derivative(slot)
        _describe(name, fake, derivative, _setup_pass)
        schema, kernel = _by_pass(name)
        _define(name + "_by_pass", schema, kernel, fake, derivative, _setup_pass)
    _define(
        "convolution_backward",
        "(Tensor grad, Tensor first, Tensor second, str slot, int[] stride, int[] padding, int[] dilation, "
        "int groups, bool[] output_mask, str arithmetic, Tensor? draw, int base_tag, int batch_offset)"
        " -> (Tensor, Tensor, Tensor)",
        _backward,
        _fake_backward,
        _double_backward,
        _setup_backward,
    )
    _define(
        "channel_expand",
        "(Tensor values, SymInt[] size, str arithmetic, Tensor? draw, int pass_tag) -> Tensor",
        _channel_expand,
        _fake_channel_expand,
        _channel_expand_backward,
        _setup_channel_expand,
    )
    _describe("convolution_forward", _fake_plain_forward)
    _describe("convolution_gradients", _fake_plain_gradients)
    _describe("channel_sum", _fake_channel_sum, _channel_sum_backward, _setup_channel_sum)
    _describe("add", _fake_add, lambda ctx, grad: (grad, grad, None, None, None), _no_context)
    _describe("round", _fake_round, lambda ctx, grad: (grad, None, None, None, None), _no_context)
    _describe("unary", _fake_unary)
    _describe("round_out", lambda *arguments: None)


_register()
