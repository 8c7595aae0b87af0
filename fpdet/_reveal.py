"""The summation tree of any function, found by probing it.

A probe puts M at term i, -M at term j and a unit at every other. M absorbs the units that meet it
before -M does; the units that survive were added outside the smallest subtree that holds both i and
j. So each probe yields the size of one subtree, and the sizes yield the tree.

Source: Xie et al., "FPRev: Revealing the Order of Floating-Point Summation", 2024.
"""

import random

import torch

from fpdet._tree import Tree
from fpdet._words import integer

# (log2 M, log2 unit), widest first: M must be finite in the function's narrowest format and absorb
# units in its widest; the first pair that passes the checks is used.
_SCALES = {
    torch.float64: ((900, -100), (120, -20), (110, 0), (15, -24), (8, -9), (14, -16)),
    torch.float32: ((120, -20), (110, 0), (15, -24), (14, -16), (8, -9)),
    torch.bfloat16: ((120, -20), (110, 0), (15, -24), (14, -16), (8, -9)),
    torch.float16: ((15, -24), (14, -16), (8, -9)),
}
_CHECKED_PAIRS = 100


def reveal(function, n, *, dtype=torch.float32):
    """The `Tree` by which `function` sums n terms, or an error if no fixed tree explains it.

    Args:
        function: takes a 1-D tensor of n values of `dtype`, returns one number (a tensor of one
            element, or a float) that is a sum of them, each times one constant.
        n: number of terms, at least 1.
        dtype: float64, float32, bfloat16 or float16.

    Raises:
        ValueError: "not a fixed tree": the answers fit no tree, or change from call to call
            (compensated or exact sums, sums whose order depends on values, races); or `function` is
            no sum. Fewer than four terms do not tell Kahan's sum from a run.
        TypeError: bad `n` or `dtype`.
    """
    integer("n", n, 1, 2**31)
    if dtype not in _SCALES:
        raise TypeError(f"dtype: expected one of {', '.join(map(str, _SCALES))}, got {dtype}")
    if n == 1:
        return Tree(leaf=0)
    for scale in _SCALES[dtype]:
        probe = _Probe(function, n, dtype, *scale)
        if probe.usable():
            break
    else:
        raise ValueError("not a fixed tree: function is no sum of its n terms at any scale tried")
    tree = _build(probe, n)
    _verify(probe, tree, n)
    _refuse_compensation(probe, tree, n)
    return tree.canonical()


