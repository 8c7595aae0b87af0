"""The cases: every rounding with every order several times over, the other settings taking turns, and as many more as
it takes until each pair of two settings' values has met; then the same for what networks are made of, and networks."""

from dataclasses import dataclass, replace
from itertools import combinations, product

from fpdet._arithmetic import ROUNDINGS
from fpdet._order import WITHOUT_TREE
from fpdet.conformance import network, primitives
from fpdet.conformance.inputs import KINDS, splitmix64

CONVOLUTIONS = ("forward", "grad_input", "grad_weight", "channel_sum")
POINTWISE = ("sgd", "add", "round")
DTYPES = ("float32", "float64", "bfloat16", "float16")
ORDERS = (
    "sequential",
    "reverse",
    "blocked(5)",
    "blocked(16)",
    "pairwise",
    "split(3)",
    "split(1000)",
    "strided(4)",
    "shuffled(3)",
    "shuffled(3,vary=call)",
    "shuffled(3,vary=element)",
    "split(5).shuffled(9)",
    "kahan",
    "neumaier",
    "exact",
)
FORMATS = ("auto", "float64", "float32", "tfloat32", "bfloat16", "float16", "float8_e4m3fn", "float8_e5m2", "e6p7")
FUSED = ("fused", "unfused")
HARDWARE = ("nearest_even", "toward_zero", "upward", "downward")
REPEATS = 5
# By rounding.
NETWORK_ORDERS = ("blocked(16)", "sequential", "pairwise", "shuffled(3,vary=call)", "exact", "kahan", "split(3)")
FACTORS = ("op", "rounding", "order", "format", "fused", "dtype")
WITH_ORDER = (*CONVOLUTIONS, *primitives.REDUCTIONS, network.NAME)
WITH_FUSED = (*WITH_ORDER, "sgd", "add", "adam")

# N, C, K, groups, input size, kernel, stride, padding, dilation
SHAPES = {
    "small": (2, 2, 3, 1, (5, 4), (3, 2), (1, 1), (1, 0), (1, 1)),
    "grouped": (1, 4, 4, 2, (6, 5), (2, 3), (2, 1), (1, 2), (1, 2)),
    "depthwise": (2, 3, 3, 3, (7, 6), (3, 3), (1, 1), (1, 1), (1, 1)),
    "strided": (2, 2, 2, 2, (5, 6), (2, 2), (3, 2), (0, 1), (2, 1)),
    "line": (2, 2, 4, 1, (9,), (3,), (2,), (2,), (2,)),
    "volume": (1, 2, 2, 1, (3, 4, 3), (2, 2, 2), (1, 2, 1), (1, 0, 1), (1, 1, 2)),
    # As the kernels' tiles see them: more than one of them each way, none of them full, long sums.
    "tiles": (2, 13, 141, 1, (11, 7), (3, 3), (1, 1), (1, 1), (1, 1)),
    "pointwise": (3, 75, 21, 1, (9, 10), (1, 1), (1, 1), (0, 0), (1, 1)),
    "long": (5, 3, 17, 1, (20, 23), (3, 3), (2, 2), (1, 1), (1, 1)),
}
SMALL = ("small", "grouped", "depthwise", "strided", "line", "volume")
LARGE = ("tiles", "pointwise", "long")


@dataclass(frozen=True)
class Case:
    """What one digest is of; `format` and `fused` are "-" where an op or order has none."""

    number: int
    op: str
    shape: str
    kind: str
    dtype: str
    rounding: str
    order: str
    format: str
    fused: str
    options: str

    @property
    def arithmetic(self):
        """In words, as the ops take it."""
        order = "sequential" if self.order == "-" else self.order
        words = (self.rounding, order, self.format, self.fused, self.options)
        return " ".join(word for word in words if word not in ("-", ""))

    @property
    def name(self):
        """One line that says all."""
        return f"{self.number} {self.op} {self.shape} {self.kind} {self.dtype} | {self.arithmetic}"


def settings(op, order, format, fused):
    """These settings, "-" for what the op or the order lacks."""
    if op not in WITH_ORDER:
        order = "-"
    if order == "exact":
        format = "-"
    if order in WITHOUT_TREE or op not in WITH_FUSED:
        fused = "-"
    if op == "round" and format == "auto":
        format = "float32"
    return order, format, fused


