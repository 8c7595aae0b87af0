"""Orders of summation and the trees they stand for; public as ``fpdet.order``.

An `Order` is its canonical string (it compares and hashes as one) with methods:

>>> from fpdet import order
>>> order.split(4).shuffled(7)
'split(4).shuffled(7)'
>>> print(order.sequential.tree(4))
(((0 1) 2) 3)
"""

import re

from fpdet._words import integer, one_of

SEED_MAX = 2**64 - 1
TERMS_MAX = 2**31

PLAIN = ("sequential", "reverse", "pairwise", "kahan", "neumaier", "exact")
WITH_COUNT = ("blocked", "split", "strided")
KINDS = (*PLAIN, *WITH_COUNT, "shuffled")
WITHOUT_TREE = ("kahan", "neumaier", "exact")

_CALL = re.compile(r"(\w+)(?:\(([^()]*)\))?")
_SHUFFLED_SPLIT = re.compile(r"split\((\d+)\)\.shuffled\((\d+)\)")


class Order(str):
    """One order of summation, e.g. ``Order("blocked(64)")``; the text is brought to canonical form.

    Raises:
        TypeError: the text is no string.
        ValueError: the text names no order, or a number in it is out of range.
    """

    __slots__ = ()

    def __new__(cls, text):
        return super().__new__(cls, _canonical(text))

    @property
    def kind(self):
        """The word before the parenthesis, e.g. ``"blocked"``."""
        return re.match(r"\w+", self)[0]

    @property
    def is_tree(self):
        """Whether the order is a binary tree over its terms."""
        return self.kind not in WITHOUT_TREE

    @property
    def per_call(self):
        """Whether the order changes with the stream's counter (``vary=``)."""
        return "vary=" in self

    def shuffled(self, seed):
        """``split(s)`` whose partials arrive in the order that `seed` gives."""
        if self.kind != "split" or "." in self:
            raise ValueError(f"shuffled: expected an order split(s), got {str(self)!r}")
        return Order(f"{self}.shuffled({integer('seed', seed, 0, SEED_MAX)})")

    def tree(self, n):
        """The `fpdet._tree.Tree` of this order over the terms 0 … n-1.

        Raises:
            ValueError: the order is no fixed tree (kahan, neumaier, exact, vary=), or n < 1.
        """
        from fpdet._tree import Tree

        integer("n", n, 1, TERMS_MAX)
        if not self.is_tree or self.per_call:
            raise ValueError(f"tree: expected an order that is one tree, got {str(self)!r}")
        from fpdet import _core

        return Tree.from_nested(_core.tree(str(self), n))


def _canonical(text):
    if not isinstance(text, str):
        raise TypeError(f"order: expected a string or fpdet.order.…, got {type(text).__name__}")
    text = text.replace(" ", "")
    both = _SHUFFLED_SPLIT.fullmatch(text)
    if both:
        parts = integer("order split", int(both[1]), 1, TERMS_MAX)
        return f"split({parts}).shuffled({integer('order seed', int(both[2]), 0, SEED_MAX)})"
    call = _CALL.fullmatch(text)
    if not call:
        raise ValueError(f"order: expected one of {', '.join(KINDS)} with its number, got {text!r}")
    kind, inside = one_of("order", call[1], KINDS), call[2]
    if kind == "shuffled":
        return _canonical_shuffle(text, inside)
    if kind == "pairwise" and inside is not None:
        kind = "blocked"  # pairwise(n) is blocked(n)
    if kind in PLAIN:
        if inside is not None:
            raise ValueError(f"order: {kind} takes no number, got {text!r}")
        return kind
    count = integer(f"order {kind}", _number(text, kind, inside), 1, TERMS_MAX)
    return "pairwise" if (kind, count) == ("blocked", 1) else f"{kind}({count})"


def _canonical_shuffle(text, inside):
    seed, _, option = (inside or "").partition(",")
    number = integer("order seed", _number(text, "shuffled", seed), 0, SEED_MAX)
    if not option:
        return f"shuffled({number})"
    key, _, vary = option.partition("=")
    if key != "vary":
        raise ValueError(f"order: expected shuffled(seed) or shuffled(seed,vary=…), got {text!r}")
    return f"shuffled({number},vary={one_of('order vary', vary, ('call', 'element'))})"


def _number(text, kind, digits):
    if digits is None or not digits.isdecimal():
        raise ValueError(f"order: {kind} needs a number as in {kind}(4), got {text!r}")
    return int(digits)


parse = Order
sequential = Order("sequential")
reverse = Order("reverse")
kahan = Order("kahan")
neumaier = Order("neumaier")
exact = Order("exact")


def _count(name, value):
    return Order(f"{name}({integer(name, value, 1, TERMS_MAX)})")


def blocked(n):
    """Contiguous runs of n terms, their partials combined pairwise."""
    return _count("blocked", n)


def pairwise(n=1):
    """``blocked(n)``; by default the recursive halving of single terms."""
    return _count("blocked", n)


def split(s):
    """s contiguous parts, a run each, combined first to last (split-K)."""
    return _count("split", s)


def strided(lanes):
    """Lane j runs over terms j, j+lanes, …; lanes combined pairwise (SIMD)."""
    return _count("strided", lanes)


def shuffled(seed, *, vary=None):
    """One run over a permutation of the terms; `vary` "call" or "element" draws a new one each time."""
    option = "" if vary is None else f",vary={vary}"
    return Order(f"shuffled({integer('seed', seed, 0, SEED_MAX)}{option})")
