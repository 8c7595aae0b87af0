"""torch's own sample inputs for convolutions: fpdet agrees within a derived bound and refuses what torch refuses.

Both results are floating-point sums of the same T products (and a bias) in some order, fused or not, so each differs
from the real sum by at most gamma(T + 1) * (sum of magnitudes), gamma(n) = n u / (1 - n u) (Higham, Accuracy and
Stability of Numerical Algorithms, 2nd ed., section 3.1): they differ from each other by at most twice that.
"""

import pytest
import torch
from torch.testing._internal.common_methods_invocations import op_db

import fpdet.nn.functional as F

OPS = {op.name.removeprefix("nn.functional."): op for op in op_db if op.name.startswith("nn.functional.conv")}
NAMES = ["conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]


def magnitudes(torch_function, sample):
    """Sums of magnitudes of the output and of the leaves' gradients (seed 1): the same call on absolute values."""
    to64 = lambda v: v.detach().double().abs().requires_grad_() if isinstance(v, torch.Tensor) else v  # noqa: E731
    args = [to64(v) for v in (sample.input, *sample.args)]
    kwargs = {key: to64(value) for key, value in sample.kwargs.items()}
    output = torch_function(*args, **kwargs)
    leaves = [v for v in (*args, *kwargs.values()) if isinstance(v, torch.Tensor)]
    return output.detach(), torch.autograd.grad(output, leaves, torch.ones_like(output))


def assert_close(got, expected, terms, magnitude, sample):
    assert got.shape == expected.shape and got.dtype == expected.dtype, sample
    n = (terms + 1) * torch.finfo(got.dtype).eps / 2
    difference = (got.detach().double() - expected.detach().double()).abs()
    assert (difference <= 2 * n / (1 - n) * magnitude).all(), sample


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_samples(name, dtype):
    torch_function, function = getattr(torch.nn.functional, name), getattr(F, name)
    count = 0
    for sample in OPS[name].sample_inputs("cpu", dtype, requires_grad=True):
        expected = torch_function(sample.input, *sample.args, **sample.kwargs)
        got = function(sample.input, *sample.args, **sample.kwargs)
        weight = sample.args[0]
        # No sum of any pass has more terms than this, a bias included.
        terms = max(expected.numel(), sample.input.numel(), weight.numel()) + 1
        magnitude, grad_magnitudes = magnitudes(torch_function, sample)
        assert_close(got, expected, terms, magnitude, sample)
        leaves = [t for t in (sample.input, *sample.args, *sample.kwargs.values()) if isinstance(t, torch.Tensor)]
        expected_grads = torch.autograd.grad(expected, leaves, torch.ones_like(expected))
        got_grads = torch.autograd.grad(got, leaves, torch.ones_like(got))
        for grads in zip(got_grads, expected_grads, grad_magnitudes, strict=True):
            assert_close(*grads[:2], terms, grads[2], sample)
        count += 1
    assert count >= 3


@pytest.mark.parametrize("name", [name for name in NAMES if OPS[name].error_inputs_func is not None])
def test_errors(name):
    """The same type of exception for every input that torch's own suite holds to be wrong."""
    count = 0
    for error in OPS[name].error_inputs("cpu"):
        sample = error.sample_input
        with pytest.raises(error.error_type):
            getattr(torch.nn.functional, name)(sample.input, *sample.args, **sample.kwargs)
        with pytest.raises(error.error_type):
            getattr(F, name)(sample.input, *sample.args, **sample.kwargs)
        count += 1
    assert count > 0
