"""Golden digests: results of today, recorded once, so that no version, compiler or machine moves a bit unnoticed.

`python tests/test_golden.py` records them anew; a changed digest needs a line in CHANGELOG.md.
"""

import json
from pathlib import Path

import pytest
import torch
from integers import values
from test_conv import OPS, ORDERS, ROUNDINGS, tensor, words

import fpdet

GOLDEN = Path(__file__).parent / "golden" / "cpu.json"


def results():
    """(name, tensor) of every pass, for every rounding with every order, dtypes and accumulators taking turns."""
    shape = dict(stride=(2, 1), padding=(1, 2), dilation=(1, 2))
    settings = [(r, o) for r in ROUNDINGS for o in ORDERS]
    for i, (rounding, order) in enumerate(settings):
        dtype = ("float32", "float64", "bfloat16", "float16")[i % 4]
        accumulator = ("auto", "auto", "float32", "bfloat16", "tfloat32", "float8_e4m3fn")[i % 6]
        text, _ = words(rounding, order, accumulator, i % 3 != 0, (8, 32, 11)[i % 3], "abc"[i % 3], i)
        x, weight, bias = (
            tensor(values(s, i + j, "special" if i % 5 == 0 else "hard"), dtype)
            for j, s in enumerate([(2, 4, 9, 8), (6, 2, 3, 3), (6,)])
        )
        geometry = (shape["stride"], shape["padding"], shape["dilation"], 2)
        draw = torch.tensor([i, 2])
        y = OPS.convolution(x, weight, bias, *geometry, [5, 8], text, draw, 0, 1)
        grad = tensor(values(y.shape, i + 9, "hard"), dtype)
        yield f"{text} {dtype} forward", y
        yield (
            f"{text} {dtype} grad_input",
            OPS.convolution_grad_input(grad, weight, None, *geometry, [9, 8], text, draw, 1, 1),
        )
        yield (
            f"{text} {dtype} grad_weight",
            OPS.convolution_grad_weight(grad, x, *geometry, [3, 3], text, draw, 2),
        )
        yield f"{text} {dtype} channel_sum", OPS.channel_sum(grad, text, draw, 3)
    for rounding in ROUNDINGS:
        param, grad, buffer = (tensor(values((257,), j, "hard"), "float32") for j in (1, 2, 3))
        text = f"{rounding} sequential auto fused"
        OPS.sgd_([param], [grad], [buffer], False, 0.1, 0.9, 0.0, 5e-4, True, False, 3.0, text, torch.tensor([1, 2]))
        yield f"{text} sgd", torch.cat([param, buffer])
        param, grad, *state = (tensor(values((257,), j, "hard"), "float32") for j in (1, 2, 3, 4, 5))
        state = [state[0], *(s.abs() for s in state[1:])]
        options = (1e-3, 0.9, 0.999, 0.729, 0.997, 1e-8, 0.01, True, False, text, torch.tensor([1, 2]))
        OPS.adam_([param], [grad], *([s] for s in state), *options)
        yield f"{text} adam", torch.cat([param, *state])
        for format in ("bfloat16", "float16", "float8_e4m3fn", "float8_e5m2", "e6p7"):
            yield f"{rounding} round {format}", OPS.round(grad, format, rounding, torch.tensor([1, 2]), 0)


@pytest.fixture(scope="module")
def current():
    return {name: fpdet.digest(t) for name, t in results()}


def test_digests_are_the_recorded_ones(current):
    golden = json.loads(GOLDEN.read_text())
    assert current.keys() == golden.keys()
    changed = [name for name in golden if golden[name] != current[name]]
    assert not changed, f"{len(changed)} of {len(golden)} changed, first: {changed[:5]}"


def test_control_digests_tell_results_apart(current):
    """A digest that always came out the same would pass the test above."""
    assert len(set(current.values())) > 0.8 * len(current)


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(json.dumps({name: fpdet.digest(t) for name, t in results()}, indent=1) + "\n")
