"""One output element: an ordered sum of products (or of terms), bias, conversion; every rounding numbered.

Source: docs/semantics.md sections 4 and 5.
"""

import math
import struct
from dataclasses import dataclass, replace
from fractions import Fraction

from .arithmetic import Rounder
from .order import parse_order, runs_and_fold
from .rounding import is_negative, round_exact
from .stream import element_key, elementwise_bits, halves, philox, random_bits, sample_key

FORWARD, GRAD_INPUT, GRAD_WEIGHT, GRAD_BIAS, ADD, SGD, ROUND = range(7)
ADAM = 10
DOUBLE_BACKWARD = 16  # added to a pass tag


@dataclass(frozen=True)
class Rules:
    """An Arithmetic in plain words, with the stream's counter and the place of the tensor in its batch.

    ``pass_tag=None`` is the tag of the op that is called. ``fused`` is ignored by kahan, neumaier and exact,
    ``accumulator`` by exact.
    """

    rounding: str = "nearest_even"
    order: str = "blocked(512)"
    accumulator: str = "auto"
    fused: bool = True
    bits: int = 32
    variant: str = "a"
    seed: int = 0
    keyed_by: str = "position"
    counter: int = 0
    pass_tag: int | None = None
    batch_offset: int = 0

    def for_pass(self, pass_tag: int) -> "Rules":
        """These rules with ``pass_tag`` unless one is given."""
        return self if self.pass_tag is not None else replace(self, pass_tag=pass_tag)

    def accumulator_format(self, dtype: str) -> str:
        if self.accumulator != "auto":
            return self.accumulator
        return "float64" if dtype == "float64" else "float32"

    def rounder(self, format, n: int, element: int) -> Rounder:
        """Operations in ``format`` for output element (sample n, flat index ``element``) of a reduction."""

        def bits_of(event):
            key = element_key(self.seed, self.counter, self.pass_tag or 0, n, element)
            return random_bits(key, event, self.bits)

        return self._rounder(format, bits_of)

    def elementwise_rounder(self, format, position: int, n: int = 0) -> Rounder:
        """Operations in ``format`` for the element at ``position`` of an elementwise op; ``n``: the tensor's number."""

        def bits_of(event):
            key = sample_key(self.seed, self.counter, self.pass_tag or 0, n)
            return elementwise_bits(key, position, event, self.bits)

        return self._rounder(format, bits_of)

    def _rounder(self, format, bits_of) -> Rounder:
        def draw(event, operation, operands):
            if self.keyed_by == "operands":
                return operand_bits(self.seed, operation, operands, self.bits)
            return bits_of(event)

        return Rounder(format, self.rounding, draw, self.bits, self.variant)


DEFAULT = Rules()
OPERATION_CODES = {"add": 1, "mul": 2, "fma": 3, "div": 4, "convert": 5, "exact": 6}
OPERATION_CODES |= {"exp": 16, "expm1": 17, "log": 18, "log1p": 19, "tanh": 20, "sigmoid": 21, "silu": 22}
OPERATION_CODES |= {"softplus": 23, "erf": 24, "normal_cdf": 25, "gelu": 26, "sqrt": 27, "rsqrt": 28, "reciprocal": 29}


def operand_bits(seed: int, operation: str, operands, bits: int) -> int:
    """Random bits that depend on seed, operation and operands alone (``keyed_by="operands"``).

    One chained Philox call for the binary64 pattern of each operand.
    """
    words = (*halves(seed), OPERATION_CODES[operation], 0)
    for x in operands:
        pattern = struct.unpack("<Q", struct.pack("<d", x))[0]
        words = philox(words[:2], (*halves(pattern), *words[2:]))
    return words[0] >> (32 - bits)


def reduce_element(terms, rules: Rules, dtype: str, bias=None, n=0, element=0) -> float:
    """Sum ``terms`` by ``rules`` into one value of ``dtype``.

    ``terms`` is a list of pairs (a, b), products, or a list of floats, which enter the sum unmultiplied.
    """
    order, T = parse_order(rules.order), len(terms)
    products = T == 0 or isinstance(terms[0], tuple)
    if order.name == "exact":
        rounder = rules.rounder(dtype, n, element)
        return exact_sum(terms, bias, rounder, event=2 * T + 1)
    rounder = rules.rounder(rules.accumulator_format(dtype), n, element)
    if order.name == "kahan":
        total, bias_event = kahan(terms, products, rounder), 8 * T + 1
    elif order.name == "neumaier":
        total, bias_event = neumaier(terms, products, rounder), 8 * T + 1
    else:
        place = (rules.counter, rules.pass_tag or 0, n, element)
        total, combinations = sum_tree(terms, products, rules.fused, runs_and_fold(order, T, *place), rounder)
        bias_event = 2 * T + combinations
    if bias is not None:
        total = rounder.add(total, bias, bias_event)
    return rules.rounder(dtype, n, element).convert(total, bias_event + 1)


