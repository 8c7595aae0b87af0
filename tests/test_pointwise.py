"""Addition, rounding to a format and the SGD step against the oracle, bit for bit."""

import itertools

import numpy as np
import pytest
import torch
from integers import values
from test_conv import ACCUMULATORS, OPS, ROUNDINGS, as_array, assert_same, tensor, words

from fpdet import reference

STOCHASTIC = {"nearest_even": "", "stochastic": " bits=8 variant=b seed=3"}


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_add_equals_the_oracle(rounding, dtype):
    a, b = (tensor(values((3, 11), seed, "special"), dtype) for seed in (1, 2))
    for accumulator, order in (("auto", "sequential"), ("float16", "pairwise"), ("auto", "exact")):
        text, rules = words(rounding, order, accumulator, True, 8, "a", 3)
        rules = reference.Rules(**{**rules.__dict__, "batch_offset": 0})
        got = OPS.add(a, b, text, torch.tensor([3, 5]), 4)
        assert_same(got, reference.add_tensors(as_array(a), as_array(b), rules, dtype), text)


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_round_equals_the_oracle(rounding):
    x = values((4, 30), 7, "special")
    x[0, :6] = [70000.0, 65520.0, 65519.99, 2.0**-25, -(2.0**-149), 2.0**-133]
    for dtype, format, bits in itertools.product(("float64", "float32", "float16"), ACCUMULATORS[1:], (5, 32)):
        rules = reference.Rules(rounding, bits=bits, variant="c", seed=9, counter=2, batch_offset=6)
        t = tensor(x, dtype)
        text = rounding + (f" bits={bits} variant=c seed=9" if rounding == "stochastic" else "")
        got = OPS.round(t, format, text, torch.tensor([9, 2]), 6)
        assert_same(got, reference.round_tensor(as_array(t), format, rules, dtype), f"{text} {dtype} to {format}")


SETTINGS = [
    dict(lr=0.1),
    dict(lr=0.1, weight_decay=5e-4, maximize=True),
    dict(lr=0.1, momentum=0.9),
    dict(lr=0.1, momentum=0.9, dampening=0.3, weight_decay=5e-4),
    dict(lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4),
    dict(lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4, rescale=3.0),
    dict(lr=1e-3, rescale=7.0),
]


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: "-".join(s))
def test_sgd_equals_the_oracle(rounding, setting):
    choices = itertools.product(("float64", "float32", "bfloat16"), ("auto", "bfloat16"), (True, False), (True, False))
    for dtype, accumulator, fused, first_step in choices:
        text, rules = words(rounding, "sequential", accumulator, fused, 8, "a", 3)
        param, grad, buffer = (tensor(values((13,), seed, "hard"), dtype) for seed in (1, 2, 3))
        expected = reference.sgd_step(
            *map(as_array, (param, grad, buffer)), **setting, first_step=first_step, rules=rules, dtype=dtype
        )
        full = dict(momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, maximize=False, rescale=1.0)
        full.update(setting)
        lr = full.pop("lr")
        buffers = [buffer] if full["momentum"] else []
        order = ("momentum", "dampening", "weight_decay", "nesterov", "maximize", "rescale")
        before = grad.clone()
        OPS.sgd_([param], [grad], buffers, first_step, lr, *(full[name] for name in order), text, torch.tensor([3, 5]))
        assert_same(param, expected[0], f"{text} {dtype} {setting}")
        if buffers:
            assert_same(buffer, expected[1], f"buffer {text} {dtype} {setting}")
        assert torch.equal(before, grad)


def test_control_rescale_by_a_power_of_two_is_nothing_and_by_three_is_something():
    results = {}
    for k in (1.0, 2.0, 3.0, 4.0):
        param, grad = tensor(values((1000,), 1), "float32"), tensor(values((1000,), 2), "float32")
        text = "nearest_even sequential float32 fused"
        OPS.sgd_([param], [grad], [], False, 0.1, 0.0, 0.0, 0.0, False, False, k, text, None)
        results[k] = param
    assert torch.equal(results[1.0], results[2.0]) and torch.equal(results[1.0], results[4.0])
    assert not torch.equal(results[1.0], results[3.0])


def test_strides_do_not_enter_a_result():
    plain = tensor(values((6, 5, 4), 1), "float32")
    other = plain.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    assert not other.is_contiguous() and torch.equal(plain, other)
    for rounding in ("stochastic bits=8 seed=3", "toward_zero"):
        a = OPS.round(plain, "bfloat16", rounding, None, 0)
        assert torch.equal(a, OPS.round(other, "bfloat16", rounding, None, 0))
    text = "stochastic sequential bfloat16 fused seed=4"
    params = [plain.clone(), other.clone(memory_format=torch.preserve_format)]
    grads = [other, plain]
    for param, grad in zip(params, grads, strict=True):
        OPS.sgd_([param], [grad], [], False, 0.1, 0.0, 0.0, 0.0, False, False, 1.0, text, None)
    assert params[1].stride() == other.stride() and torch.equal(*params)
    assert not np.array_equal(params[0].numpy(), plain.numpy())
