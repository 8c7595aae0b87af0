"""The oracle's machine for fpdet/programs: the same lines in exact rationals.

A `Values` is a float64 array of members of `dtype`, so that the oracle needs no array type for bfloat16.
Source: docs/semantics.md, "Programs".
"""

from dataclasses import replace

import numpy as np

from fpdet.programs import PROGRAMS
from fpdet.programs.machine import BACKWARD, FORWARD, Machine

from .functions import unary
from .pointwise import round_tensor
from .primitives import binary, gather_sum, sum_terms
from .reduction import DEFAULT, ROUND
from .tensors import as_values


class ReferenceMachine(Machine):
    """Steps by the oracle's primitives. `dtype`: of the op's operands; `weights`: the rules of steps on weights."""

    def __init__(self, first_tag, rules, weights, dtype):
        super().__init__(first_tag)
        self.rules, self.weights, self.dtype = rules, weights, dtype
        self.working = dtype if dtype in ("float64", "float32") else "float32"

    def _rules(self, tag):
        return replace(self.rules, pass_tag=tag)

    def _binary(self, operation, a, b, tag):
        return binary(a, b, operation, self._rules(tag), self.working)

    def _unary(self, function, x, tag):
        return unary(function, x, self._rules(tag), self.working)

    def _sum(self, a, b, axes, tag):
        return sum_terms(a, b, axes, True, self._rules(tag), self.working)

    def _gather_sum(self, x, offsets, indices, weights, tag):
        return gather_sum(x, offsets, indices, weights, self._rules(tag), self.working)

    def enter(self, x):
        return x

    def leave(self, x, like):
        if self.working == self.dtype:
            return x
        return round_tensor(x, self.dtype, replace(self.rules, pass_tag=ROUND), self.working)

    def amax(self, x, axis):
        return np.max(x, axis=axis, keepdims=True)

    def where(self, condition, a, b):
        return np.where(condition, a, b)

    def expand(self, x, shape):
        return np.broadcast_to(x, shape)

    def pick(self, x, index):
        return x[index]

    def on_weights(self):
        machine = ReferenceMachine(self._tag, self.weights, self.weights, self.dtype)
        return machine


def run_program(name, inputs, attributes, rules=DEFAULT, dtype="float32"):
    """All outputs of a forward program. inputs: float arrays of members of `dtype`, integer arrays, None."""
    machine = ReferenceMachine(FORWARD, rules, rules, dtype)
    return PROGRAMS[name].forward(machine, *map(_values, inputs), **attributes)


def run_gradient(name, needed, grads, inputs, outputs, attributes, rules=DEFAULT, weights=None, dtype="float32"):
    """The gradients of a program; `outputs` as `run_program` gave them, `weights` the rules of grad_weight."""
    machine = ReferenceMachine(BACKWARD, rules, weights or rules, dtype)
    inputs, grads = list(map(_values, inputs)), list(map(_values, grads))
    return PROGRAMS[name].backward(machine, needed, grads, inputs, list(outputs), **attributes)


def _values(x):
    return x if x is None or np.asarray(x).dtype.kind in "iub" else as_values(x)
