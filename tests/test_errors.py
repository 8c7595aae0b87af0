"""Wrong input: torch's error type, the argument's name, expected and got; nothing is done before."""

import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as torch_functional

import fpdet
import fpdet.nn.functional as F

x, w, b = torch.randn(1, 2, 5, 5), torch.randn(4, 2, 3, 3), torch.randn(4)
wt = torch.randn(2, 3, 3, 3)

# name of the function, positional arguments, keyword arguments, words of our message
AS_TORCH = [
    ("conv2d", (x[0, 0], w), {}, "Expected 3D (unbatched) or 4D (batched) input to conv2d"),
    ("conv2d", (x, w[0]), {}, "weight: expected 4 dimensions, got size [2, 3, 3]"),
    ("conv2d", (x[:, :1], w), {}, "to have 2 channels, but got 1 channels"),
    ("conv2d", (x, w), {"groups": 3}, "divisible by 3"),
    ("conv2d", (x, w), {"groups": 0}, "groups: expected positive numbers, got [0]"),
    ("conv2d", (x, w), {"groups": 2.0}, "groups"),
    ("conv2d", (x, w), {"padding": -1}, "padding: expected non-negative numbers, got [-1, -1]"),
    ("conv2d", (x, w), {"stride": 0}, "stride: expected positive"),
    ("conv2d", (x, w), {"dilation": 0}, "dilation: expected positive"),
    ("conv2d", (x, w, b[:3]), {}, "expected bias to be 1-dimensional with 4 elements"),
    ("conv2d", (x, w, b[:, None]), {}, "expected bias to be 1-dimensional with 4 elements"),
    ("conv2d", (x.double(), w), {}, "weight: expected torch.float64 as input has, got torch.float32"),
    ("conv2d", (x, w, b.double()), {}, "bias: expected torch.float32 as input has"),
    ("conv2d", (x[..., :2], w), {}, "kernel size can't be greater than actual input size"),
    ("conv2d", (x, w), {"padding": "same", "stride": 2}, "padding='same' is not supported for strided"),
    ("conv2d", (x, w), {"padding": "sam"}, "padding: expected ints, 'same' or 'valid', got 'sam'"),
    ("conv2d", (x, w), {"padding": (1, 2, 3)}, "list of 2 values"),
    ("conv2d", (x, w), {"stride": 1.5}, "stride"),
    ("conv2d", (None, w), {}, "input: expected a Tensor, got NoneType"),
    ("conv2d", (x, w[:0]), {}, "dimension 0"),
    ("conv2d", (x[..., :0], w), {"padding": 2}, "zero batch or zero channel"),
    ("conv2d", (x, w[..., :0]), {"padding": 2}, "kernel size"),
    ("conv_transpose2d", (x, w), {}, "to have 4 channels, but got 2"),
    ("conv_transpose2d", (x, wt), {"output_padding": 2}, "output_padding: expected less than stride or dilation"),
    ("conv_transpose2d", (x, wt), {"output_padding": -1}, "output_padding: expected non-negative"),
    ("conv_transpose2d", (x, wt), {"groups": 3}, "at least 3"),
    ("conv_transpose2d", (x, wt, b), {}, "expected bias to be 1-dimensional with 3 elements"),
    ("conv_transpose2d", (x[..., :1], wt), {"padding": 3}, "output size is too small"),
    ("conv_transpose2d", (x, wt), {"padding": "same"}, "padding"),
    ("conv_transpose2d", (x[..., :0], wt), {}, "zero batch or zero channel"),
]


@pytest.mark.parametrize(("name", "arguments", "options", "words"), AS_TORCH)
def test_type_is_torch_s_and_message_names_the_argument(name, arguments, options, words):
    with pytest.raises(Exception) as theirs:
        getattr(torch_functional, name)(*arguments, **options)
    with pytest.raises(type(theirs.value)) as ours:
        getattr(F, name)(*arguments, **options)
    assert words in str(ours.value)


def test_zero_batch_works_as_in_torch():
    weight, leaf = w.clone().requires_grad_(), torch.randn(0, 2, 5, 5, requires_grad=True)
    ours, theirs = F.conv2d(leaf, weight, b), torch_functional.conv2d(leaf, weight, b)
    assert ours.shape == theirs.shape
    grads = torch.autograd.grad(ours.sum(), (leaf, weight))
    assert grads[0].shape == leaf.shape
    assert torch.equal(grads[1], torch.zeros_like(weight))


def test_zero_channels_leave_the_bias():
    y = F.conv2d(x[:, :0], w[:, :0], b)
    assert torch.equal(y, b.view(1, 4, 1, 1).expand(1, 4, 3, 3))


@pytest.mark.parametrize("dtype", [torch.int64, torch.complex64, torch.bool, torch.float8_e5m2])
def test_other_dtypes(dtype):
    with pytest.raises(NotImplementedError, match=r"input: expected one of torch.float64"):
        F.conv2d(x.to(dtype), w.to(dtype))
    with pytest.raises(NotImplementedError, match=r"x: expected one of torch.float64"):
        fpdet.round(x.to(dtype), "bfloat16")


