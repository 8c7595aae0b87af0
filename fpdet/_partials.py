"""Gradients of watched parameters leave partials: sums that are not rounded yet, to be merged over workers.

A gradient op knows by autograd's graph where its results go. Where one goes to a watched parameter, straight or through
views, and ends in a sum under order exact, the op leaves that sum's partials with the parameter's `Record` and hands
autograd zeros. So what arrives at the parameter is zero if every contribution was recorded; anything else is an error.
"""

import threading
import weakref

import torch
from torch.utils._python_dispatch import _disable_current_modes

from fpdet import _interrupt, _partial_sums

# Autograd's nodes that only move elements.
_VIEWS = frozenset(
    f"{name}Backward0"
    for name in (
        "Alias Clone Permute ReshapeAlias Select Slice Squeeze T Transpose Unbind UnsafeView Unsqueeze View "
        "Split SplitWithSizes"
    ).split()
) | {"SqueezeBackward1", "SqueezeBackward2"}

_records = weakref.WeakValueDictionary()  # id of a parameter -> its Record


class GradientError(RuntimeError):
    """A gradient that cannot be summed exactly over workers, named by its parameter."""


class Record:
    """What the gradient ops left for one parameter.

    Args:
        name: of the parameter, for errors.
        parameter: a leaf that requires grad.
        rounding: of the gradient; ops under another one are refused.
    """

    def __init__(self, name, parameter, rounding):
        self.name, self.rounding = name, rounding
        self._parameter = weakref.ref(parameter)
        self._arriving = []  # in the backward pass that is running
        self._total = None  # of the passes since `take`
        self.refusals = []
        earlier = _records.get(id(parameter))
        if earlier is not None:
            earlier.close()
        _records[id(parameter)] = self
        self._hook = parameter.register_hook(_hook_of(weakref.ref(self)))

    def close(self):
        self._hook.remove()
        parameter = self._parameter()
        if parameter is not None and _records.get(id(parameter)) is self:
            del _records[id(parameter)]

    def is_of(self, parameter):
        return self._parameter() is parameter

    def add(self, planes):
        self._arriving = [_partial_sums.merged([*self._arriving, planes])]

    def forget_arriving(self):
        """What a pass left that did not end."""
        self._arriving, self.refusals = [], []

    def take(self):
        """The partials [numbers, elements] since the last call; those of no terms if there are none."""
        total, self._total = self._total, None
        return total if total is not None else _partial_sums.nothing(self._parameter().numel())

    def _arrived(self, grad):
        """The hook of the parameter: `grad` holds what was not recorded."""
        with torch._C.DisableTorchFunction(), _disable_current_modes(), torch.no_grad():
            arriving, refusals = self._arriving, self.refusals
            self.forget_arriving()
            if refusals or not arriving or bool(grad.any()):
                reason = "; ".join(dict.fromkeys(refusals)) or "it comes from an op that leaves no partial sums"
                raise GradientError(
                    f"gradient of {self.name}: expected exact sums over the samples under order 'exact', {reason}. "
                    "A gradient that is rounded on each worker differs with the number of workers; use another order"
                )
            (planes,) = arriving
            earlier = self._earlier()
            self._total = planes if earlier is None else _partial_sums.merged([earlier, planes])
            return torch.empty_like(grad).copy_(self._rounded(planes, grad).reshape(grad.shape))

    def _rounded(self, planes, like):
        return _partial_sums.rounded(planes, self.rounding, like.dtype)

    def _earlier(self):
        """The total of the passes before, unless their gradient was thrown away (zero_grad)."""
        grad = self._parameter().grad
        if self._total is None or grad is None:
            return None
        if not grad.any() and self._rounded(self._total, grad).any():
            return None
        return self._total


def _hook_of(record):
    """It does not keep the record alive."""

    def arrived(grad):
        found = record()
        return None if found is None else found._arrived(grad)

    return arrived


def watching():
    """Whether any parameter is watched."""
    return bool(_records)


class _Tape:
    """The sums of one derivative, by the storage of their results."""

    def __init__(self):
        self._thread, self._calls = threading.get_ident(), {}

    def __enter__(self):
        self._before, _interrupt.tape = _interrupt.tape, self
        return self

    def __exit__(self, *error):
        _interrupt.tape = self._before

    def note(self, op, args, result):
        name = op.name().removeprefix("fpdet::").partition(".")[0]
        if threading.get_ident() == self._thread and name in _partial_sums.TEXT:
            self._calls[result.untyped_storage().data_ptr()] = (name, args, result)

    def call_of(self, gradient):
        """(op's name, arguments, result) of the sum that `gradient` is, or None."""
        found = self._calls.get(gradient.untyped_storage().data_ptr())
        return found if found is not None and found[2].numel() == gradient.numel() else None


