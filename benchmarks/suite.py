"""The default run: the cases behind each bar of bars.py, sub-sampled to hold the time.

Where a part takes fewer layers than the lists have, it takes every n-th of them, or halves a layer (Problem.small) down
to a number of multiply-adds; SUBSAMPLING says so in the report.
"""

from dataclasses import dataclass

from benchmarks import pointwise, shapes
from benchmarks.cases import PASSES, Choice, convolution
from benchmarks.data import KINDS
from benchmarks.others import installed as others_installed
from benchmarks.problems import Problem, parse

HARDWARE = ("nearest_even", "toward_zero", "upward", "downward")
PLAIN = ("nearest_even sequential", *(f"{rounding} blocked(512)" for rounding in HARDWARE))
ORDERED = ("pairwise", "split(8)", "strided(8)", "shuffled(1)", "blocked(512) auto unfused")
EXACT = tuple(f"{rounding} exact" for rounding in HARDWARE)
STOCHASTIC = tuple(f"stochastic blocked(512) auto fused bits={bits}" for bits in (32, 8))
NETWORKS = ("resnet18", "resnet50", "cifar_resnet")

EVERY = 4  # of the networks' layers, in the parts that do not take all
MOST_EXACT = 1 << 26  # multiply-adds of a layer in the part
MOST_STOCHASTIC = 1 << 23
MOST_SLOW = 1 << 17  # where an arithmetic has no SIMD kernel
SUBSAMPLING = (
    f"Plain orders: every layer. Other orders and narrow operands: every {EVERY}th layer of a class. Exact and "
    f"stochastic: one layer of each class, halved down to {MOST_EXACT >> 20} and {MOST_STOCHASTIC >> 20} million "
    "multiply-adds. An arithmetic without a SIMD kernel: a layer of 0.13 million."
)


def networks():
    """All layers of the three networks, and depthwise ones."""
    return [problem for name in (*NETWORKS, "depthwise") for problem in shapes.read(name)]


def every(step, problems=None):
    """Every `step`-th layer of each class, at least one."""
    classes = {}
    for problem in problems or networks():
        classes.setdefault(problem.kind, []).append(problem)
    return [problem for layers in classes.values() for problem in layers[len(layers) // 2 % step :: step]]


def one_of_each():
    """A layer from the middle of each class."""
    return every(1000)


def _cases(problems, choices, kinds=("gaussian",), most=None, **settings):
    native = all(choice.is_native() for choice in choices)
    note = "" if native else "slow path: halved"
    limit = most if native else MOST_SLOW
    for problem in problems:
        small = problem.small(limit) if limit else problem
        for which in PASSES:
            for kind in kinds:
                yield convolution(small, which, choices, kind, note=note, **settings)


def plain():
    """float32 under sequential and blocked orders, every layer and pass."""
    return list(_cases(networks(), [Choice(words) for words in PLAIN]))


def ordered():
    """Orders that cost a second instruction a term."""
    groups = {}
    for order in ORDERED:
        choice = Choice(f"nearest_even {order}")
        groups.setdefault(choice.is_native(), []).append(choice)
    return [case for choices in groups.values() for case in _cases(every(EVERY), choices)]


def exact():
    """Four roundings on four kinds of data."""
    return list(_cases(one_of_each(), [Choice(words) for words in EXACT], tuple(KINDS), MOST_EXACT))


def stochastic():
    """32 and 8 random bits, beside nearest_even."""
    choices = [Choice(words) for words in ("nearest_even blocked(512)", *STOCHASTIC)]
    return list(_cases(one_of_each(), choices, most=MOST_STOCHASTIC))


def narrow():
    """bfloat16 and float16 operands, float32 accumulator, beside float32 operands."""
    return list(
        _cases(
            every(EVERY), [Choice("nearest_even blocked(512)", dtype) for dtype in ("float32", "bfloat16", "float16")]
        )
    )


def sgd():
    """The step, on a network's parameters and on one that no cache holds."""
    kinds = {"hardware": HARDWARE, "stochastic": ("stochastic",)}
    return [
        pointwise.sgd(name, kind, [f"{rounding} sequential" for rounding in roundings])
        for name in pointwise.LISTS
        for kind, roundings in kinds.items()
    ]


def rounding():
    """Plain arrays."""
    modes = (*HARDWARE, "stochastic bits=32", "stochastic bits=8")
    return [pointwise.rounding(format, modes, kind) for format in ("bfloat16", "float16") for kind in pointwise.SCALES]


def calls():
    """What a call costs."""
    return [pointwise.call(which) for which in ("forward", "backward")]


TERMS = (16, 64, 256, 1024, 4096)
LONG = tuple(f"nearest_even {order}" for order in ("sequential", "blocked(512)", "pairwise"))


def terms():
    """A 1x1 layer of equal work with more and more terms an output."""
    for count in TERMS:
        problem = Problem(1, count, 32, (max(1, 8192 // count), 16), (1, 1), name=f"terms{count}")
        yield convolution(problem, "forward", [Choice(words) for words in LONG])


def threads():
    """One layer at each number of threads up to the processors."""
    import torch

    problem = shapes.read("resnet18")[1]
    for count in range(1, torch.get_num_threads() + 1):
        case = convolution(problem, "forward", [Choice(words) for words in PLAIN[:2]], threads=(count,))
        case.key["threads"] = count
        yield case


OTHERS = ("n4c32h28k32r3p1", "n4c64h28k64r1")


def others():
    """Other systems that are installed, on small work: most of them are slow."""
    systems, _ = others_installed()
    convolve = [system for system in systems if system.convolution]
    quantize = [system for system in systems if system.rounding]
    choices = [Choice(f"nearest_even {order}") for order in ("sequential", "sequential auto unfused")]
    for problem in map(parse, OTHERS if convolve else ()):
        for which in PASSES:
            yield convolution(problem, which, choices, others=convolve)
    for format in ("bfloat16", "float16") if quantize else ():
        yield pointwise.rounding(format, (*HARDWARE, "stochastic bits=32"), wanted=1 << 20, others=quantize)


@dataclass(frozen=True)
class Part:
    """A part of the run: its name, what makes its cases, its rounds, whether they are a network's layers."""

    name: str
    make: object
    rounds: int
    layers: bool = False


PARTS = (
    Part("plain", plain, 7, True),
    Part("exact", exact, 5, True),
    Part("stochastic", stochastic, 5, True),
    Part("narrow", narrow, 7, True),
    Part("sgd", sgd, 9),
    Part("round", rounding, 15),
    Part("calls", calls, 15),
    Part("terms", terms, 9),
    Part("threads", threads, 9),
    Part("others", others, 5),
    Part("ordered", ordered, 7, True),
)


def cases(only=(), rounds=None, quick=False):
    """The cases of the default run, or of some parts of it; a case names its part.

    `rounds` are in place of the parts'; `quick` leaves one layer of each class and pass, on one kind of data each."""
    chosen = []
    for part in PARTS:
        if only and part.name not in only:
            continue
        for case in _thinned(part.make()) if quick and part.layers else part.make():
            case.key = {"part": part.name, **case.key}
            case.rounds = rounds or part.rounds
            chosen.append(case)
    return chosen


def _thinned(cases):
    """One case of each class and pass; group after group another one of the kinds of data or layers."""
    groups = {}
    for case in cases:
        groups.setdefault((case.key["kind"], case.key["pass"]), []).append(case)
    return [found[number % len(found)] for number, found in enumerate(groups.values())]
