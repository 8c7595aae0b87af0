"""What may not change a bit: threads, instruction set, strides, batch neighbours, the ambient floating-point state.

Each invariance has a control beside it: the knob does change something, or torch itself moves under it.
"""

import itertools

import pytest
import torch
from integers import values
from test_conv import OPS, as_array, tensor

import fpdet

ARITHMETICS = (
    "nearest_even sequential auto fused",
    "upward blocked(7) auto fused",
    "downward pairwise auto unfused",
    "toward_zero strided(8) auto fused",
    "nearest_even split(5).shuffled(3) auto fused",
    "nearest_even kahan float32",
    "nearest_away sequential float16 fused",
    "stochastic shuffled(3,vary=element) auto fused bits=8 seed=4",
    "toward_zero exact",
)


def pointwise(arithmetic, x, weight):
    """x + x reversed, x rounded to bfloat16, and a step of SGD from weight."""
    rounding = arithmetic.partition(" ")[0]
    step = "nearest_even sequential auto fused" if "exact" in arithmetic or "kahan" in arithmetic else arithmetic
    param = weight.clone()
    OPS.sgd_([param], [weight], [], False, 0.1, 0.0, 0.0, 5e-4, False, False, 3.0, step, None)
    return OPS.add(x, x.flip(0), arithmetic, None, 4), OPS.round(x, "bfloat16", rounding, None, 0), param


def passes(arithmetic, x, weight, bias, grad):
    """All four passes of one convolution (3x3, padding 1)."""
    ones = ([1, 1], [1, 1], [1, 1])
    return (
        OPS.convolution(x, weight, bias, *ones, 1, list(x.shape[2:]), arithmetic, None, 0, 0),
        OPS.convolution_grad_input(grad, weight, None, *ones, 1, list(x.shape[2:]), arithmetic, None, 1, 0),
        OPS.convolution_grad_weight(grad, x, *ones, 1, list(weight.shape[2:]), arithmetic, None, 2),
        OPS.channel_sum(grad, arithmetic, None, 3),
    )


def operands(dtype="float32", n=3, c=5, k=6, size=(9, 7), kind="hard"):
    return (
        tensor(values((n, c, *size), 1, kind), dtype),
        tensor(values((k, c, 3, 3), 2, kind), dtype),
        tensor(values((k,), 3, kind), dtype),
        tensor(values((n, k, *size), 4, kind), dtype),
    )


def digests(arithmetic, tensors):
    x, weight, *_ = tensors
    return [fpdet.digest(t) for t in (*passes(arithmetic, *tensors), *pointwise(arithmetic, x, weight))]


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_threads(arithmetic, threads):
    tensors = operands(n=5, size=(17, 19))
    seen = []
    for count in (1, 2, 7):
        threads(count)
        assert torch.get_num_threads() == count
        seen.append(digests(arithmetic, tensors))
    assert seen[0] == seen[1] == seen[2]


