"""The elementwise kernels against the slow path (the definition itself), bit for bit."""

import functools
import itertools

import numpy as np
import pytest
import torch
from integers import splitmix64, values
from test_conv import ACCUMULATORS, OPS, ROUNDINGS, as_array
from test_conv import assert_same as assert_same_array
from test_invariance import DEFAULT_MXCSR, HOSTILE

import fpdet

DTYPES = {"float64": 64, "float32": 32, "bfloat16": 16, "float16": 16}
FORMATS = [*ACCUMULATORS[1:], "e5p20", "e2p2", "e8p3", "e11p30"]
HARDWARE = ("nearest_even", "toward_zero", "upward", "downward")
SIZES = (0, 1, 7, 8, 33, 200)


def assert_same(got, expected, label):
    assert_same_array(got, as_array(expected), label)


def slow(call):
    """What the definition gives."""
    OPS.use_elementwise_kernels(False)
    try:
        return call()
    finally:
        OPS.use_elementwise_kernels(True)


def patterns(dtype, count, seed):
    return _patterns(dtype, count, seed).clone()


@functools.cache
def _patterns(dtype, count, seed):
    """Any bit pattern, and as many within an octave or two of the edges of the narrow formats."""
    words = splitmix64(count, seed)
    width = DTYPES[dtype]
    integers = (words >> np.uint64(64 - width)).astype(f"uint{width}").view(f"int{width}")
    x = torch.from_numpy(integers.copy()).view(getattr(torch, dtype))
    edges = 2.0 ** torch.tensor([-149, -133, -126, -25, -24, -14, 0, 15, 16, 120, 127], dtype=torch.float64)
    near = edges[torch.arange(count) % len(edges)] * torch.from_numpy((words % 4096) / 2048.0 - 1)
    near[::3] = torch.from_numpy(words[::3] % 64 / 8.0 - 4) * edges[torch.arange(count)[::3] % len(edges)]
    return torch.where(torch.arange(count) % 2 == 0, x, near.to(x.dtype))


@pytest.fixture(params=OPS.instruction_sets())
def instruction_set(request):
    OPS.set_instruction_set(request.param)
    yield request.param
    OPS.set_instruction_set("")


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_round(rounding, dtype, instruction_set):
    x = patterns(dtype, 1001, 1).view(1, 1001)
    options = [f" bits={b} variant={v} seed=3" for b, v in itertools.product((1, 13, 32), "abc")]
    for format, option in itertools.product(FORMATS, options if rounding == "stochastic" else [""]):
        text = rounding + option
        call = lambda: OPS.round(x, format, text, torch.tensor([9, 2]), 6)  # noqa: B023, E731
        assert_same(call(), slow(call), f"{text} {dtype} to {format}")


@pytest.mark.parametrize("shape", [(n,) for n in SIZES] + [(3, 1), (5, 3), (9, 40), (2, 3, 70), (), (4, 0)])
def test_numbers_of_elements_under_stochastic_rounding(shape, instruction_set):
    x = torch.from_numpy(values(shape, 4)).float() if 0 not in shape else torch.empty(shape)
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        call = lambda: OPS.round(x.to(dtype), "float8_e5m2", "stochastic bits=16 seed=5", None, 2**32 - 3)  # noqa: B023, E731
        assert_same(call(), slow(call), f"{shape} {dtype}")


LEAST_NORMAL = {format: 2.0**-14 for format in ("float16", "float8_e5m2", "e5p20")}
LEAST_NORMAL |= {"float8_e4m3fn": 2.0**-6, "e7p9": 2.0**-62}


@pytest.mark.parametrize("format", LEAST_NORMAL)
@pytest.mark.parametrize("bits", [1, 8, 32])
def test_numbers_below_the_normal_range_under_stochastic_rounding(format, bits, instruction_set):
    """Vectors of nothing else take a way of their own, and so do those that have both."""
    least = LEAST_NORMAL[format]
    share = torch.from_numpy(values((1920,), 8)).float()
    below = share / share.abs().max() * torch.tensor(least).nextafter(torch.tensor(0.0))
    below[1::7] *= 2.0 ** -torch.arange(len(below[1::7])).remainder(90).float()  # far below the quantum
    below[::11] = 0.0
    below[3::13] = torch.tensor(least).nextafter(torch.tensor(0.0))  # may become the least normal number
    mixed = below.clone()
    mixed[::16] = torch.tensor([1.0, float("inf"), -least, 3e38]).repeat(30)
    drawn = []
    for variant, seed in itertools.product("ab", (3, 4)):
        if (variant, bits) == ("b", 32):
            continue  # R + 1/2 fits no lane: never this kernel
        for x in (below, mixed, -mixed):
            call = lambda: OPS.round(x, format, f"stochastic bits={bits} variant={variant} seed={seed}", None, 0)  # noqa: B023, E731
            assert_same(call(), slow(call), f"{format} {bits} {variant}")
        drawn.append(fpdet.digest(call()))
    assert len(set(drawn)) == len(drawn)  # the control: what is drawn shows