def test_sparse_and_autocast():
    with pytest.raises(NotImplementedError, match="input: expected a dense tensor"):
        F.conv2d(x.to_sparse(), w)
    with torch.autocast("cpu"), pytest.raises(NotImplementedError, match=r"torch.autocast is not supported"):
        F.conv2d(x, w)
    with torch.autocast("cpu", enabled=False):
        F.conv2d(x, w)


def test_more_terms_than_a_sum_may_have():
    n = 2**31 + 1
    huge = torch.zeros(1).expand(1, 1, n)
    with pytest.raises(RuntimeError, match=f"forward: expected at most 2\\^31 terms in a sum, got {n}"):
        F.conv1d(huge, huge)
    with pytest.raises(RuntimeError, match="grad_weight: expected at most 2\\^31 terms"):
        F.conv1d(huge, torch.zeros(1, 1, 1))


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"arithmetic": "nearest_evn"}, ValueError, "did you mean 'nearest_even'"),
        ({"arithmetic": 3}, TypeError, "arithmetic: expected fpdet.Arithmetic"),
        ({"stream": [0, 0]}, TypeError, "stream: expected an int64 tensor"),
        ({"stream": torch.zeros(2)}, ValueError, "got torch.float32"),
        ({"batch_offset": -1}, ValueError, "batch_offset"),
        ({"batch_offset": 1.0}, TypeError, "batch_offset"),
    ],
)
def test_own_options(options, error, words):
    with pytest.raises(error) as caught:
        F.conv2d(x, w, **options)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        ((x, "bfloat15"), {}, ValueError, "did you mean 'bfloat16'"),
        ((x, "bfloat16", "up"), {}, ValueError, "rounding"),
        ((x, "bfloat16"), {"seed": 3}, ValueError, "seed"),
        ((3.0, "bfloat16"), {}, TypeError, "x: expected a Tensor, got float"),
    ],
)
def test_round_refuses(arguments, options, error, words):
    with pytest.raises(error) as caught:
        fpdet.round(*arguments, **options)
    assert words in str(caught.value)


def test_bad_stream_is_not_advanced():
    stream = torch.tensor([1, 0])
    with pytest.raises(RuntimeError):
        F.conv2d(x, w, padding=-1, arithmetic="stochastic sequential", stream=stream)
    assert stream.tolist() == [1, 0]


def test_long_slow_call_warns_once():
    from fpdet import _slow

    _slow._warned.clear()
    exact, fast = fpdet.Arithmetic("to_odd", "exact"), fpdet.Arithmetic("upward", "pairwise")
    with pytest.warns(UserWarning, match="no fast kernel.*nearest fast arithmetic is 'nearest_even blocked"):
        _slow.warn_once("conv2d", exact, torch.float64, 10**6, 10**6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _slow.warn_once("conv2d", exact, torch.float64, 10**6, 10**6)
        _slow.warn_once("conv2d", fpdet.Arithmetic("upward", "exact"), torch.float32, 10**6, 10**6)
        _slow.warn_once("conv2d", fast, torch.float32, 10**6, 10**6)
        _slow.warn_once("conv2d", fpdet.Arithmetic("to_odd"), torch.float32, 10, 10)


def test_capabilities_tell_the_truth():
    table = fpdet.capabilities()
    for cell in table.find(op="conv1d", device="cpu"):
        number = {"blocked": "(2)", "split": "(2)", "strided": "(2)", "shuffled": "(2)"}.get(cell.order, "")
        accumulator = "auto" if cell.order == "exact" else cell.format
        arithmetic = fpdet.Arithmetic(cell.rounding, cell.order + number, accumulator)
        assert cell.status in ("native", "slow path")
        F.conv1d(x[:, :, 0], w[:, :, 0], arithmetic=arithmetic)
    on_gpu = {c.status for c in table.find(device="cuda")}
    built = torch.ops.fpdet.cuda_architectures() != ""
    assert on_gpu == ({"native", "slow path"} if built else {"unsupported"})
    assert "torch's" in str(table) and "native" in str(table)


def test_build_info():
    info = fpdet.build_info()
    assert info["torch"] == torch.__version__ and info["version"] == fpdet.__version__


def test_missing_library_is_named(monkeypatch, tmp_path):
    from fpdet import _library

    monkeypatch.setattr(_library, "__file__", str(tmp_path / "_library.py"))
    with pytest.raises(ImportError, match=r"expected the compiled ops.*_C\*.so, found none"):
        _library.shared_object()


def test_an_op_takes_no_empty_arithmetic():
    """In a thread of its own: nothing has been parsed there before."""
    x = torch.ones(2)
    with ThreadPoolExecutor(1) as pool, pytest.raises(RuntimeError, match="expected"):
        pool.submit(torch.ops.fpdet.add, x, x, "", None, 0).result()
