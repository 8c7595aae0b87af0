"""Adam and AdamW: the op against the oracle, bit for bit; the optimizers against torch's (foreach=False)."""

import copy
import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from integers import values
from test_conv import OPS, ROUNDINGS, as_array, assert_same, tensor, words
from torch.overrides import TorchFunctionMode

import fpdet
from fpdet import reference
from fpdet._power import power
from fpdet.optim import Adam, AdamW

SETTINGS = [
    dict(lr=1e-3),
    dict(lr=0.1, weight_decay=0.01, maximize=True),
    dict(lr=0.1, weight_decay=0.01, decoupled=True, amsgrad=True),
    dict(lr=0.01, betas=(0.4, 0.7), eps=0.0, amsgrad=True),
    dict(lr=0.01, betas=(0.0, 0.0), step=1),
]
FUSED = torch.backends.cpu.get_cpu_capability() != "DEFAULT"
AS_TORCH = fpdet.Arithmetic(fused=FUSED)


def call(params, grads, states, text, draw=None, **setting):
    """The op; states: lists of exp_avg, exp_avg_sq, max_exp_avg_sq."""
    full = dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, decoupled=False, maximize=False, step=3)
    full.update(setting)
    powers = [power(beta, full["step"]) for beta in full["betas"]]
    options = [full[name] for name in ("eps", "weight_decay", "decoupled", "maximize")]
    OPS.adam_(params, grads, *states, full["lr"], *full["betas"], *powers, *options, text, draw)


def operands(dtype, count=17):
    param, grad, average = (tensor(values((count,), seed, "hard"), dtype) for seed in (1, 2, 3))
    square, largest = (tensor(values((count,), seed, "hard"), dtype).abs() for seed in (4, 5))
    square[0], largest[1], largest[2] = 0.0, math.nan, math.inf
    return param, grad, average, square, largest


def assert_step_is_the_oracle_s(setting, dtype, text, rules):
    setting = dict(setting)
    amsgrad = setting.pop("amsgrad", False)
    param, grad, *state = operands(dtype)
    state = state if amsgrad else state[:2]
    before = grad.clone()
    expected = reference.adam_step(
        *map(as_array, (param, grad, *state)), **{"step": 3, **setting}, rules=rules, dtype=dtype
    )
    lists = [[s] for s in state] + ([] if amsgrad else [[]])
    call([param], [grad], lists, text, torch.tensor([3, 5]), **setting)
    for got, wanted in zip((param, *state), expected, strict=False):
        assert_same(got, wanted, f"{text} {dtype} {setting}")
    assert torch.equal(before, grad)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: "-".join(s))
def test_a_step_equals_the_oracle(rounding, setting):
    for dtype, accumulator, fused in itertools.product(
        ("float64", "float32", "bfloat16"), ("auto", "float64", "bfloat16", "e5p3"), (True, False)
    ):
        text, rules = words(rounding, "sequential", accumulator, fused, 8, "a", 3)
        assert_step_is_the_oracle_s(setting, dtype, text, rules)


def test_bits_keyed_by_operands_equal_the_oracle():
    text, rules = words("stochastic", "sequential", "bfloat16", True, 8, "b", 3, "operands")
    assert_step_is_the_oracle_s(SETTINGS[2], "float32", text, rules)


def test_square_roots_of_the_oracle_are_rounded_once():
    for x in [2.0, 4.0, 0.25, 5e-324, 1e-310, 2.0**-1074 * 9, math.pi, 1.7e308, 3.0]:
        for format in ("float32", "bfloat16", "e5p3"):
            low, high = (reference.Rounder(format, r).sqrt(x) for r in ("downward", "upward"))
            if math.isfinite(high):
                assert Fraction(low) ** 2 <= Fraction(x) <= Fraction(high) ** 2
            assert low == high or reference.Rounder(format, "to_odd").sqrt(x) in (low, high)
            assert (low == high) == (Fraction(low) ** 2 == Fraction(x))
        assert reference.Rounder("float64", "nearest_even").sqrt(x) == math.sqrt(x)


