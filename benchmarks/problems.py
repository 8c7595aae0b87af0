"""Convolutions as descriptor strings, one grammar for files, command line and results.

    n4c64h56k64r3p1                  batch 4, 64 -> 64 channels, 56 x 56, kernel 3 x 3, padding 1
    n4c64h56w28k64r3s1u2v1p1q0d1e1g64

n batch, c input channels, h w input size, k output channels, r s kernel, u v stride, p q padding, d e dilation (the
second letter of each pair is the horizontal axis, by default as the first), g groups. c k and g count the whole
convolution. A pair left out is 1 (padding 0). In a list a line may go on with words: `channels_last`, a count as in
`x3` (how often a network has the layer), and a name.
"""

import re
from dataclasses import dataclass, replace
from math import prod

LETTERS = "nchwkrsuvpqdeg"
REQUIRED = "nchkr"
SECOND = {"w": "h", "s": "r", "v": "u", "q": "p", "e": "d"}  # horizontal axis -> vertical axis
DEFAULTS = {"u": 1, "p": 0, "d": 1, "g": 1}
GRAMMAR = "n<N>c<C>h<H>[w<W>]k<K>r<R>[s<S>][u<stride>[v]][p<padding>[q]][d<dilation>[e]][g<groups>]"


class ProblemError(ValueError):
    """A descriptor that is none, or describes nothing: says where, what was expected and what was got."""


