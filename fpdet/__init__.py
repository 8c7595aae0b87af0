# ruff: noqa: F401  (the imports for type checkers)
"""fpdet: convolution and SGD whose every bit is specified.

Names load on first use, so ``import fpdet.core`` (NumPy) does not import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

# public name -> (module, attribute); attribute None: the module itself
_PUBLIC = {
    "Arithmetic": ("fpdet._arithmetic", "Arithmetic"),
    "Format": ("fpdet._arithmetic", "Format"),
    "PassArithmetic": ("fpdet._arithmetic", "PassArithmetic"),
    "arithmetic": ("fpdet._context", "arithmetic"),
    "build_info": ("fpdet._build", "build_info"),
    "capabilities": ("fpdet._capabilities", "capabilities"),
    "checkpoint_contexts": ("fpdet._context", "checkpoint_contexts"),
    "compare": ("fpdet._compare", "compare"),
    "convert": ("fpdet._convert", "convert"),
    "core": ("fpdet.core", None),
    "coverage": ("fpdet._coverage", "coverage"),
    "digest": ("fpdet._digest", "digest"),
    "distributed": ("fpdet.distributed", None),
    "nn": ("fpdet.nn", None),
    "ops": ("fpdet.ops", None),
    "optim": ("fpdet.optim", None),
    "order": ("fpdet._order", None),
    "random": ("fpdet.random", None),
    "record": ("fpdet._record", "record"),
    "reference": ("fpdet.reference", None),
    "reveal": ("fpdet._reveal", "reveal"),
    "round": ("fpdet._round", "round"),
    "ulp_distance": ("fpdet._digest", "ulp_distance"),
}

__all__ = sorted(_PUBLIC)

if TYPE_CHECKING:
    from fpdet import _order as order
    from fpdet import core, distributed, nn, ops, optim, random, reference
    from fpdet._arithmetic import Arithmetic, Format, PassArithmetic
    from fpdet._build import build_info
    from fpdet._capabilities import capabilities
    from fpdet._compare import compare
    from fpdet._context import arithmetic, checkpoint_contexts
    from fpdet._convert import convert
    from fpdet._coverage import coverage
    from fpdet._digest import digest, ulp_distance
    from fpdet._record import record
    from fpdet._reveal import reveal
    from fpdet._round import round


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(f"module 'fpdet' has no attribute {name!r}")
    module, attribute = _PUBLIC[name]
    value = import_module(module)
    if attribute is not None:
        value = getattr(value, attribute)
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *_PUBLIC})
