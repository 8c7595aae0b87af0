"""torch.compile(fullgraph=True) inside and around the context: eager's bits, by fpdet's ops."""

import pytest
import torch
from nets import FAMILIES, batch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

import fpdet


class Counting(TorchDispatchMode):
    """Counts fpdet's ops below autograd, and float additions of torch's."""

    def __init__(self):
        super().__init__()
        self.fpdet = 0

    @classmethod
    def is_infra_mode(cls):
        return True

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        self.fpdet += op.namespace == "fpdet"
        return op(*args, **(kwargs or {}))


def loss_of(model, x, t):
    return F.cross_entropy(model(x), t)


def gradients(compute, name, around, arithmetic):
    """(digest of loss and gradients, number of fpdet's ops that ran)."""
    with fpdet.arithmetic(arithmetic, seed=2):
        model = FAMILIES[name]().eval()  # dropout draws anew in each call
    x, t = batch(name)
    for _ in range(2):  # the second call runs what the first has compiled
        model.zero_grad()
        counting = Counting()
        with counting:
            if around:
                loss = compute(model, x, t)
            else:
                with fpdet.arithmetic(arithmetic, seed=2):
                    loss = compute(model, x, t)
            loss.backward()
    return fpdet.digest([loss.detach(), *(p.grad for p in model.parameters())]), counting.fpdet


@pytest.mark.parametrize("name", FAMILIES)
def test_a_compiled_model_inside_the_context(name):
    torch._dynamo.reset()
    arithmetic = "nearest_even pairwise"
    expected, ops = gradients(loss_of, name, False, arithmetic)
    compiled, compiled_ops = gradients(
        torch.compile(loss_of, fullgraph=True, backend="aot_eager"), name, False, arithmetic
    )
    assert compiled == expected
    assert compiled_ops >= ops // 2 > 0
    plain, none = gradients(loss_of, name, True, arithmetic)  # control: without a context nothing of fpdet runs
    assert plain != expected and none == 0


@pytest.mark.parametrize("name", ["resnet", "transformer"])
def test_the_context_inside_a_compiled_function(name):
    torch._dynamo.reset()
    arithmetic = "nearest_even pairwise"

    def around(model, x, t):
        with fpdet.arithmetic(arithmetic, seed=2):
            return loss_of(model, x, t)

    expected, _ = gradients(loss_of, name, False, arithmetic)
    compiled, ops = gradients(torch.compile(around, fullgraph=True, backend="aot_eager"), name, True, arithmetic)
    assert compiled == expected and ops > 0


def test_inductor_gives_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch._dynamo.reset()
    expected, _ = gradients(loss_of, "mlp", False, "nearest_even")
    compiled, ops = gradients(torch.compile(loss_of, fullgraph=True), "mlp", False, "nearest_even")
    assert compiled == expected and ops > 0


def test_code_that_torch_keeps_is_of_this_build_alone():
    build = fpdet.build_info()
    assert f"fpdet {build['version']} {build['commit']}" in torch.compiler.config.cache_key_tag


def test_a_converted_model_compiles():
    torch._dynamo.reset()
    with fpdet.arithmetic("nearest_even", seed=2):
        model = FAMILIES["vgg"]().eval()
    fpdet.convert(model, "upward pairwise")
    x, _ = batch("vgg")
    assert torch.equal(torch.compile(model, fullgraph=True, backend="aot_eager")(x), model(x))
