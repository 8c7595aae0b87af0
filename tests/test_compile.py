"""Registration: opcheck of every op, torch.compile(fullgraph=True) with equal bits, export."""

import pytest
import torch

import fpdet
import fpdet.nn.functional as F
from fpdet import _ops, _padding, _stream  # noqa: F401  (defines the ops)

ops = torch.ops.fpdet
A = "nearest_even sequential auto fused"
PASSES = f"{A} | upward sequential auto fused | downward exact"
GEOMETRY = ([1, 1], [1, 1], [1, 1], 1)


def t(*shape, grad=True):
    return torch.randn(shape, dtype=torch.float64, requires_grad=grad)


def cases():
    x, w, b, y = t(2, 3, 5, 4), t(4, 3, 3, 3), t(4), t(2, 4, 5, 4)
    draw = torch.tensor([3, 5])
    for text, suffix in ((A, ""), ("stochastic sequential", ""), (PASSES, "_by_pass")):
        yield "convolution" + suffix, (x, w, b, *GEOMETRY, [5, 4], text, draw, 0, 0)
        yield "convolution_grad_input" + suffix, (y, w, t(3), *GEOMETRY, [5, 4], text, None, 0, 0)
        yield "convolution_grad_weight" + suffix, (y, x, *GEOMETRY, [3, 3], text, None, 2)
        for slot, operands in (("output", (y, x, w)), ("input", (x, y, w)), ("weight", (w, y, x))):
            mask = [True, True, slot != "weight"]
            yield "convolution_backward", (*operands, slot, *GEOMETRY, mask, text, draw, 0, 0)
    numbers = (1, 1, 1, 1, 1, 1, 1, 5, 4)
    for transposed, first, second, bias in ((0, x, w, b), (1, y, w, t(3))):
        plain = [tensor.detach() for tensor in (first, second, bias)]
        yield "convolution_forward", (*plain, [transposed, 0, 0, *numbers], A, draw)
        grad = (x if transposed else y).detach()
        for wanted in ((1, 1, 1), (0, 1, 0)):
            yield "convolution_gradients", (grad, *plain[:2], [transposed, *wanted, 1, 2, 3, 0, *numbers], A, A, draw)
    yield "channel_sum", (y, A, None, 3)
    yield "channel_expand", (b, [2, 4, 5, 4], A, None, 3)
    yield "add", (x, t(2, 3, 5, 4), A, None, 4)
    yield "round", (x, "bfloat16", "stochastic bits=8", draw, 0)
    yield "pad", (x, [1, 2, 1, 1], "reflect", A, None)
    yield "pad_backward", (t(2, 3, 7, 7), [2, 3, 5, 4], [1, 2, 1, 1], "reflect", A, None)
    yield "stream_advance", (torch.tensor([1, 2]),)
    yield (
        "sgd_",
        (
            [t(3, grad=False)],
            [t(3, grad=False)],
            [t(3, grad=False)],
            False,
            0.1,
            0.9,
            0.0,
            0.0,
            False,
            False,
            1.0,
            A,
            None,
        ),
    )


CASES = list(cases())


@pytest.mark.parametrize("index", range(len(CASES)), ids=lambda i: f"{i}-{CASES[i][0]}")
def test_opcheck(index):
    name, arguments = CASES[index]
    tests = ["test_schema", "test_faketensor", "test_aot_dispatch_dynamic"]
    if name not in ("stream_advance", "sgd_"):
        tests.append("test_autograd_registration")
    torch.library.opcheck(getattr(ops, name).default, arguments, test_utils=tests, atol=0, rtol=0)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_fake_layout_is_the_real_one(layout):
    x, w = t(2, 3, 5, 4, grad=False).contiguous(memory_format=layout), t(4, 3, 3, 3, grad=False)
    torch.library.opcheck(ops.convolution.default, (x, w, None, *GEOMETRY, [5, 4], A, None, 0, 0), atol=0, rtol=0)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last, torch.channels_last_3d])
@pytest.mark.parametrize("size", [(2, 3, 4, 5), (1, 3, 1, 1), (0, 2, 3, 3), (2, 1, 4, 1), (3, 4, 2, 3)])
def test_results_lie_as_torch_lays_them(layout, size):
    x = torch.randn(*size[:2], *((2,) if layout is torch.channels_last_3d else ()), *size[2:]).to(memory_format=layout)
    kernel = (1,) * (x.dim() - 2)
    call = F.conv3d if x.dim() == 5 else F.conv2d
    y = call(x, torch.randn(4, size[1], *kernel))
    expected = torch.empty(y.shape, memory_format=torch.contiguous_format if x.is_contiguous() else layout)
    assert y.stride() == expected.stride()


def bits(values):
    return fpdet.digest([value.detach() for value in values])


@pytest.mark.parametrize(
    "arithmetic",
    [None, "upward pairwise", PASSES, "stochastic sequential seed=3", "nearest_even shuffled(3,vary=call)"],
)
def test_compiled_bits_are_eager_bits(arithmetic):
    def make():
        torch.manual_seed(0)
        conv = fpdet.nn.Conv2d(2, 3, 3, padding=1, arithmetic=arithmetic)
        reflect = fpdet.nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect", arithmetic=arithmetic)
        return torch.nn.Sequential(
            conv, torch.nn.ReLU(), reflect, fpdet.nn.ConvTranspose2d(3, 2, 3, arithmetic=arithmetic)
        )

    x = torch.randn(2, 2, 6, 6)
    eager, source = make(), make()
    compiled = torch.compile(source, fullgraph=True, backend="aot_eager")
    for _ in range(2):  # the second call: the stream went on
        want = eager(x)
        got = compiled(x)
        assert bits([got]) == bits([want])
        a = torch.autograd.grad(want.sum(), list(eager.parameters()))
        b = torch.autograd.grad(got.sum(), list(source.parameters()))
        assert bits(a) == bits(b)
    assert fpdet.digest(eager) == fpdet.digest(source)


def test_compiled_functional():
    x, w = torch.randn(2, 3, 6), torch.randn(4, 3, 3)

    @torch.compile(fullgraph=True, backend="aot_eager")
    def compiled(x, w):
        y = F.conv1d(x, w, arithmetic="upward exact")
        return fpdet.round(y, "bfloat16", "toward_zero")

    want = fpdet.round(F.conv1d(x, w, arithmetic="upward exact"), "bfloat16", "toward_zero")
    assert bits([compiled(x, w)]) == bits([want])


def test_export():
    model = fpdet.nn.Conv2d(2, 3, 3, arithmetic="upward pairwise")
    x = torch.randn(1, 2, 6, 6)
    exported = torch.export.export(model, (x,))
    assert bits([exported.module()(x)]) == bits([model(x)])


def test_meta_tensors_give_shapes():
    y = F.conv2d(torch.empty(2, 3, 8, 8, device="meta"), torch.empty(4, 3, 3, 3, device="meta"), stride=2)
    assert y.shape == (2, 4, 3, 3) and y.device.type == "meta"
