"""Derivatives: gradcheck and gradgradcheck, double backward's bits, and that forward-mode AD raises."""

import pytest
import torch

import fpdet
import fpdet.nn.functional as F
from fpdet import _padding

NAMES = [f"conv{d}d" for d in (1, 2, 3)] + [f"conv_transpose{d}d" for d in (1, 2, 3)]
ops = torch.ops.fpdet
PASSES = "nearest_even sequential | upward reverse | downward pairwise"


def t(*shape, dtype=torch.float64):
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()


def operands(name, dtype=torch.float64):
    spatial = (3, 2, 2)[: int(name[-2])]
    kernel = (2, 2, 1)[: int(name[-2])]
    return t(2, 2, *spatial, dtype=dtype), t(2, 1, *kernel, dtype=dtype), t(2, dtype=dtype)


@pytest.mark.parametrize("arithmetic", [None, PASSES])
@pytest.mark.parametrize("name", NAMES)
def test_gradcheck_and_gradgradcheck(name, arithmetic):
    def function(x, w, b):
        return getattr(F, name)(x, w, b, stride=2, padding=1, groups=2, arithmetic=arithmetic)

    assert torch.autograd.gradcheck(function, operands(name))
    assert torch.autograd.gradgradcheck(function, operands(name))


@pytest.mark.parametrize("mode", _padding.MODES)
def test_padding_gradcheck(mode):
    def function(x):
        return _padding.padded(x, [1, 2, 2, 1], mode, fpdet.Arithmetic())

    assert torch.autograd.gradcheck(function, t(1, 2, 4, 3))
    assert torch.autograd.gradgradcheck(function, t(1, 2, 4, 3))


def test_padding_adds_copies_in_row_major_order():
    x = torch.zeros(1, 1, 1, dtype=torch.float32, requires_grad=True)
    y = _padding.padded(x, [2, 2], "replicate", fpdet.Arithmetic())
    big = 2.0**24
    grads = [
        torch.autograd.grad(y, x, torch.tensor([[values]]), retain_graph=True)[0].item()
        for values in ([big, 1.0, -big, 1.0, 0.0], [1.0, 1.0, big, -big, 0.0], [-0.0, -0.0, -0.0, -0.0, -0.0])
    ]
    assert grads[:2] == [1.0, 2.0] and str(grads[2]) == "-0.0"


def same(a, b):
    assert fpdet.digest(a) == fpdet.digest(b)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("text", ["upward sequential", "stochastic pairwise seed=5"])
def test_double_backward_is_built_of_the_passes(text, transposed):
    """grad_output's gradient is add(add(pass(ggx, w), pass(x, ggw)), ggb), every tag as documented."""
    geometry = ([1, 1], [1, 1], [1, 1], 1)
    x, w, b = t(2, 3, 5, 4, dtype=torch.float32), t(3, 3, 3, 3, dtype=torch.float32), t(3, dtype=torch.float32)
    draw = torch.tensor([5, 0])
    stream = draw.clone()
    function = F.conv_transpose2d if transposed else F.conv2d
    y = function(x, w, b, padding=1, arithmetic=text, stream=stream)
    g = t(*y.shape, dtype=torch.float32)
    gx, gw, gb = torch.autograd.grad(y, (x, w, b), g, create_graph=True)
    ggx, ggw, ggb = (t(*v.shape, dtype=torch.float32).detach() for v in (x, w, b))
    got = torch.autograd.grad([gx, gw, gb], (g, x, w), [ggx, ggw, ggb])

    text = str(fpdet.Arithmetic.parse(text))
    draw = draw if "stochastic" in text else None
    forward, backward = ops.convolution, ops.convolution_grad_input
    if transposed:
        forward, backward = backward, forward
    x, w, g, size = x.detach(), w.detach(), g.detach(), [5, 4]

    def run(op, a, b, tag):
        return op(a, b, None, *geometry, size, text, draw, tag, 0)

    def weight_pass(a, b, tag):
        pair = (b, a) if transposed else (a, b)
        return ops.convolution_grad_weight(*pair, *geometry, [3, 3], text, draw, tag)

    same(gx, run(backward, g, w, 1))
    same(gw, weight_pass(g, x, 2))
    same(gb, ops.channel_sum(g, text, draw, 3))
    first = ops.add(run(forward, ggx, w, 16), run(forward, x, ggw, 23), text, draw, 20)
    wide = ggb.view(1, -1, 1, 1).expand_as(first).contiguous()
    same(got[0], ops.add(first, wide, text, draw, 24))
    same(got[1], run(backward, g, ggw, 17))
    same(got[2], weight_pass(g, ggx, 18))


def test_passes_have_their_own_arithmetic():
    x, w, b = (v.to(torch.float32).detach().requires_grad_() for v in (t(2, 8, 9, 9), t(8, 8, 3, 3), t(8)))
    g = torch.randn(2, 8, 7, 7)
    results = {}
    for text in ("nearest_even sequential", "upward reverse", "downward pairwise", PASSES):
        y = F.conv2d(x, w, b, arithmetic=text)
        results[text] = [fpdet.digest(v) for v in (y, *torch.autograd.grad(y, (x, w, b), g))]
    forward, grad_input, grad_weight, mixed = results.values()
    assert mixed == [forward[0], grad_input[1], *grad_weight[2:]]
    assert len({forward[1], grad_input[1], grad_weight[1]}) == 3


def test_third_derivative():
    x, w = t(1, 1, 4), t(1, 1, 2)
    y = F.conv1d(x, w).pow(3).sum()
    (first,) = torch.autograd.grad(y, x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x, create_graph=True)
    (third,) = torch.autograd.grad(second.sum(), x)
    want = torch.nn.functional.conv1d(x, w).pow(3).sum()
    for _ in range(3):
        (want,) = torch.autograd.grad(want.sum(), x, create_graph=True)
    assert torch.allclose(third, want, rtol=1e-12)


def test_checkpoint_draws_the_same():
    x, w = t(2, 3, 6, dtype=torch.float32), t(4, 3, 3, dtype=torch.float32)

    def grads(checkpointed):
        def function(x, w):
            return F.conv1d(x, w, arithmetic="stochastic sequential seed=3").relu()

        if checkpointed:
            y = torch.utils.checkpoint.checkpoint(function, x, w, use_reentrant=False)
        else:
            y = function(x, w)
        return torch.autograd.grad(y.square().sum(), (x, w))

    same(grads(True), grads(False))


def test_round_passes_gradients_straight_through():
    x = t(5)
    y = fpdet.round(x, "float8_e5m2", "stochastic", seed=3)
    g = torch.randn(5, dtype=torch.float64)
    assert torch.equal(torch.autograd.grad(y, x, g)[0], g)


@pytest.mark.parametrize("name", NAMES)
def test_forward_mode_raises(name):
    x, w, b = (v.detach() for v in operands(name))
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, torch.ones_like(x))
        with pytest.raises(NotImplementedError, match="input: forward-mode AD"):
            getattr(F, name)(dual, w, b, groups=2)
