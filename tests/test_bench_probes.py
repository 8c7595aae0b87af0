"""What the benchmark asks of the library."""

import pytest
import torch

import fpdet.nn.functional as F
from fpdet import _library  # noqa: F401  (registers the ops)

OPS = torch.ops.fpdet


@pytest.fixture(params=OPS.instruction_sets())
def instruction_set(request):
    before = OPS.instruction_set()
    OPS.set_instruction_set(request.param)
    yield request.param
    OPS.set_instruction_set(before)


def test_the_multiply_add_loop_counts_what_it_does(instruction_set, threads):
    threads(1)
    one = OPS.fma_loop(1)
    assert one > 0 and OPS.fma_loop(50) == 50 * one
    threads(2)
    assert OPS.fma_loop(1) == 2 * one


def test_work_memory_is_told_once_and_bounded(instruction_set):
    OPS.take_work_memory()
    F.conv2d(torch.ones(2, 64, 14, 14), torch.ones(96, 64, 3, 3), padding=1, arithmetic="nearest_even pairwise")
    scratch, packed, limit = OPS.take_work_memory()
    assert 0 < scratch <= limit
    assert 0 < packed <= 2 * 4 * 96 * 64 * 9  # the weight, once
    assert OPS.take_work_memory()[:2] == [0, 0]