def gradients(ctx, needed, derive, over_samples):
    """derive(), whose results belong to the inputs of `ctx` in turn; those of watched parameters are recorded and
    become zeros.

    Args:
        ctx: of the op whose derivative this is.
        needed: which of its inputs want a gradient.
        derive: gives a gradient, or None, for each entry of `needed`, or for the first ones.
        over_samples: the numbers of the inputs whose gradients sum over samples.
    """
    if torch.is_grad_enabled():
        return derive()  # to be differentiated again: nothing is recorded
    with _Tape() as tape:
        found = list(derive())
    wanted = [i for i, one in enumerate(needed) if one]
    edges = [edge for edge in ctx.next_functions if edge[0] is not None]
    for i, edge in zip(wanted, edges, strict=True):
        found[i] = _settled(found[i], edge, tape, i in over_samples)
    return found


def _settled(gradient, edge, tape, sums_samples):
    if gradient is None:
        return None
    path, record = _destination(*edge)
    if record is None:
        if sums_samples:
            _refuse_below(edge[0])
        return gradient
    with torch._C.DisableTorchFunction(), _disable_current_modes(), torch.no_grad():
        call = tape.call_of(gradient)
        reason = _reason(call, record)
        if reason is not None:
            record.refusals.append(reason)
            return gradient
        name, args, result = call
        planes = _as_gradient(_partial_sums.of(name, args, result), result, gradient)
        record.add(_through(path, planes, gradient.shape))
        return torch.zeros_like(gradient)


def _reason(call, record):
    """Why a sum cannot be recorded, or None."""
    from fpdet._arithmetic import as_arithmetic
    from fpdet._ops import GRAD_WEIGHT, arithmetic_of_pass

    if call is None:
        return "but it does not end in a sum"
    name, args, result = call
    if result.dtype == torch.float64:
        return f"but {name} computes in float64 (expected float32, bfloat16 or float16)"
    text = args[_partial_sums.TEXT[name]]
    weights = name.startswith("convolution") or name == "channel_sum"
    arithmetic = as_arithmetic(arithmetic_of_pass(text, GRAD_WEIGHT if weights else 0))
    if str(arithmetic.order) != "exact" or arithmetic.rounding != record.rounding:
        return f"but {name} computes by {str(arithmetic)!r} (expected '{record.rounding} exact')"
    return None


def _destination(node, output):
    """(the views on the way as (node, output), the record) of an edge of the graph; no record: not a watched one."""
    path = []
    while type(node).__name__ in _VIEWS:
        path.append((node, output))
        ((node, output),) = [edge for edge in node.next_functions if edge[0] is not None]
    return path, _record_at(node)


def _record_at(node):
    """The record of a watched parameter's node, or None."""
    if type(node).__name__ != "AccumulateGrad":
        return None
    record = _records.get(id(node.variable))
    return record if record is not None and record.is_of(node.variable) else None


def _refuse_below(node):
    """Every watched parameter that `node` hands a gradient to is refused: it is a function of a rounded sum."""
    seen, todo = set(), [node]
    while todo:
        node = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        record = _record_at(node)
        if record is not None:
            record.refusals.append("but it is computed from a sum over samples that each worker has rounded")
        todo += [after for after, _ in node.next_functions]


def _as_gradient(planes, result, gradient):
    """Partials [numbers, *result.shape] as [numbers, elements of `gradient`], a view of the result."""
    count, size = planes.shape[0], result.untyped_storage().nbytes() // result.element_size()
    stored = torch.empty(count, size, dtype=torch.float64)
    stored.as_strided((count, *result.shape), (size, *result.stride()), result.storage_offset()).copy_(planes)
    view = stored.as_strided((count, *gradient.shape), (size, *gradient.stride()), gradient.storage_offset())
    return view.reshape(count, -1)


def _through(path, planes, shape):
    """The partials in the order of the parameter's elements: its views carry the numbers of elements along."""
    if not path:
        return planes
    places = torch.arange(1, planes.shape[1] + 1, dtype=torch.float64).reshape(shape)
    for node, output in path:
        outputs = len(node._input_metadata)
        places = node(*(places if i == output else None for i in range(outputs)))
    places = places.reshape(-1).long()
    moved = planes[:, (places - 1).clamp_min(0)] if planes.shape[1] else planes.new_zeros(planes.shape[0], len(places))
    empty = places == 0
    if bool(empty.any()):
        moved[:, empty] = _partial_sums.nothing(int(empty.sum()), planes.shape[0])
    return moved
