"""Derivatives of the primitives: made of the same primitives under the stated tags; compile, opcheck, errors."""

import pytest
import torch
from integers import values
from test_conv import OPS, as_array, assert_same, tensor

from fpdet import _primitives, reference

A = "nearest_even sequential auto fused"
PASSES = "upward pairwise auto fused | downward sequential auto fused | toward_zero blocked(5) auto unfused"
TAG = 3
INDICES = torch.tensor([0, 3, 5, 5, 1, 2, 0])
OFFSETS = torch.tensor([1, 3, 3, 6])


def t(*shape, seed=1, dtype="float64"):
    return tensor(values(shape, seed), dtype).requires_grad_()


def positive(*shape):
    return (t(*shape, seed=9).detach().abs() + 0.5).requires_grad_()


def functions():
    """(name, function of (text, draw, tag) and operands, operands)."""
    a, b, c = t(3, 2, 2), positive(2, 1), t(3, 2, 2, seed=2)

    def bind(call, *before, after=()):
        return lambda text, draw, tag, *operands: call(*before, *operands, *after, text, draw, tag)

    for operation in ("add", "sub", "mul", "div"):
        yield operation, bind(_primitives.binary, operation), (a, b)
        yield f"{operation} number", bind(_primitives.binary, operation, after=(2.5,)), (a,)
        yield f"number {operation}", bind(_primitives.binary, operation, 2.5), (b,)
    yield "sum", bind(_primitives.sum, after=(None, [0, 2], False)), (a,)
    yield "sum, kept", bind(_primitives.sum, after=([-1], True)), (a, b)
    yield "dot", bind(_primitives.sum, after=([0], False)), (a, c)
    yield "dot, all", bind(_primitives.sum, after=([], False)), (t(2, 2), positive(2, 1))
    x, y, bias = t(2, 3, 2), t(2, 2, 2, seed=2), t(2, seed=3)
    for name, left, right in (
        ("", x, y),
        (" shared a", t(3, 2), y),
        (" shared b", x, t(2, 2)),
        (" matrices", t(3, 2), t(2, 2)),
    ):
        yield "matmul" + name, bind(_primitives.matmul), (left, right, bias)
    yield (
        "gather_sum",
        lambda text, draw, tag, m: _primitives.gather_sum(m, OFFSETS, INDICES, None, text, draw, tag),
        (t(6, 2),),
    )
    yield (
        "weighted",
        lambda text, draw, tag, m, w: _primitives.gather_sum(m, OFFSETS, INDICES, w, text, draw, tag),
        (t(6, 2), t(7, seed=4)),
    )
    yield "gather_rows", bind(_primitives.gather_rows, after=(INDICES,)), (t(6, 2),)
    yield "expand", bind(_primitives.expand, after=([3, 2, 2],)), (b,)


FUNCTIONS = {name: (function, operands) for name, function, operands in functions()}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradcheck_and_gradgradcheck(name):
    function, operands = FUNCTIONS[name]
    for text in (A, f"{A} | {A} | {A}"):
        assert torch.autograd.gradcheck(lambda *x: function(text, None, TAG, *x), operands)  # noqa: B023
    assert torch.autograd.gradgradcheck(lambda *x: function(A, None, TAG, *x), operands)


def gradients(name, text, draw, compiled=False):
    function, operands = FUNCTIONS[name]
    call = torch.compile(function, fullgraph=True, backend="aot_eager") if compiled else function
    result = call(text, draw, TAG, *operands)
    weights = (
        tensor(values(tuple(result.shape), 5), "float64") if result.dim() else torch.tensor(1.5, dtype=torch.float64)
    )
    return [result.detach(), *torch.autograd.grad(result, operands, weights)]


@pytest.mark.parametrize("name", ["number div", "dot", "matmul", "weighted"])
def test_compile_gives_the_bits_of_eager(name):
    for text, draw in ((PASSES, None), ("stochastic sequential bfloat16 bits=8", torch.tensor([3, 5]))):
        torch._dynamo.reset()
        for got, expected in zip(gradients(name, text, draw, True), gradients(name, text, draw), strict=True):
            assert torch.equal(got, expected), text


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_dispatcher_s_derivatives_are_those_of_plain_calls(name, monkeypatch):
    """Eager calls take a shorter way: the registered one gives the same bits."""
    plain = gradients(name, PASSES, None)
    monkeypatch.setattr(_primitives, "unwatched", lambda: False)
    for got, expected in zip(gradients(name, PASSES, None), plain, strict=True):
        assert torch.equal(got, expected)