class _Probe:
    def __init__(self, function, n, dtype, log_big, log_unit):
        self.function, self.n, self.dtype = function, n, dtype
        self.big, self.unit = 2.0**log_big, 2.0**log_unit
        self.answer = None

    def call(self, values):
        out = self.function(values)
        if isinstance(out, torch.Tensor):
            if out.numel() != 1:
                raise ValueError(f"function: expected one number, got shape {tuple(out.shape)}")
            out = out.detach().reshape(()).item()
        return float(out)

    def zeros(self):
        return torch.zeros(self.n, dtype=self.dtype)

    def usable(self):
        """Whether M and a unit come through alone, and how many units can be counted at a time."""
        ends = {0, self.n // 2, self.n - 1}
        alone = []
        for place in ends:
            for size in (self.unit, -self.unit, self.big, -self.big):
                values = self.zeros()
                values[place] = size
                alone.append(self.call(values) / size)
        self.answer = alone[0]
        if self.answer == 0 or any(a != self.answer for a in alone):
            return False
        self.chunk = self.n
        while not self._counts():
            self.chunk //= 2
            if self.chunk == 0:
                return False
        return True

    def _chunks(self):
        return [slice(start, start + self.chunk) for start in range(0, self.n, self.chunk)]

    def _counts(self):
        for part in self._chunks():
            values = self.zeros()
            values[part] = self.unit
            if self.call(values) / self.unit / self.answer != len(range(self.n)[part]):
                return False
        return True

    def subtree(self, i, j):
        """Leaves under the node where i and j meet."""
        survivors = 0.0
        for part in self._chunks():
            values = self.zeros()
            values[part] = self.unit
            values[i], values[j] = self.big, -self.big
            survivors += self.call(values) / self.unit / self.answer
        size = self.n - survivors
        if not 2 <= size <= self.n or size != int(size):
            raise ValueError(f"not a fixed tree: terms {i} and {j} left {survivors} of {self.n} units")
        return int(size)


def _build(probe, n):
    """Around one term, the others group by the size of the subtree in which they meet it."""
    finished = {}
    stack = [(tuple(range(n)), False)]
    while stack:
        terms, grouped = stack.pop()
        if len(terms) == 1:
            finished[terms] = [Tree(leaf=terms[0])]
        elif not grouped:
            pivot = terms[len(terms) // 2]
            groups = {}
            for other in terms:
                if other != pivot:
                    groups.setdefault(probe.subtree(pivot, other), []).append(other)
            plan = [(size, tuple(group)) for size, group in sorted(groups.items())]
            stack.append(((terms, pivot, plan), True))
            stack.extend((group, False) for _, group in plan)
        else:
            terms, pivot, plan = terms
            finished[terms] = _join(pivot, plan, finished, len(terms))
    (tree,) = finished[tuple(range(n))]
    return tree


def _join(pivot, plan, finished, total):
    """The children, one or several, that the terms of this group hang on their parent with."""
    parts, size = [Tree(leaf=pivot)], 1
    for place, (found, group) in enumerate(plan):
        size += len(group)
        below = finished[group]
        if found == size:
            parts = [Tree([*parts, *below])]
        elif found > size == total and place == len(plan) - 1:
            parts = [*parts, *below]  # the node where they meet lies above this group: more than two children
        else:
            raise ValueError(
                f"not a fixed tree: term {pivot} met others in a subtree of {found} terms, expected {size}"
            )
    return parts


def _verify(probe, tree, n):
    """Probe pairs again, both ways round, and compare with the tree."""
    pairs = [(i, j) for i in range(n) for j in range(i)] if n <= 12 else None
    draw = random.Random(n)
    pairs = pairs or [tuple(draw.sample(range(n), 2)) for _ in range(_CHECKED_PAIRS)]
    meet = _meetings(tree)
    for i, j in pairs:
        for first, second in ((i, j), (j, i)):
            size = probe.subtree(first, second)
            if size != meet(i, j):
                raise ValueError(
                    f"not a fixed tree: terms {first} and {second} met in a subtree of {size} terms, "
                    f"expected {meet(i, j)}"
                )


def _refuse_compensation(probe, tree, n):
    """Kahan's sum loses a lone M like a plain run; what it saves are parts of an ulp.

    Down the tree's longest chain of single terms: 1 first, then 7/16 of an ulp each time, -1 last.
    Plain additions leave 0. (With fewer than four terms in the chain there is too little to save.)
    """
    chain, node = [], tree
    while len(node.children) == 2 and any(not child.children for child in node.children):
        left, right = node.children
        lone, node = (right, left) if not right.children else (left, right)
        chain.append(lone.leaf)
    if node.children or len(chain) < 3:
        return
    last, *units, deepest = chain
    for first, second in ((node.leaf, deepest), (deepest, node.leaf)):  # either may be the first

        def left_over(unit, places, first=first):
            values = probe.zeros()
            values[first], values[last], values[places] = 1.0, -1.0, unit
            return probe.call(values)

        precision = next((k for k in range(1, 60) if left_over(2.0**-k, [second]) == 0), None)
        if precision is None or left_over(7 / 8 * 2.0**-precision, [*units, second]) != 0:
            raise ValueError("not a fixed tree: parts below one ulp are not lost (a compensated sum)")


def _meetings(tree):
    """A function of two terms: the size of the smallest subtree that holds both."""
    parent, size, leaf, order, stack = {}, {}, {}, [], [tree]
    while stack:
        node = stack.pop()
        order.append(node)
        for child in node.children:
            parent[id(child)] = node
        stack.extend(node.children)
        if not node.children:
            leaf[node.leaf] = node
    for node in reversed(order):
        size[id(node)] = sum(size[id(child)] for child in node.children) or 1

    def meet(i, j):
        above, node = set(), leaf[i]
        while node is not None:
            above.add(id(node))
            node = parent.get(id(node))
        node = leaf[j]
        while id(node) not in above:
            node = parent[id(node)]
        return size[id(node)]

    return meet
