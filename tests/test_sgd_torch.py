"""fpdet.optim.SGD against torch.optim.SGD(foreach=False): bits, state_dict, schedulers, options."""

import copy
import pickle

import pytest
import torch

import fpdet
from fpdet.optim import SGD

OPTIONS = [
    {},
    {"momentum": 0.9},
    {"momentum": 0.9, "nesterov": True, "weight_decay": 5e-4},
    {"momentum": 0.9, "dampening": 0.1, "weight_decay": 1e-3},
    {"weight_decay": 1e-2, "maximize": True},
    {"momentum": 0.5, "maximize": True, "nesterov": True},
]
FUSED = torch.backends.cpu.get_cpu_capability() != "DEFAULT"
AS_TORCH = fpdet.Arithmetic(fused=FUSED)


def parameters(dtype):
    generator = torch.Generator().manual_seed(0)
    shapes = [(5, 3), (129,), (2, 3, 4), ()]
    return [torch.nn.Parameter(torch.randn(s, generator=generator, dtype=dtype)) for s in shapes]


def run(optimizer, params, steps, seed=1, scheduler=None):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        for p in params:
            p.grad = torch.randn(p.shape, generator=generator, dtype=torch.float64).to(p.dtype)
        optimizer.step()
        if scheduler:
            scheduler.step()
    return fpdet.digest([p.data for p in params])


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bits_are_torch_s(options, dtype):
    ours, theirs = parameters(dtype), parameters(dtype)
    a = run(SGD(ours, 0.1, arithmetic=AS_TORCH, **options), ours, 20)
    b = run(torch.optim.SGD(theirs, 0.1, foreach=False, **options), theirs, 20)
    assert a == b


def test_rounding_and_rescale_matter():
    seen = set()
    for options in ({}, {"arithmetic": "upward pairwise"}, {"arithmetic": "downward pairwise"}, {"rescale": 3}):
        params = parameters(torch.float32)
        seen.add(run(SGD(params, 0.1, momentum=0.9, **options), params, 3))
    assert len(seen) == 4


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_go_on_alike(copied):
    params = parameters(torch.float32)
    optimizer = SGD(params, 0.1, momentum=0.9, arithmetic="upward", rescale=3)
    run(optimizer, params, 1)
    twin = copied(optimizer)
    twin.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))]})
    assert [g["arithmetic"] for g in twin.param_groups] == [fpdet.Arithmetic("upward").text] * 2
    assert twin.param_groups[1]["rescale"] == 3
    assert run(optimizer, params, 2) == run(twin, twin.param_groups[0]["params"], 2)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_rescale_by_a_power_of_two_moves_no_bit(k):
    plain, scaled = parameters(torch.float32), parameters(torch.float32)
    assert run(SGD(plain, 0.1, momentum=0.9), plain, 5) == run(SGD(scaled, 0.1, momentum=0.9, rescale=k), scaled, 5)


@pytest.mark.parametrize("first", [SGD, torch.optim.SGD])
@pytest.mark.parametrize("second", [SGD, torch.optim.SGD])
def test_state_dict_is_interchangeable(first, second):
    def make(cls, params):
        extra = {"arithmetic": AS_TORCH} if cls is SGD else {"foreach": False}
        return cls(params, 0.1, momentum=0.9, weight_decay=1e-3, **extra)

    params = parameters(torch.float32)
    optimizer = make(first, params)
    run(optimizer, params, 3)
    twins = [torch.nn.Parameter(p.detach().clone()) for p in params]
    other = make(second, twins)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert run(optimizer, params, 4, seed=2) == run(other, twins, 4, seed=2)


def test_state_dict_loads_with_weights_only(tmp_path):
    params = parameters(torch.float32)
    optimizer = SGD(params, 0.1, momentum=0.9, arithmetic="stochastic pairwise seed=3")
    run(optimizer, params, 2)
    torch.save(optimizer.state_dict(), tmp_path / "o.pt")
    twins = [torch.nn.Parameter(p.detach().clone()) for p in params]
    other = SGD(twins, 0.1, momentum=0.9, arithmetic="stochastic pairwise seed=3")
    other.load_state_dict(torch.load(tmp_path / "o.pt", weights_only=True))
    assert run(optimizer, params, 3, seed=2) == run(other, twins, 3, seed=2)


