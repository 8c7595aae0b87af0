"""Convolutions as cases: what is timed, and against what.

A Case is one piece of work (a pass of a problem on one kind of data) and all that do it in turn: torch, torch under
use_deterministic_algorithms(True), and fpdet once an arithmetic. The time is that of the public call,
fpdet.nn.functional.conv2d, and of autograd's backward through it with only the wanted operand requiring a gradient
(torch.autograd.grad with retain_graph=True); torch's likewise. `raw=True` times the op below: no checks, no autograd.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

import fpdet
import fpdet.nn.functional as F
from benchmarks import data
from benchmarks.measure import Contender

PASSES = ("forward", "grad_input", "grad_weight")
DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16, "float16": torch.float16}
TORCH, TORCH_DETERMINISTIC, FPDET = "torch", "torch deterministic", "fpdet"


@dataclass
class Case:
    """What is timed together. `contenders` makes the operands, when it is this case's turn."""

    key: dict  # names the case within a run
    work: dict  # flops, bytes (compulsory), terms of one output, count
    baselines: tuple[str, ...]  # systems; the fastest of them is the baseline
    contenders: Callable[[], Iterator[Contender]]
    threads: tuple[int, ...] = ()  # in place of the run's
    rounds: int = 1
    note: str = ""

    @property
    def label(self):
        """One line for progress and errors."""
        return " ".join(str(value) for name, value in self.key.items() if value and name not in ("name", "kind"))


@dataclass(frozen=True)
class Choice:
    """An arithmetic on operands of a dtype."""

    arithmetic: str
    dtype: str = "float32"

    def tags(self):
        return {"system": FPDET, "arithmetic": fpdet.Arithmetic.parse(self.arithmetic).text, "dtype": self.dtype}

    def is_native(self):
        """Whether a SIMD kernel does it; otherwise it is the slow path."""
        words = fpdet.Arithmetic.parse(self.arithmetic)
        cells = fpdet.capabilities().find(op="conv2d", device="cpu", rounding=words.rounding)
        kind = str(words.order).partition("(")[0]
        return any(cell.status == "native" and cell.order == kind for cell in cells)


def short(text):
    """An arithmetic's text without the defaults, for people."""
    return (text or "").replace(" auto fused", "").replace(" auto unfused", " unfused")


@contextmanager
def deterministic():
    """torch's own switch."""
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@dataclass
class Convolution:
    """The calls of one problem on one set of operands, by pass."""

    problem: object
    x: torch.Tensor
    weight: torch.Tensor
    grad: torch.Tensor
    geometry: tuple = field(init=False)

    def __post_init__(self):
        p = self.problem
        self.geometry = (list(p.stride), list(p.padding), list(p.dilation), p.groups)

    def by_autograd(self, which, conv2d):
        """The call of a pass through `conv2d(x, weight)`."""
        if which == "forward":
            return lambda: conv2d(self.x, self.weight)
        wanted = {"grad_input": self.x, "grad_weight": self.weight}[which].detach().requires_grad_()
        y = conv2d(wanted, self.weight) if which == "grad_input" else conv2d(self.x, wanted)
        grad = self.grad.to(y.dtype)
        return lambda: torch.autograd.grad(y, wanted, grad, retain_graph=True)[0]

    def torch(self, which, raw=False):
        """torch's own."""
        if raw and which != "forward":
            mask = [which == "grad_input", which == "grad_weight", False]
            stride, padding, dilation, groups = self.geometry
            args = (self.grad, self.x, self.weight, None, stride, padding, dilation, False, [0, 0], groups, mask)
            place = PASSES.index(which) - 1
            return lambda: torch.ops.aten.convolution_backward(*args)[place]
        return self.by_autograd(which, lambda x, w: torch.nn.functional.conv2d(x, w, None, *self.geometry))

    def fpdet(self, which, arithmetic, raw=False):
        """fpdet's with an Arithmetic."""
        if raw:
            return self._op(which, arithmetic.text)
        return self.by_autograd(which, lambda x, w: F.conv2d(x, w, None, *self.geometry, arithmetic=arithmetic))

    def _op(self, which, text):
        ops, (stride, padding, dilation, groups) = torch.ops.fpdet, self.geometry
        geometry = (stride, padding, dilation, groups)
        if which == "forward":
            out = list(self.grad.shape[2:])
            return lambda: ops.convolution(self.x, self.weight, None, *geometry, out, text, None, 0, 0)
        if which == "grad_input":
            size = list(self.x.shape[2:])
            return lambda: ops.convolution_grad_input(self.grad, self.weight, None, *geometry, size, text, None, 1, 0)
        size = list(self.weight.shape[2:])
        return lambda: ops.convolution_grad_weight(self.grad, self.x, *geometry, size, text, None, 2)


def convolution(problem, which, choices, kind="gaussian", raw=False, others=(), **settings):
    """The Case of a pass of a Problem: torch twice, then fpdet once a Choice, then other systems that can."""
    shapes = [torch.Size(shape).numel() for shape in problem.shapes]
    bytes_ = 4 * sum(shapes)
    key = {"op": "conv", "shape": str(problem), "pass": which, "data": kind, "kind": problem.kind, "name": problem.name}
    work = {
        "flops": 2 * problem.multiply_adds,
        "bytes": bytes_,
        "terms": problem.terms(which),
        "count": problem.count,
    }

    def contenders():
        operands = {}
        for choice in choices:
            if choice.dtype not in operands:
                operands[choice.dtype] = Convolution(problem, *data.operands(problem, kind, DTYPES[choice.dtype]))
        plain = operands.get("float32") or Convolution(problem, *data.operands(problem, kind))
        call = plain.torch(which, raw)
        yield Contender({"system": TORCH, "dtype": "float32"}, call)
        yield Contender({"system": TORCH_DETERMINISTIC, "dtype": "float32"}, call, deterministic)
        for choice in choices:
            call = operands[choice.dtype].fpdet(which, fpdet.Arithmetic.parse(choice.arithmetic), raw)
            yield Contender(choice.tags(), call, digest=lambda call=call: fpdet.digest(call())[:16])
        for system in others:
            yield from system.contenders("convolution", plain, which)

    return Case(key, work, (TORCH,), contenders, **settings)