SETTINGS = [  # momentum, dampening, weight_decay, nesterov, maximize, rescale
    (0.0, 0.0, 0.0, False, False, 1.0),
    (0.0, 0.0, 5e-4, False, True, 3.0),
    (0.9, 0.0, 0.0, False, False, 1.0),
    (0.9, 0.3, 5e-4, False, True, 1.0),
    (0.9, 0.0, 5e-4, True, False, 3.0),
]


def sgd(dtype, text, first, setting):
    tensors = [[patterns(dtype, n, seed + n) for n in SIZES] for seed in (1, 2, 3)]
    params, grads, buffers = tensors
    OPS.sgd_(params, grads, buffers if setting[0] else [], first, 0.1, *setting, text, torch.tensor([3, 5]))
    return torch.cat(params), torch.cat(buffers)


def assert_sgd_equals_the_slow_path(dtype, text, setting):
    for first in (False, True) if setting[0] else (False,):
        got, expected = sgd(dtype, text, first, setting), slow(lambda: sgd(dtype, text, first, setting))  # noqa: B023
        for a, b in zip(got, expected, strict=True):
            assert_same(a, b, f"{text} {dtype} {setting} first={first}")


@pytest.mark.parametrize("rounding", HARDWARE)
@pytest.mark.parametrize("dtype", DTYPES)
def test_sgd(rounding, dtype, instruction_set):
    for setting, accumulator, fused in itertools.product(SETTINGS, ("auto", "float64"), ("fused", "unfused")):
        assert_sgd_equals_the_slow_path(dtype, f"{rounding} sequential {accumulator} {fused}", setting)


OPTIONS = ("", " bits=8", " bits=13 variant=b", " bits=29 variant=c")


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_sgd_without_hardware(rounding, dtype, instruction_set):
    accumulators = ("auto", "bfloat16", "float16", "float8_e4m3fn", "e5p20", "e2p2", "e8p3")
    rounds = [rounding + option for option in OPTIONS] if rounding == "stochastic" else [rounding]
    for text, accumulator, (i, setting) in itertools.product(rounds, accumulators, enumerate(SETTINGS)):
        word, *options = text.split(" ", 1)
        fused = "fused" if (i + len(accumulator)) % 2 else "unfused"
        words = " ".join([word, "sequential", accumulator, fused, *options])
        assert OPS.sgd_has_kernel(dtype, words)
        assert_sgd_equals_the_slow_path(dtype, words, setting)


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_division_without_hardware(rounding, instruction_set):
    """Gradients of any pattern divided by anything: quotients of any size, ties of narrow formats among them."""
    divisors = (0.3, 5.0, 1.5 * 2.0**-126, 3 * 2.0**-148, 1.1 * 2.0**127, 2.0**-149, 65504.0, -7.0, 1e300)
    options = OPTIONS if rounding == "stochastic" else ("",)
    for divisor, accumulator, option in itertools.product(divisors, ("float32", "bfloat16", "e4p3", "e8p3"), options):
        words = f"{rounding} sequential {accumulator} fused{option}"
        step = lambda: sgd("float32", words, True, (0.9, 0.0, 0.0, False, False, divisor))  # noqa: B023, E731
        for a, b in zip(step(), slow(step), strict=True):
            assert_same(a, b, f"{words} {divisor}")