ROUNDINGS_OF_PASSES = ("upward", "downward", "toward_zero")


def rules(part, tag, **more):
    word = PASSES.split(" | ")[part].split()
    fused = word[3] == "fused"
    return reference.Rules(word[0], word[1], "auto", fused, pass_tag=tag, **more)


def test_derivatives_are_the_stated_steps():
    """Each operand's gradient by the oracle, from docs/semantics.md; A, B and C differ, so that a mix-up shows."""
    a, b, g = (tensor(values(s, i, "spread"), "float32") for i, s in enumerate(((3, 4, 5), (4, 1), (3, 4, 5)), 1))
    a.requires_grad_(), b.requires_grad_()
    x, y, z = map(as_array, (a.detach(), b.detach(), g))
    quotient = reference.binary(x, y, "div", rules(0, TAG), "float32")
    got = torch.autograd.grad(_primitives.binary("div", a, b, PASSES, None, TAG), (a, b), g)
    base = 64 * TAG
    assert_same(got[0], reference.binary(z, y, "div", rules(1, base + 1), "float32"), "div, a")
    step = reference.binary(z, quotient, "mul", rules(1, base + 6), "float32")
    wide = -reference.binary(step, y, "div", rules(1, base + 2), "float32")
    assert_same(got[1], reference.sum_terms(wide, None, [0, 2], True, rules(1, base + 5), "float32")[0], "div, b")

    m, n, bias, h = (
        tensor(values(s, i, "spread"), "float32") for i, s in enumerate(((3, 4, 6), (6, 2), (2,), (3, 4, 2)), 1)
    )
    for operand in (m, n, bias):
        operand.requires_grad_()
    got = torch.autograd.grad(_primitives.matmul(m, n, bias, PASSES, None, TAG), (m, n, bias), h)
    p, q, r = as_array(m.detach()), as_array(n.detach()), as_array(h)
    assert_same(got[0], reference.matmul(r, q.T, None, rules(1, base + 1), "float32"), "matmul, a")
    expected = reference.matmul(p.reshape(-1, 6).T, r.reshape(-1, 2), None, rules(2, base + 2), "float32")
    assert_same(got[1], expected, "matmul, b")
    expected = reference.sum_terms(r, None, [0, 1], True, rules(2, base + 3), "float32").reshape(-1)
    assert_same(got[2], expected, "matmul, bias")


def test_an_embedding_s_gradient_sums_in_the_sequence_of_sources():
    table = t(6, 3, dtype="float32")
    grad = tensor(values((7, 3), 4), "float32")
    (got,) = torch.autograd.grad(_primitives.gather_rows(table, INDICES, PASSES, None, TAG), table, grad)
    offsets, sources = [0, 2, 3, 4, 5, 5, 7], [0, 6, 4, 5, 1, 2, 3]
    expected = reference.gather_sum(as_array(grad), offsets, sources, None, rules(1, 64 * TAG + 1), "float32")
    assert_same(got, expected, "embedding")


def test_stochastic_bits_of_a_derivative_are_those_of_its_tag():
    text, draw = "stochastic sequential bfloat16 fused bits=8", torch.tensor([3, 5])
    a, b, g = t(4, 5, dtype="float32"), t(4, 5, seed=2, dtype="float32"), tensor(values((4, 5), 3), "float32")
    got = torch.autograd.grad(_primitives.binary("mul", a, b, text, draw, TAG, 7), (a, b), g)
    for gradient, factor, tag in ((got[0], b, 1), (got[1], a, 2)):
        assert torch.equal(gradient, OPS.binary(g, factor.detach(), "mul", text, draw, 64 * TAG + tag, 7))
        assert not torch.equal(gradient, OPS.binary(g, factor.detach(), "mul", text, draw, TAG, 7)), "control"


