"""Other systems, timed beside torch and fpdet where they are installed. None is needed; SAYS tells what is compared."""

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

from benchmarks.measure import Contender

BITS = {"bfloat16": (8, 7), "float16": (5, 10)}  # of exponent and fraction


@dataclass(frozen=True)
class System:
    """Another system: its module, what a row of it compares, and calls: None where it cannot."""

    name: str
    module: str
    says: str
    convolution: object = None  # (Convolution, pass) -> (words, call) or None
    rounding: object = None  # (array, format, rounding) -> (words, call) or None

    def contenders(self, kind, *arguments):
        """Its Contender for a convolution or a rounding, if it has one."""
        made = getattr(self, kind) and getattr(self, kind)(*arguments)
        if made:
            words, call = made
            yield Contender({"system": self.name, "arithmetic": words, "dtype": "float32"}, call)


def _repdl(convolution, which):
    p = convolution.problem
    if p.dilation != (1, 1) or (p.groups > 1 and which != "forward"):
        return None
    ops, x, weight, grad = import_module("repdl.ops"), convolution.x, convolution.weight, convolution.grad
    calls = {
        "forward": lambda: ops.conv2d(x, weight, p.stride, p.padding, p.groups),
        "grad_input": lambda: ops.conv2d_grad_input(x.shape, weight, grad, p.stride, p.padding),
        "grad_weight": lambda: ops.conv2d_grad_kernel(x, weight.shape, grad, p.stride, p.padding),
    }
    return "its fixed order", calls[which]


def _mptorch(convolution, which):
    p = convolution.problem
    if p.kernel != (1, 1) or p.stride != (1, 1) or p.groups > 1 or which != "forward":
        return None
    multiply = import_module("mptorch.quant").float_mm
    a = convolution.weight.view(p.k, p.c)
    b = convolution.x.transpose(0, 1).reshape(p.c, -1).contiguous()
    return "float32 accumulator, fused, as a matrix product", lambda: multiply(a, b, fma=True)


def _qtorch(x, format, rounding):
    words = {"nearest_even": "nearest", "stochastic bits=32": "stochastic"}
    if rounding not in words:
        return None
    exponent, fraction = BITS[format]
    quantize = import_module("qtorch.quant").float_quantize
    return rounding, lambda: quantize(x, exponent, fraction, words[rounding])


def _pychop(x, format, rounding):
    modes = {"nearest_even": 1, "upward": 2, "downward": 3, "toward_zero": 4, "stochastic bits=32": 5}
    if rounding not in modes:
        return None
    pychop = import_module("pychop")
    pychop.backend("torch")
    chop = pychop.Chop(*BITS[format], rmode=modes[rounding])
    return rounding, lambda: chop(x)


SYSTEMS = (
    System("RepDL", "repdl", "convolution passes in RepDL's own fixed order, its ops without autograd", _repdl),
    System("mptorch", "mptorch", "forward of a 1x1 layer as a matrix product that rounds each addition", _mptorch),
    System("QPyTorch", "qtorch", "float_quantize of an array, nearest and stochastic", rounding=_qtorch),
    System("pychop", "pychop", "Chop of an array, torch backend, the same roundings", rounding=_pychop),
)


def installed():
    """([System], [a line for each that is left out, and why])."""
    found, missing = [], []
    for system in SYSTEMS:
        if find_spec(system.module) is None:
            missing.append(f"{system.name}: not installed, no rows ({system.says})")
            continue
        try:
            import_module(system.module)
            found.append(system)
        except Exception as error:  # a broken installation of somebody else's must not end the run
            missing.append(f"{system.name}: import {system.module} failed, no rows ({type(error).__name__}: {error})")
    return found, missing