def test_sgd_keyed_by_operands_takes_the_slow_path():
    words = "stochastic sequential float32 fused bits=8 keyed_by="
    assert OPS.sgd_has_kernel("float32", words + "position")
    assert not OPS.sgd_has_kernel("float32", words + "operands")
    assert not OPS.sgd_has_kernel("float64", words + "position")


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_add(rounding, dtype, instruction_set):
    orders = ["exact", *(f"sequential {f} fused" for f in ("auto", "float64", "float32", "bfloat16", "e4p3"))]
    options = OPTIONS if rounding == "stochastic" else ("",)
    for shape, order, option in itertools.product([*((n,) for n in SIZES), (9, 40), (23, 3)], orders, options):
        n = int(np.prod(shape))
        a, b = patterns(dtype, n, 1).view(shape), patterns(dtype, n, 2).view(shape)
        words = f"{rounding} {order}{option}"
        call = lambda: OPS.add(a, b, words, torch.tensor([3, 5]), 2**32 - 3)  # noqa: B023, E731
        assert_same(call(), slow(call), f"{words} {dtype} {shape}")


def layouts(x):
    yield x.contiguous(memory_format=torch.channels_last)
    yield x.transpose(1, 3).contiguous().transpose(1, 3)
    yield torch.stack([x, x + 1], -1)[..., 0]


@pytest.mark.parametrize("rounding", ["upward", "stochastic seed=4"])
def test_layouts(rounding):
    x = torch.from_numpy(values((3, 4, 5, 6), 8)).float()
    expected = slow(lambda: OPS.round(x, "bfloat16", rounding, None, 0))
    words = rounding.split()
    arithmetic = " ".join([words[0], "sequential auto fused", *words[1:]])
    sum_expected = slow(lambda: OPS.add(x, x, arithmetic, None, 4))
    for other in layouts(x):
        got = OPS.round(other, "bfloat16", rounding, None, 0)
        assert_same(got, expected, f"{other.stride()}")
        assert got.stride() == torch.empty_like(other).stride()
        assert_same(OPS.add(other, x, arithmetic, None, 4), sum_expected, f"{other.stride()}")
        for param, grad in ((other, x), (x, other)):
            p, q = param.clone(memory_format=torch.preserve_format), x.clone()
            for target, gradient in ((p, grad), (q, x)):
                OPS.sgd_([target], [gradient], [], False, 0.1, 0.0, 0.0, 0.0, False, False, 1.0, arithmetic, None)
            assert_same(p, q, f"sgd {param.stride()} {grad.stride()}")
    gaps = torch.zeros(3, 4, 5, 12)
    view = gaps[..., ::2]
    view.copy_(x)
    OPS.sgd_([view], [x], [], False, 0.1, 0.0, 0.0, 0.0, False, False, 1.0, arithmetic, None)
    assert_same(view, q, "a parameter with gaps")
    assert gaps[..., 1::2].eq(0).all()


def test_large_results_past_the_caches():
    """Large enough for streaming stores; the result begins and ends anywhere in a vector."""
    storage = torch.empty((1 << 21) + 100)
    x = torch.from_numpy(values(((1 << 21) + 50,), 3)).float()
    expected = slow(lambda: OPS.round(x[:5000], "float16", "upward", None, 0))
    for shift in (0, 1, 5, 15):
        out = storage[shift : shift + len(x)]
        storage.fill_(7)
        OPS.round_out(x, "float16", "upward", None, 0, out)
        assert_same(out[:5000], expected, f"shift {shift}")
        assert torch.equal(out, OPS.round(x, "float16", "upward", None, 0))
        assert storage[:shift].eq(7).all() and storage[shift + len(x) :].eq(7).all()
    assert torch.equal(OPS.add(x, x, "upward sequential", None, 4), x + x)


def test_threads_split_the_whole_list(threads):
    """Borders between threads fall inside tensors and vectors."""
    sizes = (40_001, 3, 0, 77_777, 16)
    seen = []
    for count in (1, 2, 5):
        threads(count)
        params, grads, buffers = ([patterns("float32", n, seed) for n in sizes] for seed in (1, 2, 3))
        text = "downward sequential auto unfused"
        OPS.sgd_(params, grads, buffers, False, 0.1, 0.9, 0.1, 1e-3, True, False, 3.0, text, None)
        x = OPS.round(patterns("float32", 100_003, 5), "float16", "stochastic seed=3", None, 0)
        seen.append(fpdet.digest([*params, *buffers, x]))
    assert len(set(seen)) == 1


