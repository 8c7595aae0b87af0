"""The probe: fpdet's own trees, known functions, and what is no fixed tree."""

import pytest
import torch

import fpdet
import fpdet.nn.functional as F
from fpdet import order
from fpdet._tree import Tree

ORDERS = [
    "sequential",
    "reverse",
    "blocked(3)",
    "pairwise",
    "split(4)",
    "strided(8)",
    "shuffled(5)",
    "split(4).shuffled(7)",
]
SIZES = [1, 2, 3, 5, 8, 17, 65]


@pytest.fixture(autouse=True)
def one_thread(threads):
    threads(1)  # thousands of tiny calls


def forward(n, arithmetic, dtype):
    ones = torch.ones(1, n, 1, dtype=dtype)
    return lambda t: F.conv1d(t.view(1, n, 1), ones, arithmetic=arithmetic)


def grad_input(n, arithmetic, dtype):
    ones, x = torch.ones(n, 1, 1, dtype=dtype), torch.zeros(1, 1, 1, dtype=dtype, requires_grad=True)
    y = F.conv1d(x, ones, arithmetic=arithmetic)
    return lambda t: torch.autograd.grad(y, x, t.view(1, n, 1), retain_graph=True)[0]


def grad_weight(n, arithmetic, dtype):
    x, w = torch.ones(1, 1, n, dtype=dtype), torch.zeros(1, 1, 1, dtype=dtype, requires_grad=True)
    y = F.conv1d(x, w, arithmetic=arithmetic)
    return lambda t: torch.autograd.grad(y, w, t.view(1, 1, n), retain_graph=True)[0]


def grad_bias(n, arithmetic, dtype):
    x, w = torch.ones(1, 1, n, dtype=dtype), torch.zeros(1, 1, 1, dtype=dtype)
    b = torch.zeros(1, dtype=dtype, requires_grad=True)
    y = F.conv1d(x, w, b, arithmetic=arithmetic)
    return lambda t: torch.autograd.grad(y, b, t.view(1, 1, n), retain_graph=True)[0]


PASSES = [forward, grad_input, grad_weight, grad_bias]


@pytest.mark.parametrize("each", ORDERS)
@pytest.mark.parametrize("make", PASSES)
def test_revealed_is_declared(make, each):
    for n in SIZES:
        function = make(n, fpdet.Arithmetic(order=each), torch.float32)
        assert fpdet.reveal(function, n) == order.parse(each).tree(n), n


@pytest.mark.slow
@pytest.mark.parametrize("each", ORDERS)
@pytest.mark.parametrize("make", PASSES)
def test_revealed_is_declared_everywhere(make, each):
    every = range(1, 66) if make is forward else (*range(1, 34), 63, 64, 65)
    for n in (*every, 1000):
        function = make(n, fpdet.Arithmetic(order=each), torch.float32)
        assert fpdet.reveal(function, n) == order.parse(each).tree(n), n


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("accumulator", ["auto", "float64", "float32", "bfloat16", "float16"])
def test_dtypes_and_accumulators(dtype, accumulator):
    function = forward(40, fpdet.Arithmetic(order="strided(3)", accumulator=accumulator), dtype)
    if dtype == torch.float16 and accumulator == "float64":
        with pytest.raises(ValueError, match="not a fixed tree"):  # no float16 is large enough to absorb
            fpdet.reveal(function, 40, dtype=dtype)
        return
    assert fpdet.reveal(function, 40, dtype=dtype) == order.strided(3).tree(40)


def test_long_sums():
    for each in ("sequential", "reverse", "blocked(64)"):
        function = forward(1000, fpdet.Arithmetic(order=each), torch.float32)
        assert fpdet.reveal(function, 1000) == order.parse(each).tree(1000)


def test_python_functions():
    def halves(t):
        return t[0] if len(t) == 1 else halves(t[: len(t) // 2]) + halves(t[len(t) // 2 :])

    assert str(fpdet.reveal(halves, 5)) == "((0 1) (2 (3 4)))"
    assert fpdet.reveal(lambda t: (t[0] + t[1]) + (t[2] + t[3]) * 1.0, 4) == order.pairwise().tree(4)


def test_more_than_two_children():
    assert fpdet.reveal(lambda t: fused_sum([fused_sum(t[:3]), fused_sum(t[3:6]), t[6]]), 7) == Tree.from_nested(
        ((0, 1, 2), (3, 4, 5), 6)
    )


def fused_sum(parts):
    """Aligned to the largest, cut there, then added exactly: one node of many children."""
    parts = [float(p) for p in parts]
    unit = max(abs(p) for p in parts) * 2.0**-30
    return torch.tensor(sum(int(p / unit) * unit for p in parts) if unit else 0.0)


@pytest.mark.parametrize("n", [1, 2, 8, 33, 100])
def test_torch_s_sum_is_some_tree(n):
    assert sorted(fpdet.reveal(lambda t: t.sum(), n).leaves()) == list(range(n))


@pytest.mark.parametrize("word", ["kahan", "neumaier", "exact"])
@pytest.mark.parametrize("n", [4, 8, 50])
def test_compensated_and_exact_are_no_tree(word, n):
    with pytest.raises(ValueError, match="not a fixed tree"):
        fpdet.reveal(forward(n, fpdet.Arithmetic(order=word), torch.float32), n)


def test_what_changes_is_no_tree():
    calls = iter(range(10**9))

    def race(t):
        order_now = torch.randperm(len(t), generator=torch.Generator().manual_seed(next(calls)))
        return forward(len(t), "nearest_even sequential", torch.float32)(t[order_now])

    with pytest.raises(ValueError, match="not a fixed tree"):
        fpdet.reveal(race, 20)


def test_what_depends_on_values_is_no_tree():
    run = forward(20, "nearest_even sequential", torch.float32)
    with pytest.raises(ValueError, match="not a fixed tree"):
        fpdet.reveal(lambda t: run(t if t[3] >= 0 else t.flip(0)), 20)


@pytest.mark.parametrize("function", [lambda t: t.max(), lambda t: t.abs().sum(), lambda t: t[0], lambda t: t.prod()])
def test_what_is_no_sum(function):
    with pytest.raises(ValueError, match="not a fixed tree"):
        fpdet.reveal(function, 6)


def test_arguments():
    with pytest.raises(ValueError, match="one number"):
        fpdet.reveal(lambda t: t, 3)
    with pytest.raises(TypeError, match="dtype"):
        fpdet.reveal(lambda t: t.sum(), 3, dtype=torch.int32)
    with pytest.raises(ValueError, match="n"):
        fpdet.reveal(lambda t: t.sum(), 0)
