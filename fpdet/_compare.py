"""Two recordings side by side: the first op that differs, by how much and where."""

from collections import defaultdict
from difflib import SequenceMatcher
from os import PathLike
from typing import NamedTuple

import torch

from fpdet._digest import ulp_distance
from fpdet._recording import Op, Recording, RecordingError

INPUT, OUTPUT = "input", "output"
_ROWS = 20  # of the table, at most


class Difference(NamedTuple):
    """A tensor that two runs have otherwise.

    a, b: the `Op` of either run; side: "input" or "output"; position: which tensor of it, in run a.
    elements, of: how many elements differ, of how many; ulps: the largest distance (2^63 - 1 between a number and NaN;
    None for integers); place: where that is; value_a, value_b: what stands there. All None where either recording kept
    no tensors.
    """

    a: Op
    b: Op
    side: str
    position: int
    elements: int | None = None
    of: int | None = None
    ulps: int | None = None
    place: tuple | None = None
    value_a: float | None = None
    value_b: float | None = None

    def __str__(self):
        side = self.a.inputs if self.side == INPUT else self.a.outputs
        words = f"{self.a} and {self.b}: {self.side} {self.position}, {side[self.position]}"
        if self.elements is None:
            return words
        apart = "" if self.ulps is None else f", at most {self.ulps} ulp apart"
        return (
            f"{words}: {self.elements} of {self.of} elements differ{apart}, at {list(self.place)}: "
            f"{_spelled(self.value_a)} and {_spelled(self.value_b)}"
        )


class Pair(NamedTuple):
    """Ops of both runs that stand for each other. status: "equal", "differs" (outputs do, inputs do not), "follows" (so
    do inputs), "agrees" (inputs do, outputs do not)."""

    a: Op
    b: Op
    status: str


class Comparison:
    """What `compare` found. Prints as a table.

    Attributes:
        equal: whether every op has its partner and every tensor the same bits.
        pairs: a list of `Pair`.
        first: the first `Difference` in the run, of an input or an output; None if there is none.
        cause: the first `Difference` of an output of an op whose inputs are equal; None if there is none.
        only_a, only_b: ops without a partner.
        before: those of them that ran before `first`: what one of the runs did there and the other did not.
        headers: the recordings' headers.
    """

    def __init__(self, a, b):
        self.names = a.name, b.name
        self.headers = a.header, b.header
        self.ends = a.end, b.end
        indices = _aligned(a.ops, b.ops)
        self.pairs, self.first, self.cause = [], None, None
        for i, j in indices:
            op_a, op_b = a.ops[i], b.ops[j]
            inputs, outputs = (
                _different(*sides) for sides in ((op_a.inputs, op_b.inputs), (op_a.outputs, op_b.outputs))
            )
            if (inputs or outputs) and self.first is None:
                side, found = (INPUT, inputs) if inputs else (OUTPUT, outputs)
                self.first = _difference(a, b, op_a, op_b, side, found[0])
            if outputs and not inputs and self.cause is None:
                self.cause = _difference(a, b, op_a, op_b, OUTPUT, outputs[0])
            status = {(0, 0): "equal", (0, 1): "differs", (1, 1): "follows", (1, 0): "agrees"}
            self.pairs.append(Pair(op_a, op_b, status[bool(inputs), bool(outputs)]))
        with_a, with_b = {i for i, _ in indices}, {j for _, j in indices}
        self.only_a = [op for op in a.ops if op.index not in with_a]
        self.only_b = [op for op in b.ops if op.index not in with_b]
        ends = (0, 0) if self.first is None else (self.first.a.index, self.first.b.index)
        self.before = [
            op for ops, end in ((self.only_a, ends[0]), (self.only_b, ends[1])) for op in ops if op.index < end
        ]
        self.equal = self.first is None and not self.only_a and not self.only_b

    def __str__(self):
        lines = [f"a: {self.names[0]}, {_length(self.ends[0])}", f"b: {self.names[1]}, {_length(self.ends[1])}"]
        for key in sorted({*self.headers[0], *self.headers[1]}):
            values = [header.get(key) for header in self.headers]
            if values[0] != values[1]:
                lines.append(f"{key}: {values[0]} and {values[1]}")
        counts = defaultdict(int)
        for pair in self.pairs:
            counts[pair.status] += 1
        words = [f"{counts[status]} {words}" for status, words in _WORDS.items() if counts[status]]
        lines.append(f"{len(self.pairs)} ops aligned: {', '.join(words) or 'none'}")
        if self.only_a or self.only_b:
            lines.append(f"without a partner: {len(self.only_a)} ops of a, {len(self.only_b)} of b")
        if self.first is None:
            lines.append("every op has the same bits" if self.equal else "what is aligned has the same bits")
            return "\n".join(lines)
        lines.append(f"first difference: {self.first}")
        words = self.first.a.arithmetic, self.first.b.arithmetic
        if words[0] != words[1]:
            lines.append(f"  arithmetic: {words[0] or 'torch'} and {words[1] or 'torch'}")
        lines += _listed([f"  before it, without a partner: {op}" for op in self.before])
        if self.cause is not None and self.cause != self.first:
            lines.append(f"first op whose inputs are equal and outputs differ: {self.cause}")
        if self.first.elements is None:
            lines.append('how far and where: record both runs with keep="tensors"')
        rows = [pair for pair in self.pairs if pair.status == "differs"]
        if len(rows) > 1:
            lines.append("ops whose inputs are equal and outputs differ:")
            lines += _listed([f"  {pair.a}  {pair.b}" for pair in rows])
        return "\n".join(lines)