def test_control_torch_moves_with_threads(threads):
    """torch's own bias gradient or weight gradient depends on the number of threads: the test above is no empty one."""
    generator = torch.Generator().manual_seed(1)
    x, grad = (torch.randn(16, 64, 28, 28, generator=generator) for _ in range(2))
    weight = torch.ones(64, 64, 3, 3)
    geometry = ([64], [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [False, True, True])
    seen = set()
    for count in (1, 2, 3, 7):
        threads(count)
        _, grad_weight, grad_bias = torch.ops.aten.convolution_backward(grad, x, weight, *geometry)
        seen.add((fpdet.digest(grad_weight), fpdet.digest(grad_bias)))
    assert len(seen) > 1


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_instruction_sets(arithmetic, dtype):
    tensors = operands(dtype)
    seen = {}
    try:
        for name in [*OPS.instruction_sets(), "portable"]:
            assert OPS.set_instruction_set(name) == name
            seen[name] = digests(arithmetic, tensors)
    finally:
        OPS.set_instruction_set("")
    assert len(set(map(tuple, seen.values()))) == 1, seen


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_strides(arithmetic):
    """Channels last, a permuted buffer, a step of two, an expanded batch: the values alone count."""
    tensors = operands()
    expected = digests(arithmetic, tensors)
    rearranged = {
        "channels_last": [t.contiguous(memory_format=torch.channels_last) if t.dim() == 4 else t for t in tensors],
        "transposed": [t.transpose(-1, -2).contiguous().transpose(-1, -2) if t.dim() == 4 else t for t in tensors],
        "every second": [torch.stack([t, t + 1], -1).flatten(-2)[..., ::2] for t in tensors],
    }
    for name, changed in rearranged.items():
        assert all(torch.equal(a, b) for a, b in zip(changed, tensors, strict=True))
        assert digests(arithmetic, changed) == expected, name
    single = tensors[0][:1]
    expanded = [single.expand(3, -1, -1, -1), *tensors[1:]]
    repeated = [single.repeat(3, 1, 1, 1), *tensors[1:]]
    assert digests(arithmetic, expanded) == digests(arithmetic, repeated)


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_batch_neighbours(arithmetic):
    x, weight, bias, grad = operands(n=4)
    ones = ([1, 1], [1, 1], [1, 1], 1)
    whole = OPS.convolution(x, weight, bias, *ones, [9, 7], arithmetic, None, 0, 0)
    whole_grad = OPS.convolution_grad_input(grad, weight, None, *ones, [9, 7], arithmetic, None, 1, 0)
    for i in range(4):
        part = OPS.convolution(x[i : i + 1], weight, bias, *ones, [9, 7], arithmetic, None, 0, i)
        assert fpdet.digest(part) == fpdet.digest(whole[i : i + 1])
        part = OPS.convolution_grad_input(grad[i : i + 1], weight, None, *ones, [9, 7], arithmetic, None, 1, i)
        assert fpdet.digest(part) == fpdet.digest(whole_grad[i : i + 1])


def test_control_batch_offset_counts_for_stochastic():
    x, weight, bias, _ = operands(n=1)
    text = "stochastic sequential bfloat16 fused seed=1"
    ones = ([1, 1], [1, 1], [1, 1], 1)
    a, b = (OPS.convolution(x, weight, bias, *ones, [9, 7], text, None, 0, offset) for offset in (0, 1))
    assert not torch.equal(a, b)


DEFAULT_MXCSR = 0x1F80
HOSTILE = {
    "toward zero": DEFAULT_MXCSR | 0x6000,
    "upward": DEFAULT_MXCSR | 0x4000,
    "flush to zero, denormals are zero": DEFAULT_MXCSR | 0x8040,
    "all of it": DEFAULT_MXCSR | 0xE040,
}


def torch_follows(one):
    """torch's own arithmetic where directed roundings and flushing show."""
    return torch.cat([one + 2.0**-30, one - 2.0**-30, one * 2.0**-100 * 2.0**-30])


@pytest.mark.skipif(torch.backends.cpu.get_cpu_capability() == "DEFAULT", reason="MXCSR values are x86's")
@pytest.mark.parametrize("state", HOSTILE)
@pytest.mark.parametrize("count", [1, 3])
def test_hostile_environments(state, count, threads):
    """A rounding mode or flush-to-zero left behind in every pool worker moves no bit, and stays as it was."""
    threads(count)
    tiny = 2.0**-130  # products and sums of these are subnormal
    tensors = [t * tiny if i else t for i, t in enumerate(operands(n=5, size=(17, 19)))]
    expected = [digests(arithmetic, tensors) for arithmetic in ARITHMETICS]
    one = torch.ones(8)
    before = OPS.read_environments()
    assert len(before) == count
    try:
        OPS.write_environments(HOSTILE[state])
        moved = torch_follows(one)
        got = [digests(arithmetic, tensors) for arithmetic in ARITHMETICS]
        after = OPS.read_environments()
    finally:
        OPS.write_environments(DEFAULT_MXCSR)
    assert got == expected
    assert [value & ~0x3F for value in after] == [HOSTILE[state]] * count  # all but the sticky flags
    assert not torch.equal(moved, torch_follows(one)), "control: torch itself follows the ambient state"


def test_set_flush_denormal_moves_nothing():
    tensors = [t * 2.0**-130 if i else t for i, t in enumerate(operands())]
    expected = [digests(arithmetic, tensors) for arithmetic in ARITHMETICS]
    if not torch.set_flush_denormal(True):
        pytest.skip("torch cannot flush denormals on this processor")
    try:
        got = [digests(arithmetic, tensors) for arithmetic in ARITHMETICS]
        assert (torch.tensor([2.0**-130]) * 1.0).item() == 0.0, "control: torch flushes"
    finally:
        torch.set_flush_denormal(False)
    assert got == expected


def test_subnormals_are_there():
    """Control for the two tests above: their results do hold subnormals."""
    tensors = [t * 2.0**-130 if i else t for i, t in enumerate(operands())]
    y = as_array(passes(ARITHMETICS[0], *tensors)[0])
    assert ((abs(y) < 2.0**-126) & (y != 0)).any()


def test_run_to_run():
    for arithmetic, dtype in itertools.product(ARITHMETICS, ("float32", "float16")):
        tensors = operands(dtype, kind="special")
        assert digests(arithmetic, tensors) == digests(arithmetic, tensors)
