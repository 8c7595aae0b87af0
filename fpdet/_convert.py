"""Swap a model's layers for fpdet's in place, and back.

Only the class of a module changes: parameters, buffers, hooks, parametrizations stay the same objects.
"""

import hashlib

import torch

from fpdet import nn
from fpdet._arithmetic import as_arithmetic
from fpdet._words import one_of

_CONVOLUTIONS = (
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
)
_NAMES = (*_CONVOLUTIONS, *nn.layers.NAMES)
TO_FPDET = {getattr(torch.nn, name): getattr(nn, name) for name in _NAMES}
TO_TORCH = {ours: theirs for theirs, ours in TO_FPDET.items()}


def convert(model, arithmetic, *, only=None):
    """Give every layer of `model` that fpdet.nn has this arithmetic, in place; None: torch's modules again.

    What the model computes between its layers (``+``, torch.relu, functional calls) stays torch's; inside
    ``with fpdet.arithmetic(...)`` it is fpdet's as well. `fpdet.coverage` lists what a model does.

    Args:
        only: names of torch.nn's classes, e.g. ``("Conv2d",)``; None: all of fpdet.nn's.

    A module whose arithmetic draws random bits gets a stream of its own, seeded by the Arithmetic's
    seed and the module's name.

    Returns:
        `model`.

    Raises:
        TypeError: `model` is no module, or `arithmetic` is no arithmetic.
        NotImplementedError: a convolution that is neither torch's nor fpdet's class (a subclass
            with code of its own, or a lazy module before its first forward); nothing has been
            changed then.
    """
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"model: expected a torch.nn.Module, got {type(model).__name__}")
    chosen = None if arithmetic is None else as_arithmetic(arithmetic)
    names = _NAMES if only is None else tuple(one_of("only", name, _NAMES) for name in only)
    plan = [(name, module, _new_class(name, module, chosen)) for name, module in _layers(model, names)]
    for name, module, cls in plan:
        if chosen is None and isinstance(module, tuple(TO_TORCH)):
            module.drop_arithmetic()
        module.__class__ = cls
        if chosen is not None:
            module.set_arithmetic(chosen, _seed(chosen.seed, name))
    return model


def _layers(model, names):
    """The modules of these names that have a twin, and convolutions of any class."""
    twins = {cls for name in names for cls in (getattr(torch.nn, name), getattr(nn, name))}
    conv = torch.nn.modules.conv._ConvNd if set(names) >= set(_CONVOLUTIONS) else ()
    return [(name, m) for name, m in model.named_modules() if isinstance(m, conv) or _class(m) in twins]


def _class(module):
    """The module's class, without the one that a parametrization puts before it."""
    cls = type(module)
    return cls.__bases__[0] if torch.nn.utils.parametrize.is_parametrized(module) else cls


def _new_class(name, module, chosen):
    table, done = (TO_TORCH, TO_FPDET) if chosen is None else (TO_FPDET, TO_TORCH)
    cls = type(module)
    if torch.nn.utils.parametrize.is_parametrized(module):
        (base,) = cls.__bases__
        if base in done:
            return cls
        if base in table:
            skip = ("__dict__", "__weakref__")
            body = {key: value for key, value in vars(cls).items() if key not in skip}
            return type(cls.__name__, (table[base],), body)
    if cls in table or cls in done:
        return table.get(cls, cls)
    raise NotImplementedError(
        f"convert: module {name!r}: expected one of torch.nn's {', '.join(_CONVOLUTIONS)}, "
        f"got the subclass {cls.__name__}; replace it, or run a lazy module once"
    )


def _seed(seed, name):
    """63 bits from the seed and the module's name: layers that share an Arithmetic draw apart."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1