def cases():
    draw = torch.tensor([3, 5])
    for text in (A, PASSES, "stochastic sequential"):
        yield "binary", (t(2, 3), t(3), "div", text, draw, 0, 0)
        yield "binary_scalar", (t(2, 3), 2.5, True, "div", text, draw, 0, 0)
        yield "sum", (t(2, 3), None, [0], False, text, draw, 0, 0)
        yield "sum", (t(2, 3), t(3), [1], True, text, draw, 0, 0)
        yield "matmul", (t(2, 3, 4), t(4, 5), t(5), text, draw, 0, 0)
        yield "gather_sum", (t(6, 2), OFFSETS, INDICES, t(7), text, draw, 0, 0)
        yield "gather_rows", (t(6, 2), INDICES, text, draw, 0)
        yield "expand", (t(2, 1), [3, 2, 4], text, draw, 0)


CASES = list(cases())


@pytest.mark.parametrize("index", range(len(CASES)), ids=lambda i: f"{i}-{CASES[i][0]}")
def test_opcheck(index):
    name, arguments = CASES[index]
    torch.library.opcheck(getattr(OPS, name).default, arguments, atol=0, rtol=0)


x, w = torch.ones(2, 3), torch.ones(3, 4)
END = (A, None, 0, 0)
WRONG = [
    ("binary", (x, w, "add", *END), r"b: expected a shape that can be broadcast with a's \[2, 3\], got \[3, 4\]"),
    ("binary", (x, x.double(), "add", *END), "b: expected dtype Float as a has, got Double"),
    ("binary", (x, x, "pow", *END), "operation: expected add, sub, mul or div, got 'pow'"),
    ("binary", (x.long(), x.long(), "add", *END), "a: expected dtype float64, float32, bfloat16 or float16, got Long"),
    ("binary", (x, x, "add", "nearest_even blocked", None, 0, 0), "order: expected"),
    (
        "binary",
        (x, x, "add", f"{A} | {A}", None, 0, 0),
        "expected one, or those of forward, grad_input and grad_weight",
    ),
    ("binary", (x, x, "add", f"{A} | {A} | wrong", None, 0, 0), "arithmetic: expected .* got 'wrong'"),
    ("binary", (x, x, "add", A, torch.zeros(3), 0, 0), "draw: expected an int64 tensor of 2 elements"),
    ("sum", (x, None, [2], False, *END), r"dims: expected numbers in \[-2, 1\], got 2"),
    ("sum", (x, None, [0, -2], False, *END), "dims: expected each dimension once"),
    ("sum", (x, w, [0], False, *END), "b: expected a shape that can be broadcast"),
    ("matmul", (x, x, None, *END), r"b: expected 3 lines as a has columns, got shape \[2, 3\]"),
    ("matmul", (x[0], w, None, *END), r"a: expected a matrix or a batch of them, got shape \[3\]"),
    ("matmul", (x.expand(2, 2, 3), w.expand(3, 3, 4), None, *END), "b: expected a matrix or the batch of a"),
    ("matmul", (x, w, torch.ones(3), *END), r"bias: expected shape \[4\], got \[3\]"),
    (
        "gather_sum",
        (x, torch.tensor([0, 2]), torch.tensor([0, 2]), None, *END),
        r"indices: expected numbers in \[0, 2\), got 2 at 1",
    ),
    (
        "gather_sum",
        (x, torch.tensor([0, 3]), torch.tensor([0, 1]), None, *END),
        "offsets: expected numbers from 0 to 2",
    ),
    (
        "gather_sum",
        (x, torch.tensor([0, 2, 1]), torch.tensor([0, 1]), None, *END),
        "offsets: expected no number below the one before, got 1 after 2 at 2",
    ),
    (
        "gather_sum",
        (x, torch.tensor([0.0, 2]), torch.tensor([0, 1]), None, *END),
        "offsets: expected an int64 tensor of one dimension",
    ),
    (
        "gather_sum",
        (x, torch.tensor([0, 2]), torch.tensor([0, 1]), torch.ones(3), *END),
        r"weights: expected shape \[2\]",
    ),
    ("gather_sum", (x[0], torch.tensor([0, 2]), torch.tensor([0, 1]), None, *END), "x: expected a matrix"),
]


@pytest.mark.parametrize(("name", "arguments", "message"), WRONG)
def test_errors_name_the_argument(name, arguments, message):
    with pytest.raises(RuntimeError, match=message):
        getattr(OPS, name)(*arguments)