KERNELS = [
    ("float64", "auto"),
    ("float32", "auto"),
    ("float32", "float64"),
    ("bfloat16", "auto"),
    ("float16", "float64"),
]
EMULATED = [("float32", "bfloat16"), ("bfloat16", "float16"), ("float16", "e4p3"), ("float32", "float32")]


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_kernels_equal_the_slow_path(rounding):
    hardware = rounding in ("nearest_even", "toward_zero", "upward", "downward")
    for (dtype, accumulator), fused in itertools.product(EMULATED + KERNELS * hardware, (True, False)):
        text, _ = words(rounding, "sequential", accumulator, fused, 8, "a", 3)
        assert torch.ops.fpdet.adam_has_kernel(dtype, text)
        results = []
        for kernels in (True, False):
            torch.ops.fpdet.use_elementwise_kernels(kernels)
            try:
                param, grad, *state = operands(dtype, 1003)
                call([param], [grad], [[s] for s in state], text, weight_decay=0.1)
                results.append(fpdet.digest([param, *state]))
            finally:
                torch.ops.fpdet.use_elementwise_kernels(True)
        assert results[0] == results[1], text


@pytest.mark.parametrize("text", ["upward sequential float32 fused", "stochastic sequential bfloat16 fused seed=4"])
def test_threads_and_strides_do_not_enter_a_result(text):
    plain = [t.reshape(5, 4, 3000).contiguous() for t in operands("float32", 60000)]
    odd = [t.permute(2, 0, 1).contiguous().permute(1, 2, 0) for t in plain]
    mixed = [odd[0].clone(memory_format=torch.preserve_format), *(t.clone() for t in plain[1:])]
    digests, count = set(), torch.get_num_threads()
    for tensors, threads in ((plain, 1), (odd, 2), (mixed, 3)):
        torch.set_num_threads(threads)
        param, grad, *state = tensors
        call([param], [grad], [[s] for s in state], text)
        digests.add(fpdet.digest([param, *state]))
    torch.set_num_threads(count)
    assert len(digests) == 1
    assert odd[0].stride() != plain[0].stride()


def test_control_every_word_of_the_arithmetic_matters():
    seen = set()
    texts = [
        f"{rounding} sequential {accumulator} {fused}"
        for rounding in ("nearest_even", "upward", "downward", "to_odd", "stochastic")
        for accumulator in ("float32", "bfloat16")
        for fused in ("fused", "unfused")
    ]
    for text in texts:
        param, grad, *state = (tensor(values((1000,), seed), "float32").abs() for seed in (1, 2, 3, 4, 5))
        call([param], [grad], [[s] for s in state], text)
        seen.add(fpdet.digest([param, *state]))
    assert len(seen) == len(texts)


@pytest.mark.parametrize("beta", [0.9, 0.999, 0.99, 0.5, 0.75, 1e-3, 1 - 2**-53, 0.0])
def test_powers_are_correctly_rounded(beta):
    for t in (1, 2, 3, 10, 54, 55, 107, 1000, 3001):
        exact = Fraction(beta) ** t
        assert power(beta, t) == exact.numerator / exact.denominator


def test_powers_settle_ties():
    assert power(0.75, 34) == 3**34 / 2**68  # 54 digits: a tie
    assert 3**34 % 2 == 1 and 2**53 < 3**34 < 2**54


# Against torch.


