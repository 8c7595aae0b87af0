"""``with fpdet.arithmetic(...)``: unmodified torch code computes by fpdet.

Two modes of torch. The upper one sees every torch function before autograd and calls fpdet's in its place, so the
graph carries its Arithmetic also where ``backward()`` is called after the block. The lower one sees what arrives below
autograd: it replaces the additions that autograd makes itself where gradients meet, and refuses what would compute
without a stated order.
"""

import warnings
from contextlib import contextmanager, nullcontext

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from fpdet import _stream
from fpdet._arithmetic import DEFAULT, parsed
from fpdet._words import integer, one_of

ON_MISSING = ("error", "warn", "allow")
ACCUMULATE = 1 << 22  # pass tag of autograd's own additions


class UncoveredOpError(NotImplementedError):
    """An op inside ``with fpdet.arithmetic(...)`` whose bits fpdet does not state."""


class arithmetic(TorchFunctionMode):
    """Context manager: inside it torch's ops on floating-point tensors are fpdet's.

    Args:
        value: an `fpdet.Arithmetic`, an `fpdet.PassArithmetic` or their string.
        seed: of what is drawn inside: stochastic roundings, dropout, random tensors, initialisation, permutations.
            None: the Arithmetic's seed for roundings, and drawing anything else raises.
        on_missing: of an op that fpdet does not cover: "error" raises `UncoveredOpError`, which names it; "warn" warns
            once and leaves it to torch; "allow" leaves it to torch.

    Contexts nest, the inner one wins; each thread has its own. Entered again, a context goes on drawing where it was;
    ``state_dict`` and ``load_state_dict`` keep that place in a checkpoint.

    Raises:
        TypeError, ValueError: a bad word or number.
    """

    def __init__(self, value=None, *, seed=None, on_missing="error"):
        super().__init__()
        from fpdet import random

        self.value = parsed(value)
        one_of("on_missing", on_missing, ON_MISSING)
        if seed is not None:
            integer("seed", seed, 0, 2**64 - 1)
        self.on_missing = on_missing
        self.stream = _stream.new(self.value.seed if seed is None else seed)
        self.generator = None if seed is None else random.Generator(seed)
        self._below = []
        self._generators = {}
        self._trusted = 0

    def state_dict(self):
        """How far the context has drawn."""
        drawn = None if self.generator is None else self.generator.get_state()
        return {"stream": self.stream.clone(), "generator": drawn}

    def load_state_dict(self, state):
        """Go on drawing where `state_dict` was taken."""
        if (state["generator"] is None) != (self.generator is None):
            raise ValueError("state: expected that of a context with a seed if and only if this one has a seed")
        self.stream.copy_(state["stream"])
        if self.generator is not None:
            self.generator.set_state(state["generator"])

    def __enter__(self):
        if not torch.compiler.is_compiling():
            below = _Below(self)
            below.__enter__()
            self._below.append(below)
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        if not torch.compiler.is_compiling():
            self._below.pop().__exit__(*error)

    def __torch_function__(self, function, types, args=(), kwargs=None):
        from fpdet import _table

        return _table.call(self, function, args, kwargs or {})

    @contextmanager
    def again(self):
        """The upper mode alone, entered once more, by autograd."""
        TorchFunctionMode.__enter__(self)
        before, _stream.drawing.refused = _stream.drawing.refused, True
        try:
            yield
        finally:
            _stream.drawing.refused = before
            TorchFunctionMode.__exit__(self, None, None, None)

    def keywords(self):
        """What an op of fpdet called in the place of torch's is given."""
        return {"arithmetic": self.value, "stream": self.stream}

    def uncovered(self, name):
        """Raise, warn or go on."""
        message = (
            f"{name}: fpdet does not state its bits. Expected an op of fpdet.coverage(); use another one, or "
            f'fpdet.arithmetic(..., on_missing="warn" or "allow") to leave it to torch'
        )
        if self.on_missing == "error":
            raise UncoveredOpError(message)
        if self.on_missing == "warn":
            warnings.warn(message, stacklevel=5)


def checkpoint_contexts():
    """For ``torch.utils.checkpoint.checkpoint(..., context_fn=fpdet.checkpoint_contexts)``: what is recomputed draws
    the random numbers that forward drew.

    Returns:
        Two context managers, of forward and of its recomputation.

    Raises:
        RuntimeError: outside ``with fpdet.arithmetic(...)``.
    """
    context = _current()
    if context is None:
        raise RuntimeError("checkpoint_contexts: expected to be called inside fpdet.arithmetic(...), got no context")
    return nullcontext(), _replay(context, context.state_dict())


@contextmanager
def _replay(context, state):
    now, before = context.state_dict(), _stream.drawing.refused
    context.load_state_dict(state)
    _stream.drawing.refused = False
    try:
        yield
    finally:
        _stream.drawing.refused = before
        context.load_state_dict(now)


class layer(arithmetic):
    """The context of one layer's forward: its own arithmetic and stream, or the surrounding context's; what autograd
    adds where gradients meet is left to whoever runs backward."""

    def __init__(self, value, stream, draws):
        TorchFunctionMode.__init__(self)
        from fpdet import random

        surrounding = _current()
        if value is None and surrounding is not None:
            value, stream = surrounding.value, surrounding.stream
        self.value = DEFAULT if value is None else value
        self.stream, self.on_missing = stream, "error"
        self.generator = None if surrounding is None else surrounding.generator
        if draws and self.stream is not None:
            self.generator = random.Generator.over(self.stream)
        self._generators = {}
        self._trusted = 0

    def __enter__(self):
        return TorchFunctionMode.__enter__(self)

    def __exit__(self, *error):
        TorchFunctionMode.__exit__(self, *error)


class _Below(TorchDispatchMode):
    """What autograd and torch's own code call below: autograd's additions, and leftovers."""

    def __init__(self, context):
        super().__init__()
        self.context = context

    @classmethod
    def is_infra_mode(cls):
        """torch.compile skips frames under other modes."""
        return True

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        from fpdet import _leftovers

        with torch._C.DisableTorchFunction():  # what torch's C++ code calls (DistributedDataParallel's, say)
            return _leftovers.below(self.context, op, args, kwargs or {})


def _current():
    """The innermost context of this thread, or None."""
    for i in reversed(range(torch._C._len_torch_function_stack())):
        mode = torch._C._get_function_stack_at(i)
        if isinstance(mode, arithmetic):
            return mode
    return None


def innermost(stream=None):
    """(arithmetic, stream) of a call that names no arithmetic."""
    context = _current()
    if context is None:
        return DEFAULT, stream
    return context.value, context.stream if stream is None else stream


def generator():
    """What random tensors are drawn from where no generator is named."""
    context = _current()
    if context is None or context.generator is None:
        raise RuntimeError(
            "generator: expected an fpdet.random.Generator, or to be inside fpdet.arithmetic(..., seed=...)"
        )
    return context.generator
