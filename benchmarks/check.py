"""Bits against the oracle: fpdet.reference on a tiny version of each problem, every pass, every arithmetic."""

from itertools import product

import numpy as np
import torch

import fpdet
from benchmarks import data
from benchmarks.cases import DTYPES, Choice, Convolution, short
from fpdet import reference

ARRAY = 257  # elements of the pointwise checks


def rules_of(words):
    """reference.Rules of an arithmetic in words."""
    a = fpdet.Arithmetic.parse(words)
    return reference.Rules(a.rounding, str(a.order), a.accumulator, a.fused, a.bits, a.variant, a.seed, a.keyed_by)


def array(tensor):
    """A tensor's values, exactly."""
    return tensor.detach().double().numpy()


def convolution(problem, which, choice, kind, raw=False):
    """Whether a pass of the tiny problem has the oracle's bits."""
    operands = data.operands(problem, kind, DTYPES[choice.dtype])
    arithmetic = fpdet.Arithmetic.parse(choice.arithmetic)
    got = array(Convolution(problem, *operands).fpdet(which, arithmetic, raw)())
    x, weight, grad = map(array, operands)
    geometry = (problem.stride, problem.padding, problem.dilation, problem.groups)
    settings = {"rules": rules_of(choice.arithmetic), "dtype": choice.dtype}
    if which == "forward":
        expected = reference.convolution(x, weight, None, *geometry, **settings)
    elif which == "grad_input":
        expected = reference.convolution_grad_input(grad, weight, problem.size, None, *geometry, **settings)
    else:
        expected = reference.convolution_grad_weight(grad, x, problem.kernel, *geometry, **settings)
    return reference.same(got, expected)


def rounding(format, words):
    """Whether fpdet.round has the oracle's bits; `words` as in pointwise.rounding."""
    word, _, bits = words.partition(" bits=")
    number = int(bits or 32)
    x = torch.randn(ARRAY, generator=torch.Generator().manual_seed(0)) * torch.tensor(2.0) ** torch.arange(
        -40, ARRAY - 40
    )
    options = {"bits": number} if word == "stochastic" else {}
    expected = reference.round_tensor(x.numpy(), format, reference.Rules(word, bits=number), "float32")
    return reference.same(array(fpdet.round(x, format, word, **options)), expected)


def sgd(words, hyper):
    """Whether two steps of fpdet.optim.SGD have the oracle's bits."""
    generator = torch.Generator().manual_seed(0)
    p, grad = (torch.randn(ARRAY, generator=generator) for _ in range(2))
    expected, buffer = array(p), np.zeros(ARRAY)
    p.requires_grad_().grad = grad
    optimizer = fpdet.optim.SGD([p], **hyper, arithmetic=words)
    for step in range(2):
        optimizer.step()
        rules = rules_of(words).for_pass(reference.SGD)
        rules = reference.Rules(**{**vars(rules), "counter": step})
        expected, buffer = reference.sgd_step(
            expected, array(grad), buffer, **hyper, first_step=step == 0, rules=rules, dtype="float32"
        )
    return reference.same(array(p), expected)


def of_problems(problems, passes, choices, kinds, raw=False):
    """(label, call) of each check; equal tiny problems are checked once."""
    tiny = list(dict.fromkeys(problem.tiny() for problem in problems))
    for problem, which, choice, kind in product(tiny, passes, choices, kinds):
        label = f"{problem} {which} {kind} {short(choice.arithmetic)} {choice.dtype}"
        yield label, lambda a=(problem, which, choice, kind, raw): convolution(*a)


def of_suite():
    """Checks of everything that the default run times."""
    from benchmarks import pointwise, suite

    problems = [p for p in suite.networks()]
    words = (*suite.PLAIN, *(f"nearest_even {order}" for order in suite.ORDERED), *suite.EXACT, *suite.STOCHASTIC)
    choices = [Choice(text) for text in words]
    choices += [Choice("nearest_even blocked(512)", dtype) for dtype in ("bfloat16", "float16")]
    yield from of_problems(problems, suite.PASSES, choices, ("gaussian",))
    yield from of_problems(
        suite.one_of_each(), suite.PASSES, [Choice(text) for text in suite.EXACT], tuple(data.KINDS)[1:]
    )
    for format, mode in product(("bfloat16", "float16"), (*suite.HARDWARE, "stochastic bits=32", "stochastic bits=8")):
        yield f"round to {format} {mode}", lambda a=(format, mode): rounding(*a)
    for text in (*(f"{rounding_} sequential" for rounding_ in suite.HARDWARE), "stochastic sequential"):
        yield f"sgd {text}", lambda text=text: sgd(text, pointwise.HYPER)


def run(checks):
    """The labels of the checks that fail."""
    return [label for label, check in checks if not check()]
