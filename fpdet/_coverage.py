"""What a model's ops are in `fpdet.arithmetic`: a table, before anything is trained."""

from collections import Counter
from contextlib import contextmanager

import torch

from fpdet import _context, _table
from fpdet._adapters import RANDOM
from fpdet._exact_names import ASKING

COVERED, EXACT, MISSING = "fpdet", "exact", "not covered"


class Coverage(tuple):
    """Rows (op, status, calls); ``gaps`` are the names that are not covered. Prints as a table."""

    __slots__ = ()

    @property
    def gaps(self):
        return [op for op, status, _ in self if status == MISSING]

    def __str__(self):
        width = max((len(op) for op, _, _ in self), default=2)
        lines = [f"{'op':{width}}  {'status':11}  calls"]
        lines += [f"{op:{width}}  {status:11}  {calls:5}" for op, status, calls in self]
        missing = len(self.gaps)
        return "\n".join([*lines, f"{len(self)} ops, {missing} not covered"])


class _Watching(_context.arithmetic):
    """A context that counts what it sees and goes on where it would refuse."""

    def __init__(self, value, seed):
        super().__init__(value, seed=seed, on_missing="allow")
        self.seen = Counter()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kind, _, name = _table.TABLE.get(function, _table.MISSING)
        floats = _table.floats(args) or _table.floats((kwargs or {}).values())
        if kind == "covered" and (floats or name in RANDOM):
            self.seen[_table.name_of(function), COVERED] += 1
        elif kind.startswith("exact") and floats and name not in ASKING and not name.startswith("is_"):
            self.seen[_table.name_of(function), EXACT] += 1
        return super().__torch_function__(function, types, args, kwargs)

    def uncovered(self, name):
        self.seen[name, MISSING] += 1


def coverage(model, *inputs, arithmetic=None, backward=True, **named):
    """Run ``model(*inputs, **named)`` once inside a context and list its ops: `Coverage`.

    Args:
        model: a module or any callable.
        inputs, named: its arguments.
        arithmetic: as in `fpdet.arithmetic`; None: the default.
        backward: also run backward from the sum of all floating-point outputs, so that gradients are looked at.

    Parameters' gradients and torch's generator are left as they were; buffers (running statistics) are put back.
    """
    parameters = list(model.parameters()) if isinstance(model, torch.nn.Module) else []
    with _restored(model, parameters):
        watching = _Watching(arithmetic, seed=0)
        with watching, torch.enable_grad() if backward else torch.no_grad():
            outputs = _tensors(model(*inputs, **named))
            if backward:
                wanted = [y for y in outputs if y.is_floating_point() and y.requires_grad]
                torch.autograd.backward([y for y in wanted], [torch.ones_like(y) for y in wanted])
    order = {MISSING: 0, COVERED: 1, EXACT: 2}
    rows = [(op, status, calls) for (op, status), calls in watching.seen.items()]
    return Coverage(sorted(rows, key=lambda row: (order[row[1]], row[0])))


@contextmanager
def _restored(model, parameters):
    grads = [p.grad for p in parameters]
    buffers = [(b, b.clone()) for b in model.buffers()] if isinstance(model, torch.nn.Module) else []
    for p in parameters:
        p.grad = None
    try:
        yield
    finally:
        for p, grad in zip(parameters, grads, strict=True):
            p.grad = grad
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)


def _tensors(value):
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = value.values()
    if isinstance(value, list | tuple) or hasattr(value, "__iter__"):
        return [tensor for each in value for tensor in _tensors(each)]
    return []
