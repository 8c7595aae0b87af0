"""What fpdet computes where: op x rounding x order x format x device."""

from itertools import product
from typing import NamedTuple

import torch

from fpdet import _library  # noqa: F401  (registers the ops)
from fpdet._arithmetic import FORMATS, ROUNDINGS
from fpdet._check import has_cuda
from fpdet._order import KINDS, WITHOUT_TREE

NATIVE, SLOW, UNSUPPORTED = "native", "slow path", "unsupported"
CONVOLUTIONS = tuple(f"{name}{d}d" for name in ("conv", "conv_transpose") for d in (1, 2, 3))
POINTWISE = ("round", "sgd", "adam")
DEVICES = ("cpu", "cuda")
_EXAMPLES = {"blocked": "blocked(512)", "split": "split(4)", "strided": "strided(8)", "shuffled": "shuffled(1)"}
NOTE = (
    "Convolutions: forward, both backwards and double backward alike. Additions that autograd makes "
    "itself (gradients of a value used twice, .grad +=) are fpdet's inside `with fpdet.arithmetic(...)`, "
    "torch's outside it: nearest_even in the tensor's dtype. The other ops of networks are listed in "
    "docs/programs.md; fpdet.coverage(model, inputs) says which of a model's ops are fpdet's."
)


class Capability(NamedTuple):
    """One cell: what happens when `op` is called so."""

    op: str
    rounding: str
    order: str
    format: str
    device: str
    status: str


class Capabilities(tuple):
    """Every cell; prints as a summary, `find` picks cells."""

    __slots__ = ()
    note = NOTE

    def find(self, **fields):
        """The cells whose fields have these values, e.g. ``find(op="conv2d", device="cpu")``."""
        wanted = fields.items()
        return Capabilities(c for c in self if all(getattr(c, k) == v for k, v in wanted))

    def __str__(self):
        lines = []
        for op, device in product((*CONVOLUTIONS, *POINTWISE), DEVICES):
            cells = self.find(op=op, device=device)
            counts = {s: sum(c.status == s for c in cells) for s in (NATIVE, SLOW, UNSUPPORTED)}
            words = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
            if words:
                lines.append(f"{op:18} {device:5} {words}")
        return "\n".join([*lines, self.note])


def _status(op, rounding, order, format, device):
    ops, cuda = torch.ops.fpdet, device == "cuda"
    if cuda and not has_cuda():
        return UNSUPPORTED
    if op == "round":
        return NATIVE if not cuda and ops.round_has_kernel("float32", format, rounding) else SLOW
    dtype = "float64" if format == "float64" else "float32"
    if op in ("sgd", "adam"):
        words = f"{rounding} sequential {format} fused"
        if cuda and op == "adam":
            return SLOW
        cpu_kernel = ops.sgd_has_kernel if op == "sgd" else ops.adam_has_kernel
        has_kernel = ops.sgd_has_cuda_kernel if cuda else cpu_kernel
        return NATIVE if has_kernel(dtype, words) else SLOW
    if order == "exact":
        if format != "output dtype":
            return UNSUPPORTED
        words = f"{rounding} exact"
    else:
        words = f"{rounding} {_EXAMPLES.get(order, order)} {format}" + ("" if order in WITHOUT_TREE else " fused")
    has_kernel = ops.convolution_has_cuda_kernel if cuda else ops.convolution_has_kernel
    return NATIVE if has_kernel(dtype, words) else SLOW


def capabilities():
    """A `Capabilities` table of cells (op, rounding, order, format, device, status).

    status is "native" (a kernel made for it), "slow path" (the definition itself, one element at a
    time, same bits) or "unsupported" (raises; in a build without nvcc that is all of "cuda"). format
    is that of the accumulator, of `round` the target; of `round` on float32 tensors, of convolutions,
    `sgd` and `adam` on float64 tensors where the format is float64, float32 ones otherwise; ``exact`` rounds
    straight to the output dtype. Custom formats ``e<bits>p<precision>`` are as the narrow ones.
    """
    cells = []
    for op, device, rounding in product((*CONVOLUTIONS, *POINTWISE), DEVICES, ROUNDINGS):
        orders = KINDS if op in CONVOLUTIONS else ("-",)
        for order in orders:
            formats = ("output dtype",) if order == "exact" else FORMATS
            for format in formats:
                status = _status(op, rounding, order, format, device)
                cells.append(Capability(op, rounding, order, format, device, status))
    return Capabilities(cells)
