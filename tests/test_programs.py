"""Every program on tensors equals the oracle, which runs the same lines in exact rationals; so does its gradient."""

from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("gmpy2")

import fpdet
from fpdet import _programs, reference
from fpdet._arithmetic import Arithmetic
from fpdet._numbers import Numbers
from fpdet.programs import PROGRAMS
from fpdet.programs.page import page
from fpdet.reference.machine import run_gradient, run_program
from fpdet.reference.reduction import Rules

ARITHMETICS = [
    "nearest_even",
    "toward_zero pairwise float32 unfused",
    "upward strided(3) tfloat32",
    "to_odd split(2) bfloat16",
    "downward exact",
    "stochastic blocked(2) float32 bits=8 seed=5",
    "nearest_away kahan",
]
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}


def values(*shape, low=-2.0, high=2.0, seed=0):
    """Counted, not drawn: numbers of ten bits or so, of every residue."""
    count = int(np.prod(shape))
    grid = (np.arange(count) * (101 + 2 * seed) + 13 * seed) % 1021 / 1021
    return (grid * (high - low) + low).reshape(shape).astype(np.float32)


OFFSETS, SOURCES = np.array([0, 2, 2, 5]), np.array([1, 0, 3, 1, 2])
BACK_OFFSETS, BACK = np.array([0, 1, 3, 4, 5]), np.array([0, 0, 2, 2, 2])
WEIGHTS = values(5, seed=3)
MASK = np.array([[True, False, True], [False, True, True]])
# name -> (inputs, attributes, which inputs want a gradient)
X, ROWS = values(2, 3, seed=1), values(4, 2, seed=1)
POSITIVE = values(2, 3, low=0.25, high=3, seed=1)
FUNCTIONS = ("exp", "expm1", "sigmoid", "tanh", "erf", "normal_cdf", "softplus", "silu", "gelu", "gelu_tanh", "square")
CASES = {
    **{name: ([X], {}, [0]) for name in FUNCTIONS},
    **{name: ([POSITIVE], {}, [0]) for name in ("log", "log1p", "sqrt", "rsqrt", "reciprocal")},
    "leaky_relu": ([X], {"negative_slope": 0.01}, [0]),
    "elu": ([X], {"alpha": 0.7}, [0]),
    "add_scaled": ([X, values(2, 3, seed=2)], {"alpha": 0.3}, [0, 1]),
    "lerp": ([X, values(2, 3, seed=2)], {"weight": 0.3}, [0, 1]),
    "divide": ([X, np.float32(3.0).reshape(1, 1)], {}, [0]),
    "fan_out": ([X], {"copies": 3}, [0]),
    "dropout": ([X, MASK], {"p": 0.3}, [0]),
    "squared_error": ([X, values(2, 3, seed=2)], {}, [0, 1]),
    "absolute_error": ([X, values(2, 3, seed=2)], {}, [0, 1]),
    "bce_with_logits": ([X, MASK.astype(np.float32), values(2, 3, seed=2), values(2, 3, seed=4)], {}, [0]),
    "batch_norm": (
        [values(3, 2, 2, seed=1), values(2, seed=2), values(2, seed=3), values(2, seed=4), POSITIVE[0, :2]],
        {"eps": 1e-5, "momentum": 0.1},
        [0, 1, 2],
    ),
    "batch_norm_inference": (
        [values(3, 2, 2, seed=1), values(2, seed=2), values(2, seed=3), values(2, seed=4), POSITIVE[0, :2]],
        {"eps": 1e-5},
        [0, 1, 2],
    ),
    "layer_norm": (
        [values(2, 3, 2, seed=1), values(3, 2, seed=2), values(3, 2, seed=3)],
        {"axes": 2, "eps": 1e-5},
        [0, 1, 2],
    ),
    "rms_norm": ([values(2, 3, 2, seed=1), values(3, 2, seed=2)], {"axes": 2, "eps": 1e-5}, [0, 1]),
    "group_norm": (
        [values(2, 4, 2, seed=1), values(4, seed=2), values(4, seed=3)],
        {"groups": 2, "eps": 1e-5},
        [0, 1, 2],
    ),
    "softmax": ([X], {"axis": 1}, [0]),
    "log_softmax": ([X], {"axis": 1}, [0]),
    "logsumexp": ([X], {"axes": (0, 1)}, [0]),
    "mean": ([X], {"axes": (1,)}, [0]),
    "var": ([X], {"axes": (0, 1), "correction": 1}, [0]),
    "resample": ([ROWS, OFFSETS, SOURCES, WEIGHTS, BACK_OFFSETS, BACK, WEIGHTS], {}, [0]),
    "accumulate_rows": (
        [
            values(3, 2, seed=1),
            values(4, 2, seed=2),
            np.array([0, 2, 0, 2]),
            np.array([0, 2, 2, 4]),
            np.array([0, 2, 1, 3]),
            np.array([[True], [False], [True]]),
        ],
        {},
        [0, 1],
    ),
    "mean_rows": ([ROWS, OFFSETS, SOURCES, np.float32([[2], [1], [3]]), BACK_OFFSETS, BACK], {}, [0]),
}


def rules_of(arithmetic, counter=0):
    return Rules(
        rounding=arithmetic.rounding,
        order=str(arithmetic.order),
        accumulator=arithmetic.accumulator,
        fused=arithmetic.fused,
        bits=arithmetic.bits,
        variant=arithmetic.variant,
        seed=arithmetic.seed,
        keyed_by=arithmetic.keyed_by,
        counter=counter,
    )


