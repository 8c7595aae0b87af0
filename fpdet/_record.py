"""``with fpdet.record(...)``: digests of what every op of a run takes and gives.

The recorder is a mode of torch's dispatcher below autograd, and below every other mode: it sees what is computed in the
end, inside ``fpdet.arithmetic`` and around it alike. Hooks of modules and optimizers tell it where the run is; in
backward the sequence number of autograd's node says to which op of forward a gradient belongs.
"""

import threading
import time
from collections import defaultdict

import torch
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils import _python_dispatch
from torch.utils._python_dispatch import TorchDispatchMode

from fpdet import _context
from fpdet._digest import digest
from fpdet._recording import FORMAT, KEEP, Writer
from fpdet._words import one_of

# They compute nothing; what empty tensors hold is nobody's.
_SILENT = frozenset(
    """
    empty empty_like empty_strided new_empty new_empty_strided empty_permuted resize_ set_ detach_ _unsafe_view
    _reshape_alias lift_fresh record_stream is_same_size
    """.split()
)
# What stands in the tensor that they write is not read.
_OVERWRITING = frozenset(
    "copy_ fill_ zero_ uniform_ normal_ random_ bernoulli_ exponential_ geometric_ log_normal_ cauchy_".split()
)
_WORDS = ("name", "function", "operation", "slot")


class record:
    """Context manager: records the ops that run inside, to be compared with another run by `fpdet.compare`.

    Every op that computes, forward and backward, is recorded with the digests of its tensors (those in which every NaN
    is one pattern, as `fpdet.digest`), its module and its phase. Views are left out, and what ``torch.compile`` makes
    of a graph besides calls of ops.

    Args:
        path: a new file to write to, each op as it ends, so that the recording outlives a crash; None: in memory.
        model: the module that runs; None: the first one that is called. Its parameters' names, dtypes and shapes are
            kept, so that runs of different models are not compared.
        keep: "digests", or "tensors" as well, which `fpdet.compare` needs to say how far apart and where results are.

    ``with ... as recording`` gives a `fpdet._recording.Recording`; how long the block took and how much of that the
    recorder took is in ``recording.end``.

    Raises:
        FileExistsError: `path` is there already.
        ValueError, TypeError: a bad `keep` or `model`.
    """

    def __init__(self, path=None, model=None, *, keep="digests"):
        one_of("keep", keep, KEEP)
        if model is not None and not isinstance(model, torch.nn.Module):
            raise TypeError(f"model: expected a torch.nn.Module, got {type(model).__name__}")
        self._path, self._model, self._keep = path, model, keep
        self._mode = None

    def __enter__(self):
        if self._mode is not None:
            raise RuntimeError("record: expected a recorder that is not entered yet; use a new one")
        writer = Writer(self._path)
        surrounding = _context._current()
        writer.line(
            kind="header",
            format=FORMAT,
            torch=torch.__version__,
            fpdet=_version(),
            arithmetic=None if surrounding is None else surrounding.value.text,
            threads=torch.get_num_threads(),
            keep=self._keep,
        )
        self._place = _Place(writer)
        if self._model is not None:
            self._place.know(self._model)
        self._mode = _Mode(writer, self._place, self._keep == "tensors")
        self._place.attach()
        self._began = time.perf_counter()
        _enter_below(self._mode)
        return writer.recording

    def __exit__(self, *error):
        _exit_below(self._mode)
        self._place.detach()
        writer = self._mode.writer
        if error[0] is None:  # else it was cut off
            writer.line(kind="end", seconds=time.perf_counter() - self._began, hashing=self._mode.seconds)
        writer.close()


def _version():
    import fpdet

    return fpdet.__version__


def _popped():
    """Every mode of this thread, the lowest first, off the stack."""
    modes = []
    while torch._C._len_torch_dispatch_stack() > 0:
        modes.append(_python_dispatch._pop_mode())
    return modes[::-1]


def _enter_below(mode):
    above = _popped()
    mode.__enter__()
    for other in above:
        _python_dispatch._push_mode(other)


def _exit_below(mode):
    above = [other for other in _popped() if other is not mode]
    _python_dispatch._push_mode(mode)
    mode.__exit__(None, None, None)
    for other in above:
        _python_dispatch._push_mode(other)


