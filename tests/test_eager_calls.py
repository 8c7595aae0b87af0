"""Plain eager calls take a shorter way to the kernel: same checks, same bits, same derivatives."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import fpdet
import fpdet.nn.functional as F
from fpdet import _check

x, w, b = torch.randn(2, 4, 7, 6), torch.randn(6, 2, 3, 3), torch.randn(6)
wt, bt = torch.randn(4, 3, 3, 3), torch.randn(6)
# Values that are equal to 1 as keys of a dict, inside tuples and outside, and are no ints.
LOOKALIKES = [1.0, True, (1.0, 1.0), (1, 1.0), (True, 1), [True, True]]


@pytest.mark.parametrize("value", LOOKALIKES, ids=str)
@pytest.mark.parametrize("argument", ["stride", "padding", "dilation"])
def test_what_equals_a_remembered_int_is_still_refused(argument, value):
    for good in (1, (1, 1)):
        F.conv2d(x, w, groups=2, **{argument: good})
        F.conv_transpose2d(x, wt, groups=2, **{argument: good})
    for call in (lambda **a: F.conv2d(x, w, groups=2, **a), lambda **a: F.conv_transpose2d(x, wt, groups=2, **a)):
        with pytest.raises(TypeError, match=f"{argument}: expected an int or 2 ints"):
            call(**{argument: value})


@pytest.mark.parametrize("value", [1.0, True])
def test_groups_that_equal_a_remembered_int_are_still_refused(value):
    F.conv2d(x, w[:, :1].expand(6, 4, 3, 3), groups=1)
    with pytest.raises(TypeError, match="groups: expected an int"):
        F.conv2d(x, w[:, :1].expand(6, 4, 3, 3), groups=value)


def test_control_a_memory_without_types_would_take_them(monkeypatch):
    monkeypatch.setattr("fpdet.nn.functional.convolution._is_exact", lambda value: True)
    F.conv2d(x, w, stride=(1, 1), groups=2)
    F.conv2d(x, w, stride=(True, 1.0), groups=2)


def test_threads_share_the_memory():
    def call(i):
        stride, padding, dilation = 1 + i % 3, i // 3 % 3, 1 + i // 9 % 2
        return F.conv2d(x, w, b, stride, padding, dilation, groups=2)

    expected = [call(i) for i in range(18)]
    F.convolution._conv_geometry.forget()
    with ThreadPoolExecutor(8) as pool:
        for i, y in enumerate(pool.map(call, [*range(18)] * 8)):
            assert torch.equal(y, expected[i % 18])
    assert len({fpdet.digest(y) for y in expected}) > 12  # control: geometries differ


def _everything(transpose, arithmetic, leaves):
    """Output, gradients and gradients of gradients."""
    call = F.conv_transpose2d if transpose else F.conv2d
    stream = torch.tensor([3, 5])
    y = call(*leaves, stride=2, padding=1, groups=2, arithmetic=arithmetic, stream=stream, batch_offset=9)
    first = torch.autograd.grad(y.square().sum(), leaves, retain_graph=True)
    graph = torch.autograd.grad(y.square().sum(), leaves, create_graph=True)
    second = torch.autograd.grad(sum(g.square().sum() for g in graph), leaves)
    return [y.detach(), *first, *(g.detach() for g in graph), *second, stream]


ARITHMETICS = (
    "nearest_even blocked(512)",
    "stochastic sequential bits=4",
    "nearest_even sequential | upward reverse | stochastic pairwise bits=3",
)


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("transpose", [False, True])
def test_same_bits_on_both_ways(transpose, arithmetic, monkeypatch):
    tensors = (x, wt, bt) if transpose else (x, w, b)
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    short = _everything(transpose, arithmetic, leaves)
    monkeypatch.setattr(_check, "plain", lambda *_: False)
    monkeypatch.setattr("fpdet._ops.unwatched", lambda: False)
    long = _everything(transpose, arithmetic, leaves)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(short, long, strict=True))
    other = _everything(transpose, "downward sequential bfloat16", leaves)
    assert not torch.equal(other[0], long[0])


@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (0, 2), ()])
def test_gradients_of_some(wanted):
    leaves = [tensor.clone().requires_grad_(i in wanted) for i, tensor in enumerate((x, w, b))]
    y = F.conv2d(*leaves, groups=2)
    assert y.requires_grad == bool(wanted)
    if wanted:
        y.sum().backward()
    assert [leaf.grad is not None for leaf in leaves] == [i in wanted for i in range(3)]


def test_modes_and_subclasses_see_the_op():
    seen = []

    class Watch(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            seen.append(str(function))
            return function(*args, **(kwargs or {}))

    class Other(torch.Tensor):
        pass

    with Watch():
        F.conv2d(x, w, groups=2)
    assert "fpdet.convolution.default" in seen
    assert type(F.conv2d(x.as_subclass(Other), w, groups=2)) is Other
    assert type(F.conv2d(x, torch.nn.Parameter(w), groups=2)) is torch.Tensor


def test_dispatch_modes_see_the_op():
    seen = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, op, types, args=(), kwargs=None):
            seen.append(str(op))
            return op(*args, **(kwargs or {}))

    leaf = w.clone().requires_grad_()
    plain = F.conv2d(x, leaf, groups=2)
    with Watch():
        assert torch.equal(F.conv2d(x, w, groups=2), plain)
        assert torch.equal(F.conv2d(x, leaf, groups=2), plain)
    assert seen.count("fpdet.convolution.default") == 2


def test_autocast_of_another_device_changes_nothing(monkeypatch):
    expected = F.conv2d(x, w, groups=2)
    monkeypatch.setattr(torch._C, "_is_any_autocast_enabled", lambda: True)
    assert torch.equal(F.conv2d(x, w, groups=2), expected)


def test_plain_ops_count_their_numbers():
    for op, arguments in (
        (torch.ops.fpdet.convolution_forward, (x, w, b, [0, 0, 0, 1, 1], "nearest_even", None)),
        (torch.ops.fpdet.convolution_gradients, (x, x, w, [0, 1], "nearest_even", "nearest_even", None)),
    ):
        with pytest.raises(RuntimeError, match=r"numbers: expected (12|17) for 2 spatial dimensions, got"):
            op(*arguments)


def test_no_derivative_is_recorded_without_need():
    leaf = w.clone().requires_grad_()
    with torch.no_grad():
        assert F.conv2d(x, leaf, groups=2).grad_fn is None
    with torch.inference_mode():
        assert F.conv2d(x, leaf, groups=2).is_inference()
    assert F.conv2d(x, leaf, groups=2).grad_fn is not None


def test_a_changed_operand_is_noticed():
    leaf, operand = w.clone().requires_grad_(), x.clone()
    y = F.conv2d(operand, leaf, groups=2)
    operand.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
