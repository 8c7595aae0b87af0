"""Terms on the zero padding: kernels may leave them out only where no result can show it."""

import pytest
import torch
from test_conv import OPS, as_array, assert_same, words

from fpdet import reference

ROUNDINGS = ["nearest_even", "toward_zero", "upward", "downward"]
GEOMETRY = ([1, 1], [1, 1], [1, 1], 1)


def zeros(sign_on_padding):
    """x of zeros; weights whose sign differs where the first and the last pixels' padding is."""
    weight = torch.full((33, 3, 3, 3), -sign_on_padding)
    weight[:, :, 0, :] = weight[:, :, :, 0] = weight[:, :, 2, :] = weight[:, :, :, 2] = sign_on_padding
    return torch.zeros(2, 3, 1, 1), weight


def underflow(_):
    """Products that are too small, and negative; below the last pixels the padding's weights are positive."""
    weight = torch.full((33, 3, 3, 3), -(2.0**-100))
    weight[:, :, 2, :] = 1.0
    return torch.full((1, 3, 4, 8), 2.0**-100), weight


def special(value):
    """Ordinary values, and one weight that is none; others stand beside it in the first row of pixels."""
    generator = torch.Generator().manual_seed(1)
    x, weight = (torch.randn(shape, generator=generator) for shape in ((1, 3, 4, 8), (33, 3, 3, 3)))
    weight[7, 2, 0, 1] = value
    return x, weight


CASES = {
    "negative zeros": (zeros, -1.0, ("downward",)),
    "positive zeros": (zeros, 1.0, ()),
    "underflow": (underflow, 0, ("nearest_even", "toward_zero", "upward")),
    "infinity": (special, float("inf"), ROUNDINGS),
    "nan": (special, float("nan"), ROUNDINGS),
    "ordinary": (special, 1.0, ()),
}


def convolution(x, weight, text, padding=True):
    height, width = x.shape[2:] if padding else (x.shape[2] - weight.shape[2] + 1, x.shape[3] - weight.shape[3] + 1)
    geometry = (GEOMETRY[0], GEOMETRY[1] if padding else [0, 0], *GEOMETRY[2:])
    return OPS.convolution(x, weight, None, *geometry, [height, width], text, None, 0, 0)


def windows(tiles):
    """Goes through instruction sets and tiles (columns, terms) with the window method forced, for one worker."""
    try:
        for cpu in OPS.instruction_sets():
            OPS.set_instruction_set(cpu)
            for columns, terms in tiles:
                OPS.set_contraction_knobs(columns, terms, 0, 1, "window")
                yield cpu, columns, terms
    finally:
        OPS.set_instruction_set("")
        OPS.set_contraction_knobs(0, 0, 0, 0, "")


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("name", CASES)
def test_results_are_those_of_all_terms(name, rounding):
    make, argument, _ = CASES[name]
    x, weight = make(argument)
    text, rules = words(rounding, "blocked(16)", "auto", True, 32, "a", 1)
    expected = reference.convolution(as_array(x), as_array(weight), None, *GEOMETRY, rules=rules, dtype="float32")
    for circumstances in windows([(0, 0), (0, 18), (11, 9), (63, 7)]):
        assert_same(convolution(x, weight, text), expected, f"{name} {circumstances}")


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("name", CASES)
def test_control_without_those_terms_results_differ(name, rounding):
    """The first and the last pixel summed over their taps inside alone: not always the same bits."""
    make, argument, differing = CASES[name]
    x, weight = make(argument)
    text, _ = words(rounding, "sequential", "auto", True, 32, "a", 1)
    y = convolution(x, weight, text)
    inside = [slice(1, 1 + min(2, size)) for size in x.shape[2:]]
    first = convolution(x[:, :, :2, :2], weight[:, :, inside[0], inside[1]].contiguous(), text, padding=False)
    before = [slice(2 - min(2, size), 2) for size in x.shape[2:]]
    last = convolution(x[:, :, -2:, -2:], weight[:, :, before[0], before[1]].contiguous(), text, padding=False)
    corners = torch.stack([y[:, :, 0, 0], y[:, :, -1, -1]])
    alone = torch.stack([first[:, :, 0, 0], last[:, :, 0, 0]])
    same = torch.equal(corners.view(torch.int32), alone.view(torch.int32))
    assert same == (rounding not in differing)


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_weights_kept_from_a_box_inside_are_known_too(value):
    """Padding at the end alone: the first boxes of columns leave nothing out, the weights packed for them stay."""
    x, weight = special(value)
    weight[7, 2] = weight[6, 2]
    weight[7, 2, 2, 1] = value
    geometry = (GEOMETRY[0], [0, 0], *GEOMETRY[2:])
    text, rules = words("nearest_even", "blocked(16)", "auto", True, 32, "a", 1)
    x = torch.cat([x] * 3, dim=2)
    size = list(x.shape[2:])
    after = torch.nn.functional.pad(x, (0, 2, 0, 2))
    expected = reference.convolution(as_array(after), as_array(weight), None, *geometry, rules=rules, dtype="float32")
    for circumstances in windows([(0, 0), (8, 0), (24, 0)]):
        got = OPS.convolution(x, weight, None, *geometry, size, text, None, 0, 0)
        assert_same(got, expected, str(circumstances))