@pytest.mark.skipif(torch.backends.cpu.get_cpu_capability() == "DEFAULT", reason="MXCSR values are x86's")
@pytest.mark.parametrize("state", HOSTILE)
def test_hostile_environments(state, instruction_set):
    """Kernels whose conversions pass through the processor: subnormals of every element type."""
    results = {}
    for hostile in (False, True):
        if hostile:
            OPS.write_environments(HOSTILE[state])
        try:
            seen = []
            for dtype, rounding in itertools.product(
                DTYPES, ("nearest_even", "downward", "to_odd", "stochastic seed=1")
            ):
                x = patterns(dtype, 501, 1)
                seen.append(OPS.round(x, "float8_e5m2", rounding, None, 0))
                text = rounding.split()[0] + " sequential"
                p = patterns(dtype, 501, 2)
                OPS.sgd_([p], [x], [], False, 0.1, 0.0, 0.0, 0.0, False, False, 1.0, text, None)
                seen.append(p)
        finally:
            OPS.write_environments(DEFAULT_MXCSR)
        results[hostile] = fpdet.digest(seen)
    assert results[False] == results[True]


def test_control_roundings_and_fusing_matter():
    x, y = (torch.from_numpy(values((1000,), seed)).float() for seed in (1, 2))
    x[:2] = torch.tensor([1 + 2.0**-8, 1 + 3 * 2.0**-8])  # ties
    assert len({fpdet.digest(OPS.round(x, "bfloat16", rounding, None, 0)) for rounding in ROUNDINGS}) == len(ROUNDINGS)
    seen = set()
    for text in (f"{r} sequential auto {fused}" for r in HARDWARE for fused in ("fused", "unfused")):
        p = x.clone()
        OPS.sgd_([p], [y], [], False, 0.1, 0.0, 0.0, 0.0, False, False, 1.0, text, None)
        seen.add(fpdet.digest(p))
    assert len(seen) == 8
    determined = [rounding for rounding in ROUNDINGS if rounding != "stochastic"]
    drawn = ["stochastic" + option for option in OPTIONS[:-1]]  # 29 bits are the first of 32
    seen = set()
    for rounding, fused in itertools.product(determined + drawn, ("fused", "unfused")):
        word, *option = rounding.split(" ", 1)
        words = " ".join([word, "sequential", "bfloat16", fused, *option])
        seen.add(fpdet.digest(sgd("float32", words, False, SETTINGS[-1])))
    assert len(seen) == 2 * len(determined + drawn)


def test_capabilities_are_what_has_a_kernel():
    """`native` is what the library says; with kernels off the same calls take the slow path and agree."""
    table = fpdet.capabilities()
    rounds = {(c.rounding, c.format): c.status for c in table.find(op="round", device="cpu")}
    assert rounds["stochastic", "bfloat16"] == rounds["to_odd", "float16"] == "native"
    assert set(rounds.values()) == {"native"}
    steps = {(c.rounding, c.format): c.status for c in table.find(op="sgd", device="cpu")}
    assert steps["upward", "float32"] == steps["downward", "float64"] == "native"
    assert steps["upward", "bfloat16"] == steps["to_odd", "float32"] == steps["stochastic", "float32"] == "native"
    assert steps["to_odd", "float64"] == "slow path"
    assert OPS.round_has_kernel("bfloat16", "float8_e4m3fn", "upward")
    assert not OPS.round_has_kernel("bfloat16", "float16", "upward")
    assert OPS.binary_has_kernel("float16", "add", "upward exact")
    assert OPS.binary_has_kernel("float64", "add", "to_odd exact") is False
    assert OPS.binary_has_kernel("float16", "add", "upward sequential")
    assert not OPS.sgd_has_kernel("float64", "upward sequential float32 fused")


def test_out():
    x = torch.from_numpy(values((5, 7), 1)).float()
    expected = fpdet.round(x, "bfloat16")
    out = torch.empty(7, 5).T
    assert fpdet.round(x, "bfloat16", out=out) is out and torch.equal(out, expected)
    same = x.clone()
    assert torch.equal(fpdet.round(same, "bfloat16", out=same), expected) and not torch.equal(x, expected)
    version = out._version
    fpdet.round(x, "bfloat16", out=out)
    assert out._version > version
    with pytest.raises(RuntimeError, match=r"out: expected shape \(5, 7\)"):
        fpdet.round(x, "bfloat16", out=torch.empty(5, 8))
    with pytest.raises(RuntimeError, match=r"out: expected torch\.float32"):
        fpdet.round(x, "bfloat16", out=torch.empty(5, 7, dtype=torch.float64))
    with pytest.raises(RuntimeError, match="requires_grad"):
        fpdet.round(x.requires_grad_(), "bfloat16", out=out)