def sum_tree(terms, products, fused, runs_and_fold, rounder):
    """(sum, number of combinations): each run from +0, then the partials folded in postorder."""
    (runs, fold), T = runs_and_fold, len(terms)
    combinations = 0

    def add_term(acc, i):
        if not products:
            return rounder.add(acc, terms[i], 2 * i + 1)
        if fused:
            return rounder.fma(*terms[i], acc, 2 * i + 1)
        return rounder.add(acc, rounder.mul(*terms[i], 2 * i), 2 * i + 1)

    def run_sum(run):
        acc = 0.0
        for i in run:
            acc = add_term(acc, i)
        return acc

    def combine(p, q):
        nonlocal combinations
        combinations += 1
        return rounder.add(p, q, 2 * T + combinations - 1)

    return (fold([run_sum(run) for run in runs], combine) if runs else 0.0), combinations


def kahan(terms, products, r) -> float:
    """t = a*b; y = t-c; u = s+y; c = (u-s)-y; s = u; events 8i ... 8i+4 in that order."""
    s = c = 0.0
    for i, term in enumerate(terms):
        t = r.mul(*term, 8 * i) if products else term
        y = r.sub(t, c, 8 * i + 1)
        u = r.add(s, y, 8 * i + 2)
        c = r.sub(r.sub(u, s, 8 * i + 3), y, 8 * i + 4)
        s = u
    return s


def neumaier(terms, products, r) -> float:
    """u = s+t; c += (|s| >= |t| ? (s-u)+t : (t-u)+s); s = u; result s+c; events 8i ... 8i+4, then 8T."""
    s = c = 0.0
    for i, term in enumerate(terms):
        t = r.mul(*term, 8 * i) if products else term
        u = r.add(s, t, 8 * i + 1)
        large, small = (s, t) if abs(s) >= abs(t) else (t, s)
        lost = r.add(r.sub(large, u, 8 * i + 2), small, 8 * i + 3)
        c = r.add(c, lost, 8 * i + 4)
        s = u
    return r.add(s, c, 8 * len(terms))


def exact_sum(terms, bias, rounder, event=0) -> float:
    """The real sum of products (or terms) and bias, rounded once.

    NaN and infinities as IEEE addition of all of them gives. An exact zero: if all terms are zeros of one
    sign, that sign; otherwise +0, or -0 under downward. No term at all: +0.
    """
    exact_terms = [t if isinstance(t, tuple) else (1.0, t) for t in terms] + ([] if bias is None else [(1.0, bias)])
    total, infinities, zero_signs = Fraction(0), set(), set()
    for a, b in exact_terms:
        negative = is_negative(a) != is_negative(b)
        if math.isnan(a) or math.isnan(b):
            return math.nan
        if math.isinf(a) or math.isinf(b):
            if a == 0 or b == 0:
                return math.nan
            infinities.add(negative)
        elif a == 0 or b == 0:
            zero_signs.add(-1 if negative else 1)
        else:
            total += Fraction(a) * Fraction(b)
            zero_signs |= {1, -1}  # not all terms are zeros of one sign
    if infinities:
        return math.nan if len(infinities) == 2 else rounder.format.infinity(infinities.pop())
    if total == 0:
        mixed = -1 if rounder.rounding == "downward" else 1
        zero_sign = zero_signs.pop() if len(zero_signs) == 1 else mixed if zero_signs else 1
        return -0.0 if zero_sign < 0 else 0.0
    random = None
    if rounder.rounding == "stochastic":  # where operands are hashed, the operand is the sum in binary64
        random = rounder.draw(event, "exact", (round_exact(total, 1, "float64", "to_odd"),))
    return round_exact(total, 1, rounder.format, rounder.rounding, random, rounder.bits, rounder.variant)