_WORDS = {
    "equal": "equal",
    "differs": "whose outputs differ on equal inputs",
    "follows": "whose inputs and outputs differ",
    "agrees": "whose outputs are equal on different inputs",
}


def compare(a, b):
    """Find the first op in which two runs differ: a `Comparison`.

    Where both runs have the same sequence of ops, these are compared one by one; otherwise (torch against fpdet, say)
    those of the same phase, module and shape of result are, in the order of the runs, and of their tensors those of the
    same dtype and shape.

    Args:
        a, b: what ``with fpdet.record(...) as recording`` gave, or paths of recordings, of any machine.

    Raises:
        TypeError: neither.
        fpdet._recording.RecordingError: (a ValueError) a recording that cannot be read, or one of another model.
    """
    a, b = (_loaded(name, value) for name, value in (("a", a), ("b", b)))
    _check_models(a, b)
    return Comparison(a, b)


def _loaded(name, value):
    if isinstance(value, Recording):
        return value
    if isinstance(value, str | PathLike):
        return Recording.load(value)
    raise TypeError(f"{name}: expected a recording or the path of one, got {type(value).__name__}")


def _check_models(a, b):
    for (name_a, parameters_a), (name_b, parameters_b) in zip(a.models, b.models, strict=False):
        if parameters_a == parameters_b:
            continue
        here = dict.fromkeys(parameters_a)
        there = dict.fromkeys(parameters_b)
        missing = next((p for p in parameters_a if p not in there), None)
        extra = next((p for p in parameters_b if p not in here), None)
        raise RecordingError(
            f"b: expected a recording of the model that a has, {name_a} with {len(parameters_a)} parameters, got one "
            f"of {name_b} with {len(parameters_b)}: the first that only one of them has is "
            f"{_parameter(missing or extra)} ({a.name if missing else b.name}); record runs of one model"
        )


def _parameter(parameter):
    if parameter is None:
        return "none: their order differs"
    name, dtype, shape = parameter
    return f"{name}, {dtype} of shape {shape}"


def _length(end):
    if end is None:
        return "cut off"
    share = end["hashing"] / end["seconds"] if end["seconds"] else 0
    return f"{end['seconds']:.3g} s, {share:.0%} of them for recording"


def _listed(lines):
    return [*lines[:_ROWS], f"  and {len(lines) - _ROWS} more"] if len(lines) > _ROWS else lines


def _spelled(value):
    return value.hex() if isinstance(value, float) else repr(value)


# Alignment.


def _full(op):
    return op.name, op.phase, op.module, _kinds(op.inputs), _kinds(op.outputs)


def _kinds(tensors):
    return tuple((t.dtype, t.shape) for t in tensors)


def _loose(op):
    """What stays when another op does the same thing: where it is, and its result's kind."""
    floats = [kind for kind in _kinds(op.outputs) if "float" in kind[0] or "complex" in kind[0]]
    return op.phase, op.module, (floats or _kinds(op.outputs))[0]


def _aligned(a, b):
    """Pairs of indices, ascending."""
    same = 0
    while same < min(len(a), len(b)) and _full(a[same]) == _full(b[same]):
        same += 1
    pairs = [(i, i) for i in range(same)]
    matcher = SequenceMatcher(None, [_loose(op) for op in a[same:]], [_loose(op) for op in b[same:]], autojunk=False)
    for block in matcher.get_matching_blocks():
        pairs += [(same + block.a + k, same + block.b + k) for k in range(block.size)]
    return [(i, j) for i, j in pairs if a[i].name == b[j].name or _matched(a[i].inputs, b[j].inputs)]


def _matched(a, b):
    """Pairs of positions of tensors of one kind, in order."""
    if _kinds(a) == _kinds(b):
        return [(i, i) for i in range(len(a))]
    places = defaultdict(list)
    for j, kind in enumerate(_kinds(b)):
        places[kind].append(j)
    return [(i, places[kind].pop(0)) for i, kind in enumerate(_kinds(a)) if places[kind]]


def _different(a, b):
    return [(i, j) for i, j in _matched(a, b) if a[i].digest != b[j].digest]


# How far, and where.


def _difference(a, b, op_a, op_b, side, positions):
    described = [getattr(op, f"{side}s")[position] for op, position in zip((op_a, op_b), positions, strict=True)]
    x, y = (recording.tensor(tensor) for recording, tensor in zip((a, b), described, strict=True))
    known = Difference(op_a, op_b, side, positions[0])
    if x is None or y is None:
        return known
    ulps = None
    if x.is_complex():
        x, y = torch.view_as_real(x), torch.view_as_real(y)
    if x.is_floating_point():
        distance = ulp_distance(x, y)
        unlike = (distance != 0) | (torch.signbit(x) != torch.signbit(y)) & ~(x.isnan() & y.isnan())
        furthest = int(torch.where(unlike, distance, -1).argmax())
        ulps = int(distance.reshape(-1)[furthest])
    else:
        unlike = x != y
        furthest = int(unlike.reshape(-1).to(torch.uint8).argmax())
    place = tuple(int(i) for i in torch.unravel_index(torch.tensor(furthest), x.shape)) if x.dim() else ()
    value_a, value_b = (t.reshape(-1)[furthest].item() for t in (x, y))
    return known._replace(
        elements=int(unlike.sum()), of=x.numel(), ulps=ulps, place=place, value_a=value_a, value_b=value_b
    )