@dataclass(frozen=True)
class Problem:
    """A convolution of two spatial axes. Sizes are torch's; `name` and `count` are labels."""

    n: int
    c: int
    k: int
    size: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    channels_last: bool = False
    name: str = ""
    count: int = 1

    @property
    def out(self):
        """Spatial size of the output."""
        axes = zip(self.size, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        return tuple((h + 2 * p - d * (r - 1) - 1) // u + 1 for h, r, u, p, d in axes)

    @property
    def shapes(self):
        """Shapes of input, weight and output."""
        weight = (self.k, self.c // self.groups, *self.kernel)
        return (self.n, self.c, *self.size), weight, (self.n, self.k, *self.out)

    @property
    def multiply_adds(self):
        """Of one pass, those with padding included."""
        _, weight, output = self.shapes
        return prod(output) * prod(weight[1:])

    @property
    def kind(self):
        """Class of layer: depthwise, grouped, or the kernel's size."""
        if self.groups > 1:
            return "depthwise" if self.groups == self.c == self.k else "grouped"
        return "x".join(map(str, self.kernel))

    def terms(self, which):
        """Terms of one output element of a pass; of grad_input, of the residue class that has most."""
        _, weight, output = self.shapes
        taps = prod(weight[2:])
        if which == "forward":
            return weight[1] * taps
        if which == "grad_input":
            return self.k // self.groups * prod(-(-r // u) for r, u in zip(self.kernel, self.stride, strict=True))
        return output[0] * prod(output[2:])

    def __str__(self):
        pairs = (("h", self.size), ("r", self.kernel), ("u", self.stride), ("p", self.padding), ("d", self.dilation))
        values = {"n": self.n, "c": self.c, "k": self.k, "g": self.groups}
        for letter, (vertical, horizontal) in pairs:
            values[letter] = vertical
            if horizontal != vertical:
                values[{v: h for h, v in SECOND.items()}[letter]] = horizontal
        kept = {key: value for key, value in values.items() if value != DEFAULTS.get(key)}
        for horizontal, vertical in SECOND.items():  # a pair stands whole
            if horizontal in kept:
                kept[vertical] = values[vertical]
        text = "".join(f"{letter}{kept[letter]}" for letter in LETTERS if letter in kept)
        return text + " channels_last" * self.channels_last

    def small(self, most):
        """The problem with batch, then height, then channels halved until a pass has at most `most` multiply-adds.

        Kernel, stride, padding, dilation, layout and the class of the layer stay."""
        problem = self
        for shrink in (_halve_batch, _halve_size, _halve_channels):
            while problem.multiply_adds > most and (smaller := shrink(problem)) != problem:
                problem = smaller
        return problem

    def tiny(self):
        """A version for the oracle: a few samples, channels and output positions, remainders kept."""
        groups = min(self.groups, 2)
        reach = [d * (r - 1) + 1 for d, r in zip(self.dilation, self.kernel, strict=True)]
        axes = zip(self.size, reach, self.stride, self.padding, (3, 5), strict=True)
        size = tuple(min(h, max(1, reached + most * u - 2 * p)) for h, reached, u, p, most in axes)
        c, k = (min(each // self.groups, most) * groups for each, most in ((self.c, 3), (self.k, 7)))
        return replace(self, n=min(self.n, 2), c=c, k=k, groups=groups, size=size, name="", count=1)


def _halve_batch(problem):
    return replace(problem, n=max(1, problem.n // 2))


def _halve_size(problem):
    smaller = replace(problem, size=tuple((h + 1) // 2 for h in problem.size))
    return smaller if min(smaller.out) >= 7 else problem


def _halve_channels(problem):
    if problem.kind == "depthwise":
        half = (problem.c + 1) // 2
        return replace(problem, c=half, k=half, groups=half)
    c, k = (each // problem.groups for each in (problem.c, problem.k))
    return replace(problem, c=(c + 1) // 2 * problem.groups, k=(k + 1) // 2 * problem.groups)


def parse(line, where="problem"):
    """The Problem that a line of a list describes.

    Raises:
        ProblemError: it describes none; `where` names file and line.
    """
    descriptor, *words = line.split()
    labels = _labels(words, where)
    if not re.fullmatch(r"([a-z]\d+)+", descriptor):
        raise ProblemError(f"{where}: expected {GRAMMAR}, got {descriptor!r}")
    values = {}
    for letter, digits in re.findall(r"([a-z])(\d+)", descriptor):
        if letter not in LETTERS:
            raise ProblemError(f"{where}: expected letters of {LETTERS}, got {letter!r} in {descriptor!r}")
        if letter in values:
            raise ProblemError(f"{where}: expected each letter once, got {letter!r} again in {descriptor!r}")
        values[letter] = int(digits)
    if missing := [letter for letter in REQUIRED if letter not in values]:
        raise ProblemError(f"{where}: expected {', '.join(missing)} in {GRAMMAR}, got {descriptor!r}")
    values = DEFAULTS | values
    pair = {
        vertical: (values[vertical], values.get(horizontal, values[vertical]))
        for horizontal, vertical in SECOND.items()
    }
    problem = Problem(
        values["n"],
        values["c"],
        values["k"],
        pair["h"],
        pair["r"],
        pair["u"],
        pair["p"],
        pair["d"],
        values["g"],
        **labels,
    )
    _check(problem, descriptor, where)
    return problem


def _labels(words, where):
    labels = {}
    for word in words:
        if word == "channels_last":
            labels["channels_last"] = True
        elif re.fullmatch(r"x[1-9]\d*", word) and "count" not in labels:
            labels["count"] = int(word[1:])
        elif "name" not in labels:
            labels["name"] = word
        else:
            raise ProblemError(f"{where}: expected channels_last, a count x<N> and one name, got {' '.join(words)!r}")
    return labels


def _check(problem, descriptor, where):
    numbers = (problem.n, problem.c, problem.k, problem.groups)
    if min(*numbers, *problem.size, *problem.kernel, *problem.stride, *problem.dilation) < 1:
        raise ProblemError(f"{where}: expected numbers from 1 on (padding: 0), got {descriptor!r}")
    for letter, channels in (("c", problem.c), ("k", problem.k)):
        if channels % problem.groups:
            raise ProblemError(
                f"{where}: g: expected a divisor of {letter}{channels}, got g{problem.groups} in {descriptor!r}"
            )
    if min(problem.out) < 1:
        raise ProblemError(f"{where}: expected a kernel that fits into the padded input, got {descriptor!r}")
