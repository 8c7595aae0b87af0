"""Orders: which terms form a run, and how the partial sums of the runs are combined.

``runs_and_fold(order, T)`` is the definition; ``tree(order, T)`` and the reduction both evaluate it.
Source: docs/semantics.md section 4.
"""

import re
from dataclasses import dataclass
from functools import reduce as left_fold

from .stream import element_key, halves, philox

COMPENSATED = ("kahan", "neumaier")
_WORDS = re.compile(
    r"(?P<plain>sequential|reverse|pairwise|kahan|neumaier|exact)$"
    r"|(?P<sized>blocked|pairwise|split|strided)\((?P<size>\d+)\)(?P<then>\.shuffled\((?P<part_seed>\d+)\))?$"
    r"|shuffled\((?P<seed>\d+)(,\s*vary=(?P<vary>call|element))?\)$"
)


@dataclass(frozen=True)
class Order:
    """name: one of sequential, reverse, blocked, split, strided, shuffled, split_shuffled, kahan, neumaier, exact."""

    name: str
    size: int = 0
    seed: int = 0
    vary: str | None = None


def parse_order(order) -> Order:
    """``"blocked(512)"``, ``"split(4).shuffled(3)"``, ``"shuffled(3,vary=element)"`` …, a tuple such as
    ``("blocked", 512)``, or an Order. Raises ValueError for anything else."""
    if isinstance(order, Order):
        return order
    if isinstance(order, tuple):
        order = f"{order[0]}({','.join(map(str, order[1:]))})" if len(order) > 1 else order[0]
    found = _WORDS.match(str(order))
    if not found or (found["then"] and found["sized"] != "split") or (found["size"] and int(found["size"]) < 1):
        raise ValueError(f"order: expected a word of docs/semantics.md section 4, got {order!r}")
    if found["plain"]:
        return Order("blocked", 1) if found["plain"] == "pairwise" else Order(found["plain"])
    if found["sized"]:
        name = {"pairwise": "blocked"}.get(found["sized"], found["sized"])
        if found["then"]:
            return Order("split_shuffled", int(found["size"]), int(found["part_seed"]))
        return Order(name, int(found["size"]))
    return Order("shuffled", 0, int(found["seed"]), found["vary"])


def shuffle(count, seed, vary=None, counter=0, pass_tag=0, n=0, element=0) -> list[int]:
    """0 … count-1 sorted by (64 bits of Philox of the number, the number): ties cannot matter."""
    key, tail = halves(seed), (0, 0)
    if vary == "call":
        low, high = halves(counter)
        tail = (low ^ 0x80000000, high)
    elif vary == "element":
        k2 = element_key(seed, counter, pass_tag, n, element)
        key, tail = k2[:2], (k2[2] ^ 0x80000000, k2[3])

    def arrival(i):
        words = philox(key, (*halves(i), *tail))
        return words[0] + (words[1] << 32), i

    return sorted(range(count), key=arrival)


def fold_pairwise(parts, combine):
    """m parts split at the largest power of two below m, recursively; combine() is called in postorder."""
    if len(parts) == 1:
        return parts[0]
    half = 1 << ((len(parts) - 1).bit_length() - 1)
    left = fold_pairwise(parts[:half], combine)
    return combine(left, fold_pairwise(parts[half:], combine))


def fold_first_to_last(parts, combine):
    return left_fold(combine, parts)


def runs_and_fold(order, T: int, counter=0, pass_tag=0, n=0, element=0):
    """(runs, fold): the runs as lists of term indices, none empty, and the function that combines their
    partial sums. counter, pass_tag, n and element matter to ``shuffled(…, vary=…)`` alone."""
    order = parse_order(order)
    fold = fold_first_to_last
    match order.name:
        case "sequential":
            runs = [list(range(T))]
        case "reverse":
            runs = [list(range(T))[::-1]]
        case "blocked":
            runs = [list(range(i, min(i + order.size, T))) for i in range(0, T, order.size)]
            fold = fold_pairwise
        case "strided":
            runs = [list(range(lane, T, order.size)) for lane in range(min(order.size, T))]
            fold = fold_pairwise
        case "split" | "split_shuffled":
            s = order.size
            parts = range(s) if order.name == "split" else shuffle(s, order.seed)
            runs = [list(range(j * T // s, (j + 1) * T // s)) for j in parts]
        case "shuffled":
            runs = [shuffle(T, order.seed, order.vary, counter, pass_tag, n, element)]
        case _:
            raise ValueError(f"order: {order.name} is not a tree")
    return [run for run in runs if run], fold


def tree(order, T: int, counter=0, pass_tag=0, n=0, element=0):
    """The order as nested pairs of term indices, ``((0, 1), 2)``; a lone term is its index, no term is ().

    Raises ValueError for kahan, neumaier and exact, which are not trees.
    """
    runs, fold = runs_and_fold(order, T, counter, pass_tag, n, element)
    pair = lambda left, right: (left, right)  # noqa: E731
    return fold([left_fold(pair, run) for run in runs], pair) if runs else ()


def tree_text(tree) -> str:
    """``(((0 1) 2) 3)``: works at any depth, without recursion."""
    text, stack = [], [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, tuple) and node:
            stack += [")", node[1], " ", node[0], "("]
        else:
            text.append(node if isinstance(node, str) else "()" if node == () else str(node))
    return "".join(text)
