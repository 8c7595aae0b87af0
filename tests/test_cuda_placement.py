"""Without a GPU: whatever an op makes for itself (indices, masks, constants) lies where its operands do.

Fake tensors of a CUDA device have no memory, but the checks of real ones: operands on two devices raise. torch's CPU
build has no brackets for them: ops that index so are left to test_cuda_device.py.
"""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from fpdet import ops
from fpdet.nn import functional

pytestmark = pytest.mark.skipif(torch.ops.fpdet.cuda_architectures() == "", reason="built without CUDA kernels")
WORDS = {"arithmetic": "nearest_even blocked(16) auto fused"}
N = 4


def images():
    return torch.empty(N, 6, 9, 8, device="cuda")


def rows():
    return torch.empty(N, 6, device="cuda")


def numbers(*size):
    return torch.zeros(size, device="cuda", dtype=torch.int64)


def heads():
    return torch.empty(N, 2, 5, 8, device="cuda")


CALLS = {
    "conv2d": lambda: functional.conv2d(images(), torch.empty(3, 6, 3, 3, device="cuda"), padding=1, **WORDS),
    "linear": lambda: functional.linear(rows(), torch.empty(5, 6, device="cuda"), **WORDS),
    "batch_norm": lambda: functional.batch_norm(images(), None, None, training=True, **WORDS),
    "layer_norm": lambda: functional.layer_norm(rows(), (6,), **WORDS),
    "group_norm": lambda: functional.group_norm(images(), 3, **WORDS),
    "gelu": lambda: functional.gelu(rows(), **WORDS),
    "softmax": lambda: functional.softmax(rows(), 1, **WORDS),
    "max_pool2d": lambda: functional.max_pool2d(images(), 2, **WORDS),
    "avg_pool2d": lambda: functional.avg_pool2d(images(), 2, **WORDS),
    "avg_pool2d without padding": lambda: functional.avg_pool2d(
        images(), 3, padding=1, count_include_pad=False, **WORDS
    ),
    "attention": lambda: functional.scaled_dot_product_attention(heads(), heads(), heads(), is_causal=True, **WORDS),
    "attention with mask": lambda: functional.scaled_dot_product_attention(
        heads(), heads(), heads(), attn_mask=torch.ones(5, 5, device="cuda", dtype=torch.bool), **WORDS
    ),
    "matmul": lambda: ops.matmul(rows(), rows().t(), **WORDS),
    "sum": lambda: ops.sum(images(), (0, 2), **WORDS),
    "gather": lambda: ops.gather(rows(), 1, numbers(N, 2), **WORDS),
}


@pytest.fixture
def fake():
    with FakeTensorMode():
        yield


@pytest.mark.parametrize("name", CALLS)
def test_results_lie_where_the_operands_do(fake, name):
    assert CALLS[name]().device.type == "cuda"


def test_an_index_made_on_the_cpu_is_noticed(fake, monkeypatch):
    monkeypatch.setattr(ops, "_places", lambda input: torch.arange(input.numel()).reshape(input.shape))
    with pytest.raises(Exception, match="device"):
        CALLS["gather"]()