def _case(number, op, rounding, order, format, fused, dtype, shapes=SMALL):
    pick = [int(word >> 33) for word in splitmix64(4, 1000 + number)]
    order, format, fused = settings(op, order, format, fused)
    shapes = shapes if op in CONVOLUTIONS else primitives.SHAPES.get(op, ("flat",))
    shape = shapes[pick[0] % len(shapes)]
    options = ""
    if rounding == "stochastic":
        keyed = "position" if pick[1] % 4 else "operands"
        options = (
            f"bits={(1, 5, 8, 11, 16, 32)[pick[2] % 6]} variant={'abc'[pick[3] % 3]} seed={number} keyed_by={keyed}"
        )
    return Case(number, op, shape, KINDS[number % len(KINDS)], dtype, rounding, order, format, fused, options)


def pairs(case):
    """The pairs of settings' values that meet in a case."""
    values = [(name, getattr(case, name)) for name in FACTORS]
    return {pair for pair in combinations(values, 2) if "-" not in (pair[0][1], pair[1][1])}


def _possible(ops):
    """One case for each combination that there is, of one value each of FACTORS."""
    seen = set()
    for op, order, format, fused in product(ops, ORDERS, FORMATS, FUSED):
        some = (op, *settings(op, order, format, fused))
        if some in seen:
            continue
        seen.add(some)
        for rounding, dtype in product(ROUNDINGS, DTYPES):
            if primitives.has(op, some[2], dtype):
                yield (op, rounding, *some[1:], dtype)


def required_pairs(ops=(*CONVOLUTIONS, *POINTWISE, *primitives.NAMES)):
    """Every pair that can meet."""
    found = set()
    for op, rounding, order, format, fused, dtype in _possible(ops):
        found |= pairs(Case(0, op, "", "", dtype, rounding, order, format, fused, ""))
    return found


def cases():
    """The whole matrix, always the same."""
    chosen = []
    for _, rounding, order in product(range(REPEATS), ROUNDINGS, ORDERS):
        number = len(chosen)
        pick = [int(word >> 33) for word in splitmix64(4, number)]
        turn = (CONVOLUTIONS, FORMATS, FUSED, DTYPES)
        op, format, fused, dtype = (values[p % len(values)] for values, p in zip(turn, pick, strict=True))
        chosen.append(_case(number, op, rounding, order, format, fused, dtype))
    # What GPUs have fast kernels for, at sizes that these take.
    for rounding, order, fused in product(HARDWARE, ORDERS, FUSED):
        number = len(chosen)
        if order not in (*WITHOUT_TREE, "shuffled(3,vary=element)"):
            op, dtype = CONVOLUTIONS[number % 4], DTYPES[number // 4 % 4]
            chosen.append(_case(number, op, rounding, order, "auto", fused, dtype, LARGE))
    chosen += [
        _case(len(chosen) + i, op, rounding, "exact", "-", "-", dtype, LARGE)
        for i, (op, rounding, dtype) in enumerate(product(CONVOLUTIONS[:3], ROUNDINGS, ("float32", "bfloat16")))
    ]
    chosen += _covering(chosen, (*CONVOLUTIONS, *POINTWISE))
    chosen += _covering(chosen, primitives.NAMES)
    for shape, (rounding, order) in product(network.SHAPES, zip(ROUNDINGS, NETWORK_ORDERS, strict=True)):
        case = _case(len(chosen), network.NAME, rounding, order, "auto", FUSED[len(chosen) % 2], "float32")
        chosen.append(replace(case, shape=shape, kind="spread"))
    return chosen


def _covering(chosen, ops):
    """More cases, in which all pairs meet that have not met in the chosen ones."""
    found = []
    lacking = required_pairs(ops) - set().union(*map(pairs, chosen))
    # Two new pairs at a time at least, while pairs are many: shorter than taking each as it comes.
    for least in (2, 1):
        for op, rounding, order, format, fused, dtype in _possible(ops):
            case = _case(len(chosen) + len(found), op, rounding, order, format, fused, dtype)
            new = pairs(case) & lacking
            if len(new) >= (least if len(lacking) > 40 else 1):
                found.append(case)
                lacking -= new
    return found
