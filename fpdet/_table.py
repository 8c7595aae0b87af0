"""What becomes of a torch function inside ``with fpdet.arithmetic(...)``: the upper mode's table and its call.

A function is covered (an adapter is called in its place), exact (left to torch), exact here (left to torch where no
gradient is asked for) or runs autograd. Everything else is uncovered, unless no operand is a floating-point tensor.
"""

from functools import lru_cache
from types import FunctionType

import torch
from torch.nn import init
from torch.overrides import get_testing_overrides, resolve_name

from fpdet._adapters import COVERED, RANDOM
from fpdet._exact_names import BROADCASTING, ENGINE, EXACT, EXACT_HERE

_PROPERTY = type(torch.Tensor.shape.__get__)

# Functions that share a name with a covered one, and not its meaning or arguments. Those of module torch are what
# torch.nn.functional's of that name call.
OTHER_ARGUMENTS = (
    torch.embedding,
    torch.batch_norm,
    torch.layer_norm,
    torch.group_norm,
    torch.instance_norm,
    torch.binary_cross_entropy_with_logits,
    torch.nn.functional.unfold,
)


def _index():
    """torch function -> (kind, adapter, name)."""
    found = {}
    for function in get_testing_overrides():
        name = function.__name__
        if type(function) is _PROPERTY:  # `call` knows them; and the compiler could not read the table
            continue
        if name in COVERED:
            found[function] = ("covered", COVERED[name], name)
        elif name in EXACT or name.startswith("is_"):
            found[function] = ("exact", None, name)
        elif name in EXACT_HERE:
            found[function] = ("exact here", None, name)
        elif name in ENGINE:
            found[function] = ("engine", None, name)
    return found


@lru_cache(maxsize=1)
def table():
    """torch function -> (kind, adapter, name), of all functions that torch lets a mode see."""
    found = _index()
    questions = {name for name in dir(torch.Tensor) if name.startswith("is_")}
    for name in sorted(EXACT | EXACT_HERE | questions):  # some methods are not in torch's list
        function = getattr(torch.Tensor, name, None)
        if callable(function) and type(function) is not _PROPERTY:
            found.setdefault(function, ("exact here" if name in EXACT_HERE else "exact", None, name))
    for function in OTHER_ARGUMENTS:
        found.pop(function, None)
    for module in (torch, torch.Tensor):
        for name in sorted(RANDOM):
            if hasattr(module, name):
                found[getattr(module, name)] = ("covered", COVERED[name], name)
    for name in ("uniform_", "normal_", "kaiming_uniform_", "kaiming_normal_"):
        found[getattr(init, name)] = ("covered", COVERED[f"init.{name}"], name)
    for function in (torch.autograd.backward, torch.autograd.grad):
        found[function] = ("engine", None, function.__name__)
    for name in ("constant_", "ones_", "zeros_", "eye_"):
        found[getattr(init, name)] = ("exact", None, name)
    for name in (
        "zeros",
        "ones",
        "empty",
        "full",
        "tensor",
        "arange",
        "eye",
        "as_tensor",
        "from_numpy",
        "scalar_tensor",
        "_has_compatible_shallow_copy_type",  # asked by Module.to
    ):
        found[getattr(torch, name)] = ("exact", None, name)
    return found


TABLE = table()
MISSING = ("missing", None, None)


def floats(values):
    """Whether a floating-point tensor is among the values, or in lists of theirs."""
    for value in values:
        if isinstance(value, torch.Tensor):
            if value.is_floating_point() or value.is_complex():
                return True
        elif isinstance(value, list | tuple) and floats(value):
            return True
    return False


def _wants_gradient(values):
    for value in values:
        if isinstance(value, torch.Tensor):
            if value.requires_grad:
                return True
        elif isinstance(value, list | tuple) and _wants_gradient(value):
            return True
    return False


def _gradient_is_a_sum(args, kwargs):
    """Whether an operand that wants a gradient has another shape than the first one, so that it was broadcast."""
    first, *others = (*args, *kwargs.values())
    wanting = [x for x in others if isinstance(x, torch.Tensor) and x.requires_grad]
    return torch.is_grad_enabled() and any(x.shape != first.shape for x in wanting)


def call(context, function, args, kwargs):
    """A torch function, inside the context."""
    if type(function) is _PROPERTY or isinstance(function, torch._ops.OpOverload):
        return function(*args, **kwargs)  # the compiler cannot look up the one; the lower mode judges the other
    kind, adapter, name = TABLE.get(function, MISSING)
    if kind == "engine":
        return _engine(context, function, args, kwargs)
    if kind == "covered" and (name in RANDOM or floats(args) or floats(kwargs.values())):
        with torch._C.DisableTorchFunction(), trusted(context):
            return adapter(context, *args, **kwargs)
    if kind in ("exact", "covered") and not (name in BROADCASTING and _gradient_is_a_sum(args, kwargs)):
        with trusted(context):
            return function(*args, **kwargs)
    gradient = torch.is_grad_enabled() and _wants_gradient((*args, *kwargs.values()))
    if (floats(args) or floats(kwargs.values())) and not (kind == "exact here" and not gradient):
        context.uncovered(name_of(function))
    with trusted(context):
        return function(*args, **kwargs)


def _without_check(function):
    """The same function of torch.autograd, which does not ask modes again."""
    names = {**function.__globals__, "has_torch_function": lambda arguments: False}
    return FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)


_RUN = {f: _without_check(f) for f in (torch.autograd.backward, torch.autograd.grad)}


def _engine(context, function, args, kwargs):
    """Autograd runs inside the upper mode, so that what it recomputes (torch.utils.checkpoint) is fpdet's again."""
    if torch.compiler.is_compiling() or (function not in _RUN and function is not torch.Tensor.backward):
        return function(*args, **kwargs)
    with context.again():
        if function in _RUN:
            return _RUN[function](*args, **kwargs)
        return _tensor_backward(*args, **kwargs)


def _tensor_backward(tensor, gradient=None, retain_graph=None, create_graph=False, inputs=None):
    _RUN[torch.autograd.backward](tensor, gradient, retain_graph, create_graph, inputs=inputs)


def name_of(function):
    known = resolve_name(function)
    return known or ".".join(
        (getattr(function, "__module__", None) or "torch", getattr(function, "__name__", str(function)))
    )


class trusted:
    """While the upper mode answers for what is called, the lower one lets it pass."""

    def __init__(self, context):
        self.context = context

    def __enter__(self):
        self.context._trusted += 1

    def __exit__(self, *error):
        self.context._trusted -= 1