def operands(name, dtype):
    """(tensors, arrays of the same values) of a case."""
    tensors, arrays = [], []
    for x in CASES[name][0]:
        if x.dtype.kind != "f":
            tensors.append(torch.from_numpy(x))
            arrays.append(x)
            continue
        wide = torch.from_numpy(x)
        # what is of the working dtype: counts and weights of maps
        narrow = (
            wide
            if x is WEIGHTS or (name in ("divide", "mean_rows") and x.ndim == 2 and x.shape[1] == 1)
            else wide.to(DTYPES[dtype])
        )
        tensors.append(narrow)
        arrays.append(narrow.double().numpy())
    return tensors, arrays


@pytest.mark.parametrize("words", ARITHMETICS)
@pytest.mark.parametrize("name", CASES)
def test_program_and_gradient_equal_the_oracle(name, words):
    check(name, words, "float32")


@pytest.mark.parametrize("dtype", ["bfloat16"])
@pytest.mark.parametrize("name", CASES)
def test_narrow_operands_equal_the_oracle(name, dtype):
    check(name, "toward_zero sequential", dtype)


def check(name, words, dtype):
    _, attributes, wanted = CASES[name]
    arithmetic = Arithmetic.parse(words)
    tensors, arrays = operands(name, dtype)
    for i in wanted:
        tensors[i].requires_grad_()
    results = _programs.run(name, tensors, attributes, Numbers(arithmetic, None, 0))
    expected = run_program(name, arrays, attributes, rules_of(arithmetic), dtype)
    count = PROGRAMS[name].results
    for y, e in zip(results, expected[:count], strict=True):
        assert reference.same(y.detach().double().numpy(), e), "forward"

    cotangent = torch.from_numpy(values(*results[0].shape, seed=7)).to(results[0].dtype)
    found = torch.autograd.grad(results[0], [tensors[i] for i in wanted], cotangent)
    needed = [i in wanted for i in range(len(tensors))]
    gradients = run_gradient(
        name, needed, [cotangent.double().numpy()], arrays, expected, attributes, rules_of(arithmetic), dtype=dtype
    )
    for g, i in zip(found, wanted, strict=True):
        assert reference.same(g.double().numpy(), gradients[i]), f"gradient of input {i}"


def test_every_program_has_a_case():
    assert set(CASES) == set(PROGRAMS)


def test_control_another_line_gives_other_bits(monkeypatch):
    """The oracle follows the program's text: a changed line is seen."""
    name, words = "layer_norm", "nearest_even"
    tensors, arrays = operands(name, "float32")
    y = _programs.run(name, tensors, CASES[name][1], Numbers(Arithmetic.parse(words), None, 0))[0]
    other = run_program(name, arrays, {**CASES[name][1], "eps": 1.1e-5}, rules_of(Arithmetic.parse(words)))[0]
    assert not reference.same(y.double().numpy(), other)


def test_a_gradient_may_have_its_own_arithmetic():
    tensors, _ = operands("layer_norm", "float32")

    def gradients(words):
        leaves = [t.clone().requires_grad_() for t in tensors]
        y = fpdet.nn.functional.layer_norm(leaves[0], (3, 2), *leaves[1:], arithmetic=words)
        return [y, *torch.autograd.grad(y, leaves, torch.ones_like(y))]

    up, down, mixed = (gradients(w) for w in ("upward", "downward", "upward | downward | upward"))
    assert torch.equal(mixed[0], up[0]) and torch.equal(mixed[2], up[2]) and torch.equal(mixed[3], up[3])
    assert not torch.equal(mixed[1], up[1]) and not torch.equal(up[2], down[2])


def test_second_derivatives_exist():
    x = torch.from_numpy(X).double().requires_grad_()
    for function in (fpdet.ops.square, lambda t: fpdet.ops.mean(t, 1), lambda t: fpdet.ops.var(t, 1)):
        assert torch.autograd.gradgradcheck(function, (x,))


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "layer_norm", "gelu", "silu", "tanh", "batch_norm"])
def test_second_derivatives_are_torchs_up_to_rounding(name):
    functions = {
        "layer_norm": lambda F: lambda x: F.layer_norm(x, (3,)),
        "batch_norm": lambda F: lambda x: F.batch_norm(x, None, None, training=True),
        "softmax": lambda F: lambda x: F.softmax(x, 1),
        "log_softmax": lambda F: lambda x: F.log_softmax(x, 1),
    }
    make = functions.get(name, lambda F: getattr(F, name))

    def second(function, dtype):
        x = torch.from_numpy(values(4, 3, seed=1)).to(dtype).requires_grad_()
        weights = torch.from_numpy(values(4, 3, seed=2)).to(dtype)
        (g,) = torch.autograd.grad((function(x) * weights).sum(), x, create_graph=True)
        return torch.autograd.grad((g * weights).sum(), x)[0]

    ours = second(make(fpdet.nn.functional), torch.float32)
    torch.testing.assert_close(ours.double(), second(make(torch.nn.functional), torch.float64), rtol=1e-4, atol=1e-4)


def test_the_page_is_the_programs():
    text = (Path(__file__).parents[1] / "docs" / "programs.md").read_text()
    assert text == page(), "python -m fpdet.programs.page > docs/programs.md"