def test_stochastic_steps_draw_anew():
    params = [torch.nn.Parameter(torch.ones(1000))]
    optimizer = SGD(params, 1.0, arithmetic="stochastic pairwise seed=3")
    steps = []
    for _ in range(2):
        params[0].data.fill_(1.0)
        params[0].grad = torch.full((1000,), 2.0**-25)
        optimizer.step()
        steps.append(params[0].detach().clone())
    assert not torch.equal(*steps)


def test_schedulers_and_closures():
    ours, theirs = parameters(torch.float32), parameters(torch.float32)
    a, b = SGD(ours, 0.1, arithmetic=AS_TORCH), torch.optim.SGD(theirs, 0.1, foreach=False)
    schedules = [torch.optim.lr_scheduler.CosineAnnealingLR(o, 10) for o in (a, b)]
    assert run(a, ours, 8, scheduler=schedules[0]) == run(b, theirs, 8, scheduler=schedules[1])

    def closure():
        loss = sum((p**2).sum() for p in ours)
        a.zero_grad()
        loss.backward()
        return loss

    before = closure().item()
    assert a.step(closure).item() == before
    assert closure().item() < before


def test_param_groups():
    p, q = parameters(torch.float32)[:2]
    optimizer = SGD([{"params": [p], "rescale": 3}, {"params": [q], "lr": 0.5}])
    assert optimizer.param_groups[0]["rescale"] == 3
    assert optimizer.param_groups[1]["rescale"] == 1
    assert optimizer.param_groups[1]["arithmetic"] == str(fpdet.Arithmetic())


def test_parameters_without_gradient_stay():
    p, q = parameters(torch.float32)[:2]
    before = q.detach().clone()
    p.grad = torch.ones_like(p)
    optimizer = SGD([p, q], 0.1, momentum=0.9)
    optimizer.step()
    assert torch.equal(q, before)
    assert q not in optimizer.state
    q.grad = torch.ones_like(q)  # joins later: its first step, while p's is the second
    optimizer.step()
    assert torch.equal(optimizer.state[q]["momentum_buffer"], q.grad)


def test_autograd_notices_the_change():
    p = torch.nn.Parameter(torch.ones(3))
    y = (p * p).sum()
    p.grad = torch.ones(3)
    SGD([p], 0.1).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"lr": -1.0}, ValueError, "learning rate"),
        ({"momentum": -1.0}, ValueError, "momentum"),
        ({"weight_decay": -1.0}, ValueError, "weight_decay"),
        ({"nesterov": True}, ValueError, "Nesterov"),
        ({"fused": True}, NotImplementedError, "fused"),
        ({"differentiable": True}, NotImplementedError, "differentiable"),
        ({"rescale": 0}, ValueError, "rescale"),
        ({"rescale": "3"}, TypeError, "rescale"),
        ({"arithmetic": "upward exact"}, ValueError, "exact"),
        ({"arithmetic": "upwrd"}, ValueError, "did you mean 'upward'"),
        ({"arithmetic": fpdet.PassArithmetic()}, TypeError, "PassArithmetic"),
    ],
)
def test_refusals(options, error, words):
    with pytest.raises(error, match=words):
        SGD(parameters(torch.float32), **options)


def test_bad_gradients_raise_before_any_update():
    p, q = parameters(torch.float32)[:2]
    before = fpdet.digest([p.data, q.data])
    p.grad = torch.ones_like(p)
    q.grad = torch.ones_like(q).to_sparse()
    with pytest.raises(RuntimeError, match="sparse"):
        SGD([p, q], 0.1).step()
    assert fpdet.digest([p.data, q.data]) == before