def parameters(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    shapes = [(5, 3), (129,), (2, 3, 4), ()]
    return [torch.nn.Parameter(torch.randn(s, generator=generator, dtype=dtype)) for s in shapes]


def run(optimizer, params, steps, seed=1):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        for p in params:
            p.grad = torch.randn(p.shape, generator=generator, dtype=torch.float64).to(p.dtype)
        optimizer.step()
    return fpdet.digest([p.data for p in params])


PAIRS = [(Adam, torch.optim.Adam), (AdamW, torch.optim.AdamW)]
OPTIONS = [
    {},
    {"weight_decay": 0.1, "amsgrad": True},
    {"weight_decay": 0.1, "maximize": True, "eps": 1e-3},
    {"betas": (0.5, 0.99)},
    {"betas": (0.3, 0.9), "amsgrad": True},
]


class IeeeSquareRoot(TorchFunctionMode):
    """Torch's square root may be MKL's, which misses the nearest number now and then, depending on the processor;
    this is the processor's own instruction."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is torch.Tensor.sqrt:
            return torch.from_numpy(np.asarray(np.sqrt(args[0].numpy())))
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bits_are_torch_s_with_ieee_square_roots(options, pair, dtype):
    ours, theirs = parameters(dtype), parameters(dtype)
    a, b = pair[0](ours, 0.1, arithmetic=AS_TORCH, **options), pair[1](theirs, 0.1, foreach=False, **options)
    with IeeeSquareRoot():
        expected = run(b, theirs, 20)
    assert run(a, ours, 20) == expected
    for p, q in zip(ours, theirs, strict=True):
        assert fpdet.digest(dict(a.state[p])) == fpdet.digest(dict(b.state[q]))


@pytest.mark.parametrize("pair", PAIRS)
def test_control_another_rounding_is_not_torch_s_but_near(pair):
    ours, theirs = parameters(torch.float64), parameters(torch.float64)
    a = run(pair[0](ours, 0.1, arithmetic="upward sequential float64"), ours, 20)
    with IeeeSquareRoot():
        assert a != run(pair[1](theirs, 0.1, foreach=False), theirs, 20)
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q)


@pytest.mark.parametrize("classes", list(itertools.product(PAIRS[0], PAIRS[0])))
def test_state_dict_is_interchangeable(classes):
    def make(cls, params):
        extra = {"arithmetic": AS_TORCH} if cls is Adam else {"foreach": False}
        return cls(params, 0.1, weight_decay=1e-3, amsgrad=True, **extra)

    params = parameters()
    optimizer = make(classes[0], params)
    run(optimizer, params, 3)
    twins = [torch.nn.Parameter(p.detach().clone()) for p in params]
    other = make(classes[1], twins)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    with IeeeSquareRoot():
        assert run(optimizer, params, 4, seed=2) == run(other, twins, 4, seed=2)


@pytest.mark.parametrize("cls", [Adam, AdamW])
def test_a_run_is_resumed(cls, tmp_path):
    params = parameters()
    optimizer = cls(params, 0.1, arithmetic="stochastic sequential bfloat16 seed=3")
    run(optimizer, params, 2)
    torch.save(optimizer.state_dict(), tmp_path / "o.pt")
    twins, cold = ([torch.nn.Parameter(p.detach().clone()) for p in params] for _ in range(2))
    other, fresh = (cls(ps, 0.1, arithmetic="stochastic sequential bfloat16 seed=3") for ps in (twins, cold))
    other.load_state_dict(torch.load(tmp_path / "o.pt", weights_only=True))
    expected = run(optimizer, params, 3, seed=2)
    assert run(other, twins, 3, seed=2) == expected
    assert run(fresh, cold, 3, seed=2) != expected  # the control: without its state


@pytest.mark.parametrize("cls", [Adam, AdamW])
def test_copies_go_on_alike(cls):
    params = parameters()
    optimizer = cls(params, 0.1, arithmetic="upward")
    run(optimizer, params, 1)
    twin = copy.deepcopy(optimizer)
    assert isinstance(twin, cls) and twin.param_groups[0]["arithmetic"] == fpdet.Arithmetic("upward").text
    assert run(optimizer, params, 2) == run(twin, twin.param_groups[0]["params"], 2)


def test_parameters_that_join_later_begin_with_step_one():
    p, q = parameters()[:2]
    p.grad = torch.ones_like(p)
    optimizer = Adam([p, q], 0.1)
    optimizer.step()
    assert q not in optimizer.state
    q.grad = torch.ones_like(q)
    optimizer.step()
    assert optimizer.state[p]["step"] == 2 and optimizer.state[q]["step"] == 1


def test_a_surrounding_context_does_not_enter_a_step():
    inside, outside = parameters(), parameters()
    with fpdet.arithmetic("upward sequential bfloat16"):
        optimizer = Adam(inside, 0.1, arithmetic="downward")
    a, b = optimizer, Adam(outside, 0.1, arithmetic="downward")
    expected = run(b, outside, 300)  # bfloat16 cannot count so far
    gradients = [p.grad for p in outside]
    assert expected
    for p, q in zip(inside, outside, strict=True):
        p.data.copy_(q.data)
    a.load_state_dict(copy.deepcopy(b.state_dict()))
    for p, grad in zip(inside, gradients, strict=True):
        p.grad = grad.clone()
    with fpdet.arithmetic("upward sequential bfloat16"):
        a.step()
    b.step()
    assert fpdet.digest([p.data for p in inside]) == fpdet.digest([p.data for p in outside])
    assert a.state[inside[0]]["step"] == 301


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"lr": -1.0}, ValueError, "learning rate"),
        ({"eps": -1.0}, ValueError, "epsilon"),
        ({"betas": (1.0, 0.9)}, ValueError, "beta parameter at index 0"),
        ({"fused": True}, NotImplementedError, "fused"),
        ({"capturable": True}, NotImplementedError, "capturable"),
        ({"differentiable": True}, NotImplementedError, "differentiable"),
        ({"arithmetic": "upward exact"}, ValueError, "exact"),
        ({"arithmetic": "upwrd"}, ValueError, "did you mean 'upward'"),
        ({"arithmetic": fpdet.PassArithmetic()}, TypeError, "PassArithmetic"),
    ],
)
@pytest.mark.parametrize("cls", [Adam, AdamW])
def test_refusals(cls, options, error, words):
    with pytest.raises(error, match=words):
        cls(parameters(), **options)


def test_an_lr_with_gradient_is_refused():
    params = parameters()
    optimizer = Adam(params, torch.tensor(0.1, requires_grad=True))
    params[0].grad = torch.ones_like(params[0])
    with pytest.raises(NotImplementedError, match="lr: expected no gradient"):
        optimizer.step()


def test_bad_gradients_raise_before_any_update():
    p, q = parameters()[:2]
    before = fpdet.digest([p.data, q.data])
    p.grad, q.grad = torch.ones_like(p), torch.ones_like(q).to_sparse()
    optimizer = Adam([p, q])
    with pytest.raises(RuntimeError, match="sparse"):
        optimizer.step()
    assert fpdet.digest([p.data, q.data]) == before and not optimizer.state
    lists = [[torch.zeros(3)], [torch.zeros(3)], []]
    for broken in (
        [[torch.zeros(4)], *lists[1:]],
        [[torch.zeros(3, dtype=torch.float64)], *lists[1:]],
        [[], *lists[1:]],
    ):
        with pytest.raises(RuntimeError, match="exp_avgs: expected"):
            call([torch.zeros(3)], [torch.zeros(3)], broken, "nearest_even sequential float32 fused")
    with pytest.raises(RuntimeError, match="no sum"):
        call([torch.zeros(3)], [torch.zeros(3)], lists, "nearest_even exact")


def test_nan_and_infinities_reach_the_result_as_in_torch():
    ours, theirs = (torch.nn.Parameter(torch.ones(4)) for _ in range(2))
    for p in (ours, theirs):
        p.grad = torch.tensor([math.nan, math.inf, 0.0, -0.0])
    Adam([ours], arithmetic=AS_TORCH, amsgrad=True).step()
    torch.optim.Adam([theirs], foreach=False, amsgrad=True).step()
    assert np.array_equal(ours.isnan().numpy(), theirs.isnan().numpy())
    torch.testing.assert_close(ours, theirs, equal_nan=True)


def test_capabilities_are_what_has_a_kernel():
    steps = {(c.rounding, c.format): c.status for c in fpdet.capabilities().find(op="adam", device="cpu")}
    assert steps["upward", "float32"] == steps["downward", "float64"] == steps["stochastic", "bfloat16"] == "native"
    assert steps["to_odd", "float64"] == "slow path"
    assert not OPS.adam_has_kernel("float64", "upward sequential float32 fused")
