"""Operands and results of the cases that are neither convolutions nor add, round and SGD: what networks are made of."""

import torch

from fpdet import _library  # noqa: F401  (registers the ops)
from fpdet.conformance.inputs import splitmix64, values

OPS = torch.ops.fpdet
FUNCTIONS = tuple(OPS.unary_functions())
BINARY = ("sub", "mul", "div")
REDUCTIONS = ("matmul", "sum", "product_sum", "gather_sum")
NAMES = (*BINARY, *REDUCTIONS, "adam", *FUNCTIONS)
COUNT = 1031  # elements of the elementwise ops: a prime

# batch, lines, terms, columns
MATMULS = {
    "matrices": (1, 6, 11, 5),
    "batch": (3, 4, 7, 9),
    "one_line": (1, 1, 37, 3),
    "no_terms": (2, 3, 0, 2),
    "many_tiles": (1, 133, 75, 37),
}
# size, dimensions that are summed over
SUMS = {"last": ((9, 31), [1]), "first": ((31, 9), [0]), "channels": ((3, 5, 7, 6), [0, 2, 3]), "all": ((41,), [])}
GATHERS = {"lines": (9, 13), "column": (9, 1)}
SHAPES = {"matmul": tuple(MATMULS), "sum": tuple(SUMS), "product_sum": tuple(SUMS), "gather_sum": tuple(GATHERS)}
_OFFSETS, _TERMS = (2, 2, 3, 22, 40, 41), 43


def has(op, format, dtype):
    """Whether there is such a case: transcendental functions stay inside float32."""
    words = f"nearest_even sequential {format} fused"
    return op not in FUNCTIONS or OPS.unary_covers(op, dtype, words)


def operands(case):
    """The case's tensors, on the CPU."""

    def some(*shapes):
        return [values(shape, 4 * case.number + i, case.kind, case.dtype) for i, shape in enumerate(shapes)]

    if case.op == "matmul":
        batch, lines, terms, columns = MATMULS[case.shape]
        return some((batch, lines, terms), (batch, terms, columns), (columns,))
    if case.op in ("sum", "product_sum"):
        size, _ = SUMS[case.shape]
        return some(size, size)
    if case.op == "gather_sum":
        return some(GATHERS[case.shape], (_TERMS,))
    if case.op == "adam":
        parameter, gradient, average, square = some(*[(7, COUNT // 7)] * 4)
        return [parameter, gradient, average, square.abs()]
    return some((7, COUNT // 7), (7, 1) if case.number % 3 == 0 else (7, COUNT // 7))


def compute(case, tensors, draw):
    """The case's results from tensors as `operands` makes them, wherever they lie."""
    text = case.arithmetic
    if case.op in FUNCTIONS:
        return [OPS.unary(tensors[0], case.op, text, draw, 9, 1)]
    if case.op in BINARY:
        if case.number % 3 == 1:
            return [OPS.binary_scalar(tensors[0], -2.7, case.number % 2 == 0, case.op, text, draw, 4, 1)]
        return [OPS.binary(*tensors, case.op, text, draw, 4, 1)]
    if case.op == "matmul":
        a, b, bias = tensors
        return [OPS.matmul(a, b, bias if case.number % 2 else None, text, draw, 7, 1)]
    if case.op in ("sum", "product_sum"):
        a, b = tensors
        return [OPS.sum(a, b if case.op == "product_sum" else None, SUMS[case.shape][1], False, text, draw, 7, 1)]
    if case.op == "gather_sum":
        return [_gather_sum(case, *tensors, draw)]
    return _adam(case, tensors, draw)


def _gather_sum(case, x, weights, draw):
    lines = torch.tensor((splitmix64(_TERMS, case.number) % 9).astype("int64"), device=x.device)
    offsets = torch.tensor(_OFFSETS, device=x.device)
    return OPS.gather_sum(x, offsets, lines, weights if case.number % 2 else None, case.arithmetic, draw, 7, 1)


def _adam(case, tensors, draw):
    parameter, gradient, average, square = (tensor.clone() for tensor in tensors)
    largest = [square.clone()] if case.number % 2 else []
    beta1 = 0.9 if case.number % 3 else 0.3  # both branches of the average
    betas = (beta1, 0.99, beta1**2, 0.99**2)
    steps = (0.1, *betas, 1e-3, 1e-2, case.number % 5 == 0, case.number % 7 == 0)
    OPS.adam_([parameter], [gradient], [average], [square], largest, *steps, case.arithmetic, draw)
    return [parameter, average, square, *largest]
