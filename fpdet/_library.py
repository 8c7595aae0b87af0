"""Loads the C++ ops (``fpdet/_C*.so``) into ``torch.ops.fpdet``."""

import json
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


def mark_compiled_code():
    """Have what torch.compile keeps on disk found by this build of fpdet alone.

    Such code holds the shapes that the ops' fake kernels gave; torch's key of it knows the ops by name only.
    """
    import torch.compiler.config

    build = json.loads((Path(__file__).parent / "_build_info.json").read_text())
    mark = f"fpdet {build['version']} {build['commit']}"
    tag = torch.compiler.config.cache_key_tag
    if mark not in tag:
        torch.compiler.config.cache_key_tag = f"{tag} {mark}".strip()


load()
mark_compiled_code()