class _Place:
    """Where a run is: the modules that are open in each thread, and the phase."""

    def __init__(self, writer):
        self._writer = writer
        self._paths = {}  # module -> its path
        self._open = defaultdict(list)  # thread -> paths of modules
        self._optimizing = set()  # threads
        self._of_node = {}  # sequence number of a node -> path
        self._handles = []

    def attach(self):
        self._handles = [
            register_module_forward_pre_hook(self._enter),
            register_module_forward_hook(self._leave, always_call=True),
            register_optimizer_step_pre_hook(lambda *_: self._optimizing.add(threading.get_ident())),
            register_optimizer_step_post_hook(lambda *_: self._optimizing.discard(threading.get_ident())),
        ]

    def detach(self):
        for handle in self._handles:
            handle.remove()

    def know(self, model):
        """Name the modules of a model; write down what its parameters are."""
        for path, module in model.named_modules():
            self._paths.setdefault(module, path or type(model).__name__)
        parameters = [(name, _word(p.dtype), list(p.shape)) for name, p in model.named_parameters()]
        if parameters:
            self._writer.line(kind="model", **{"class": type(model).__name__}, parameters=parameters)

    def _enter(self, module, args):
        if torch.compiler.is_compiling():
            return
        stack = self._open[threading.get_ident()]
        if not stack:
            self._optimizing.discard(threading.get_ident())  # a step that raised
        if module not in self._paths:
            if stack:  # made on the way
                self._paths[module] = f"{stack[-1]}.{type(module).__name__}"
            else:
                self.know(module)
        stack.append(self._paths[module])

    def _leave(self, module, args, result):
        if torch.compiler.is_compiling():
            return
        stack = self._open[threading.get_ident()]
        if stack:
            stack.pop()

    def now(self):
        """(phase, module) of the op that is about to run."""
        node = torch._C._current_autograd_node()
        thread = threading.get_ident()
        stack = self._open[thread]
        path = stack[-1] if stack else ""
        if node is None:
            # Autograd made the op's node before it called the op; where it made none, the last one is known already.
            self._of_node.setdefault(torch.autograd._get_sequence_nr() - 1, path)
            return ("optimizer" if thread in self._optimizing else "forward"), path
        if stack:
            self._of_node.setdefault(torch.autograd._get_sequence_nr() - 1, path)
            return "recompute", path
        return "backward", self._of_node.get(node._sequence_nr(), "")


class _Mode(TorchDispatchMode):
    def __init__(self, writer, place, keeps):
        super().__init__()
        self.writer, self._place, self._keeps = writer, place, keeps
        self.seconds = 0.0

    @classmethod
    def is_infra_mode(cls):
        """torch.compile skips frames under other modes."""
        return True

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if _is_traced():
            return op(*args, **kwargs)
        began = time.perf_counter()
        place = self._place.now()
        if op.is_view or op.overloadpacket.__name__ in _SILENT:
            return op(*args, **kwargs)
        named = [*zip(op._schema.arguments, args, strict=False)]
        named += [(argument, kwargs[argument.name]) for argument in op._schema.arguments if argument.name in kwargs]
        inputs = self._described(_read(op, named))
        self.seconds += time.perf_counter() - began
        result = op(*args, **kwargs)
        began = time.perf_counter()
        given = list(_tensors([result]))
        changed = _tensors([value for argument, value in named if argument.is_write])
        outputs = self._described([*given, *(x for x in changed if all(x is not y for y in given))])
        if outputs:
            words = {argument.name: value for argument, value in named if isinstance(value, str)}
            self._write(op, place, inputs, outputs, words)
        self.seconds += time.perf_counter() - began
        return result

    def _write(self, op, place, inputs, outputs, words):
        name, arithmetic = f"{op.namespace}.{op.overloadpacket.__name__}", ""
        if op.namespace == "fpdet":
            arithmetic = words.get("arithmetic", "")
            name = ":".join([name, *[words[key] for key in _WORDS if key in words]])
        phase, module = place
        self.writer.line(
            kind="op", name=name, phase=phase, module=module, inputs=inputs, outputs=outputs, arithmetic=arithmetic
        )

    def _described(self, values):
        found = []
        with torch._C.DisableTorchFunction(), torch._C._DisableTorchDispatch():  # other modes do not see it
            for tensor in _tensors(values):
                dense = tensor.to_dense() if tensor.layout is not torch.strided else tensor
                known = digest(dense)[:32]
                if self._keeps:
                    self.writer.keep(known, dense)
                found.append((_word(tensor.dtype), list(tensor.shape), known))
        return found


def _is_traced():
    """By the compiler, or with tensors that have no values."""
    return (
        torch.compiler.is_compiling()
        or torch._C._get_dispatch_mode(torch._C._TorchDispatchModeKey.FAKE) is not None
        or torch._C._get_dispatch_mode(torch._C._TorchDispatchModeKey.PROXY) is not None
    )


def _read(op, named):
    """The arguments that an op reads."""
    name = op.overloadpacket.__name__
    first_step = name == "sgd_" and any(argument.name == "first_step" and value for argument, value in named)
    for argument, value in named:
        written = argument.is_write and (name in _OVERWRITING or argument.is_out or argument.name == "out")
        if not written and not (first_step and argument.name == "momentum_buffers"):
            yield value


def _tensors(values):
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _word(dtype):
    return str(dtype).removeprefix("torch.")
