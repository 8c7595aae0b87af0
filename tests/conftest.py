"""Fixtures shared by the tests."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))  # for benchmarks, which is no part of the package


@pytest.fixture
def threads():
    """A function that sets torch's thread count; the count before comes back afterwards."""
    import torch

    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)
