"""Trees of summation: printed as nested parentheses, compared, drawn.

Nothing here recurses: a run over a thousand terms is a tree a thousand deep.
"""


class Tree:
    """The tree of a sum; a leaf is a term index, a node has two or more children.

    ``str(tree)`` is e.g. ``(((0 1) 2) 3)``. Addition commutes, so two trees are equal when they
    differ only in the order of children.
    """

    __slots__ = ("_key", "children", "leaf")

    def __init__(self, children=(), leaf=None):
        self.children = tuple(children)
        self.leaf = leaf
        self._key = None

    @classmethod
    def from_nested(cls, nested):
        """Build from nested tuples of ints, e.g. ``(((0, 1), 2), 3)``."""
        return _fold(
            nested,
            lambda node: node if isinstance(node, tuple | list) else (),
            lambda node, parts: cls(parts) if parts else cls(leaf=int(node)),
        )

    def leaves(self):
        """Term indices from left to right."""
        found, stack = [], [self]
        while stack:
            node = stack.pop()
            if node.children:
                stack.extend(reversed(node.children))
            else:
                found.append(node.leaf)
        return found

    def depth(self):
        """Additions on the longest way from a term to the result."""
        return _fold(self, _children, lambda _, parts: 1 + max(parts) if parts else 0)

    def canonical(self):
        """The same tree with the child that holds the smallest term first."""

        def order(node, parts):
            if not parts:
                return node.leaf, node
            parts = sorted(parts, key=lambda part: part[0])
            return parts[0][0], Tree(part[1] for part in parts)

        return _fold(self, _children, order)[1]

    def __str__(self):
        pieces, stack = [], [self]
        while stack:
            node = stack.pop()
            if isinstance(node, str):
                pieces.append(node)
            elif not node.children:
                pieces.append(str(node.leaf))
            else:
                stack.append(")")
                for i, child in enumerate(reversed(node.children)):
                    stack.extend([" ", child] if i else [child])
                stack.append("(")
        return "".join(pieces)

    def __repr__(self):
        return f"Tree({self})"

    def _comparison_key(self):
        if self._key is None:
            self._key = str(self.canonical())
        return self._key

    def __eq__(self, other):
        if not isinstance(other, Tree):
            return NotImplemented
        return self._comparison_key() == other._comparison_key()

    def __hash__(self):
        return hash(self._comparison_key())

    def draw(self, path):
        """Write a picture of the tree; the suffix of `path` (.svg, .png) chooses the format.

        Raises:
            ImportError: matplotlib (extra ``plot``) is not installed.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError("Tree.draw needs matplotlib: pip install fpdet[plot]") from error
        column = {leaf: i for i, leaf in enumerate(self.leaves())}
        lines, dots = [], []

        def place(node, parts):
            if not parts:
                return column[node.leaf], 0
            x, y = sum(p[0] for p in parts) / len(parts), 1 + max(p[1] for p in parts)
            lines.extend(((p[0], x), (p[1], y)) for p in parts)
            dots.append((x, y))
            return x, y

        height = _fold(self, _children, place)[1]
        figure = Figure(figsize=(min(2 + 0.3 * len(column), 40), min(2 + 0.3 * height, 40)))
        axes = figure.subplots()
        for xs, ys in lines:
            axes.plot(xs, ys, color="0.6", linewidth=1, zorder=1)
        if dots:
            axes.scatter(*zip(*dots, strict=True), s=18, color="tab:blue", zorder=2)
        if len(column) <= 128:
            axes.set_xticks(range(len(column)), [str(leaf) for leaf in column])
        axes.set_xlabel("term")
        axes.set_ylabel("additions above the deepest term")
        figure.savefig(path, bbox_inches="tight")


def _children(tree):
    return tree.children


def _fold(root, children, combine):
    """combine(node, results of its children) from the leaves up, without recursion."""
    results, stack = [], [(root, False)]
    while stack:
        node, done = stack.pop()
        below = children(node)
        if done or not below:
            count = len(below)
            parts = results[len(results) - count :]
            del results[len(results) - count :]
            results.append(combine(node, parts))
        else:
            stack.append((node, True))
            stack.extend((child, False) for child in reversed(below))
    return results[0]
