"""What a program may do: rounded steps, which differ by machine, and exact ones, which only move data.

Every rounded step has a number; the random bits of stochastic rounding are keyed by it, so a program draws
apart in each of its steps: step i of a forward program has pass tag FORWARD + i, of a backward one BACKWARD + i.
"""

from math import prod

FORWARD, BACKWARD = 1 << 16, 1 << 17


class Machine:
    """Numbers the steps. A subclass has the methods that raise here, over its own tensors.

    Tensors of every machine have ``shape``, ``reshape``, ``-x``, comparisons and indexing in common, all exact.
    """

    def __init__(self, first_tag):
        self._tag = first_tag

    def _next(self):
        tag = self._tag
        self._tag += 1
        return tag

    # Rounded steps, one core operation per element of the result. b may be a number, a float64 that is
    # rounded once, to nearest even, into the accumulator's format; in div so may a.

    def _binary(self, operation, a, b, tag):
        raise NotImplementedError

    def _unary(self, function, x, tag):
        raise NotImplementedError

    def _sum(self, a, b, axes, tag):
        raise NotImplementedError

    def _gather_sum(self, x, offsets, indices, weights, tag):
        raise NotImplementedError

    def add(self, a, b):
        return self._binary("add", a, b, self._next())

    def sub(self, a, b):
        return self._binary("sub", a, b, self._next())

    def mul(self, a, b):
        return self._binary("mul", a, b, self._next())

    def div(self, a, b):
        return self._binary("div", a, b, self._next())

    def unary(self, function, x):
        """A correctly rounded elementary function."""
        return self._unary(function, x, self._next())

    def sum(self, a, axes):
        """The ordered sum over `axes`, row-major; they stay, of size 1."""
        return self._sum(a, None, tuple(axes), self._next())

    def dot(self, a, b, axes):
        """The ordered sum of the products a*b over `axes`; they stay, of size 1."""
        return self._sum(a, b, tuple(axes), self._next())

    def gather_sum(self, x, offsets, indices, weights=None):
        """x (T, D): row s of the result sums the rows indices[offsets[s]:offsets[s + 1]] of x, in that order."""
        return self._gather_sum(x, offsets, indices, weights, self._next())

    def mean(self, a, axes):
        """sum / count: two steps."""
        return self.div(self.sum(a, axes), float(self.count(a, axes)))

    def count(self, a, axes):
        """The number of terms of a sum over `axes`."""
        return count(a, axes)

    # Exact steps.

    def enter(self, x):
        """x in the working dtype: float32 for narrower ones, its own otherwise; None stays."""
        raise NotImplementedError

    def leave(self, x, like):
        """x rounded from the working dtype into that of the input `like`."""
        raise NotImplementedError

    def amax(self, x, axis):
        """The greatest element along `axis`, which stays, of size 1; NaN if one is. No gradient flows through it:
        programs shift by it, and a shift changes nothing but rounding."""
        raise NotImplementedError

    def where(self, condition, a, b):
        """a where the condition holds, else b; either may be a number."""
        raise NotImplementedError

    def expand(self, x, shape):
        raise NotImplementedError

    def pick(self, x, index):
        """Rows `index` of x (T, D)."""
        raise NotImplementedError

    def on_weights(self):
        """This machine with the arithmetic of grad_weight; the steps are numbered on."""
        raise NotImplementedError


def count(a, axes):
    """The number of terms of a sum over `axes`."""
    return prod(a.shape[axis] for axis in axes)


def other_axes(x, axis):
    """All axes but one."""
    return tuple(i for i in range(len(x.shape)) if i != axis)
