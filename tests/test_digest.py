"""Digests over bits, and distances in ulps."""

import struct

import numpy as np
import pytest
import torch

import fpdet

INF = float("inf")
NAN = float("nan")
FAR = 2**63 - 1


def test_nan_is_one_zero_is_two():
    payload = torch.tensor([0x7FC00001, -1], dtype=torch.int32).view(torch.float32)
    plain = torch.tensor([NAN, NAN])
    assert fpdet.digest(payload) == fpdet.digest(plain)
    assert fpdet.digest(torch.tensor([0.0])) != fpdet.digest(torch.tensor([-0.0]))


def test_shape_dtype_and_value_take_part():
    x = torch.arange(6.0)
    digests = {
        fpdet.digest(v)
        for v in (x, x.view(2, 3), x.double(), x.half(), x.bfloat16(), x + 1, x.long(), x > 2, [x], {"x": x})
    }
    assert len(digests) == 10


def test_layout_does_not_take_part():
    x = torch.arange(120.0).view(2, 3, 4, 5)
    assert fpdet.digest(x) == fpdet.digest(x.contiguous(memory_format=torch.channels_last))
    assert fpdet.digest(x.mT) != fpdet.digest(x)
    assert fpdet.digest(x[:, ::2]) == fpdet.digest(x[:, ::2].contiguous())
    assert fpdet.digest(x.numpy()) == fpdet.digest(x)


def test_modules_by_name():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3))
    assert fpdet.digest(model) == fpdet.digest(model.state_dict())
    assert fpdet.digest(model) == fpdet.digest(dict(reversed(model.state_dict().items())))
    before = fpdet.digest(model)
    with torch.no_grad():
        model[0].bias[0] = torch.nextafter(model[0].bias[0], torch.tensor(INF))
    assert fpdet.digest(model) != before


def test_nesting_cannot_be_confused():
    values = [[1, 2], [[1], 2], ["1", 2], [1.0, 2], {1: 2}, (1, [2]), [True, 2], None, "12", b"12"]
    assert len({fpdet.digest(v) for v in values}) == len(values)


def test_refuses_what_it_cannot_hash():
    with pytest.raises(TypeError, match="object"):
        fpdet.digest(object())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_ulp_distance(dtype):
    one = torch.ones(1, dtype=dtype)
    more = torch.nextafter(one.double(), one.double() * 2) if dtype == torch.float64 else None
    eps = torch.finfo(dtype).eps
    pairs = [(1.0, 1.0 + eps, 1), (1.0, 1.0 - eps / 2, 1), (0.0, -0.0, 0), (NAN, NAN, 0), (NAN, 1.0, FAR)]
    for a, b, want in pairs:
        got = fpdet.ulp_distance(torch.tensor([a], dtype=dtype), torch.tensor([b], dtype=dtype))
        assert got.item() == want
    tiny = torch.finfo(dtype).smallest_normal * eps
    got = fpdet.ulp_distance(torch.tensor([tiny], dtype=dtype), torch.tensor([-tiny], dtype=dtype))
    assert got.item() == 2
    if more is not None:
        assert fpdet.ulp_distance(one, more).item() == 1


def test_ulp_distance_of_the_ends():
    x = torch.tensor([INF], dtype=torch.float64)
    bits = struct.unpack("<q", np.float64(INF).tobytes())[0]
    assert fpdet.ulp_distance(x, x * 0).item() == FAR  # inf * 0 is NaN
    assert fpdet.ulp_distance(x, torch.zeros_like(x)).item() == bits
    assert fpdet.ulp_distance(x, -x).item() == FAR


def test_ulp_distance_refuses():
    x = torch.ones(2)
    for other, error in ((x.double(), RuntimeError), (x[:1], RuntimeError), (3.0, TypeError), (x.long(), TypeError)):
        with pytest.raises(error, match="b:"):
            fpdet.ulp_distance(x, other)
