"""Loads the C++ ops (``fpdet/_C*.so``) into ``torch.ops.fpdet``."""

import sys
from pathlib import Path


def shared_object():
    """Path of the shared object that holds the ops, beside this file.

    Raises:
        ImportError: none is there.
    """
    folder = Path(__file__).parent
    suffixes = (".so", ".pyd", ".dylib")
    found = sorted(path for path in folder.glob("_C*") if path.suffix in suffixes)
    if not found:
        raise ImportError(
            f"fpdet: expected the compiled ops as {folder}/_C*.so, found none. "
            "Build them with: pip install --no-build-isolation -e ."
        )
    if len(found) > 1:
        tag = sys.implementation.cache_tag
        found = [path for path in found if tag and tag in path.name] or found
    return found[0]


def load():
    """Register the ops; importing this module has done it."""
    import torch

    torch.ops.load_library(str(shared_object()))


load()
