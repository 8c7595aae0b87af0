"""The oracle: fpdet's arithmetic in exact rationals, to be read and believed, not to be fast.

Plain Python: no torch, no compiled code of fpdet; NumPy only holds arrays. docs/semantics.md says in words what
these files say in code; every test of the fast code compares with this package bit for bit.

rounding    formats, the seven roundings, ``round_exact``
arithmetic  add, mul, fma, div, sqrt, convert of floats
stream      Philox4x32-10 and the random bits of an event
order       the runs and the fold of every order, ``tree``
reduction   ``Rules``, one output element: tree orders, kahan, neumaier, exact
conv        convolution in all passes, transposed convolution, channel_sum
functions   elementary functions of one argument (by MPFR; import it by itself: gmpy2 is needed)
pointwise   add_tensors, round_tensor, sgd_step
primitives  binary, sum_terms, matmul, gather_sum
adam        adam_step
machine     programs of fpdet/programs in exact rationals (import it by itself)
tensors     arrays in and out, ``same``
"""

from .adam import adam_step
from .arithmetic import Rounder, add, convert, div, fma, mul
from .conv import (
    channel_sum,
    conv_transpose,
    convolution,
    convolution_grad_input,
    convolution_grad_weight,
)
from .order import Order, parse_order, runs_and_fold, shuffle, tree, tree_text
from .pointwise import add_tensors, round_tensor, sgd_step
from .primitives import binary, gather_sum, matmul, sum_terms
from .reduction import (
    ADAM,
    ADD,
    DOUBLE_BACKWARD,
    FORWARD,
    GRAD_BIAS,
    GRAD_INPUT,
    GRAD_WEIGHT,
    ROUND,
    SGD,
    Rules,
    exact_sum,
    operand_bits,
    reduce_element,
)
from .rounding import FORMATS, ROUNDINGS, Format, away_from_zero, format_of, overflows_to_infinity, round_exact
from .stream import element_key, elementwise_bits, philox, random_bits, sample_key
from .tensors import same

__all__ = [
    "ADAM",
    "ADD",
    "DOUBLE_BACKWARD",
    "FORMATS",
    "FORWARD",
    "GRAD_BIAS",
    "GRAD_INPUT",
    "GRAD_WEIGHT",
    "ROUND",
    "ROUNDINGS",
    "SGD",
    "Format",
    "Order",
    "Rounder",
    "Rules",
    "adam_step",
    "add",
    "add_tensors",
    "away_from_zero",
    "binary",
    "channel_sum",
    "conv_transpose",
    "convert",
    "convolution",
    "convolution_grad_input",
    "convolution_grad_weight",
    "div",
    "element_key",
    "elementwise_bits",
    "exact_sum",
    "fma",
    "format_of",
    "gather_sum",
    "matmul",
    "mul",
    "operand_bits",
    "overflows_to_infinity",
    "parse_order",
    "philox",
    "random_bits",
    "reduce_element",
    "round_exact",
    "round_tensor",
    "runs_and_fold",
    "same",
    "sample_key",
    "sgd_step",
    "shuffle",
    "sum_terms",
    "tree",
    "tree_text",
]
