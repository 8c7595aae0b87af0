"""Cases without a contraction: the step of SGD, the rounding of plain arrays, and the cost of a call by itself."""

import torch

import fpdet
import fpdet.nn.functional as F
from benchmarks.cases import FPDET, TORCH, Case
from benchmarks.measure import Contender

FOREACH, FUSED, COPY = "torch foreach", "torch fused", "torch copy_"
SLOW_SHARE = 64  # the slow path gets this part of the elements, and the row says so
HYPER = {"lr": 1e-4, "momentum": 0.9, "weight_decay": 1e-4}
CHANGED = 1 << 16  # elements of an SGD step's digest


def is_native(op, rounding):
    """Whether the library vectorises `op` under this rounding."""
    return any(cell.status == "native" for cell in fpdet.capabilities().find(op=op, device="cpu", rounding=rounding))


def _note(elements, wanted):
    return "" if elements == wanted else f"slow path: {elements} of {wanted} elements"


# ---- SGD ---------------------------------------------------------------------------------------------


def resnet50_parameters():
    """Shapes of ResNet-50's parameters, in torchvision's order."""

    def convolution(inputs, outputs, kernel):
        return [(outputs, inputs, kernel, kernel), (outputs,), (outputs,)]  # and its batch norm

    shapes, inputs = convolution(3, 64, 7), 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(blocks):
            shapes += convolution(inputs, width, 1) + convolution(width, width, 3) + convolution(width, 4 * width, 1)
            if block == 0:
                shapes += convolution(inputs, 4 * width, 1)
            inputs = 4 * width
    return [*shapes, (1000, inputs), (1000,)]


LISTS = {"resnet50": resnet50_parameters(), "1GiB": [(1 << 22,)] * 64}


def sgd(name, kind, arithmetics):
    """The Case of one step on a parameter list, momentum and weight decay on; `kind` names the arithmetics."""
    shapes, wanted = LISTS[name], sum(torch.Size(shape).numel() for shape in LISTS[name])
    if not all(is_native("sgd", fpdet.Arithmetic.parse(words).rounding) for words in arithmetics):
        shapes = shapes[: max(1, len(shapes) // SLOW_SHARE)]
    elements = sum(torch.Size(shape).numel() for shape in shapes)

    def contenders():
        generator = torch.Generator().manual_seed(0)
        params = [torch.randn(shape, generator=generator).requires_grad_() for shape in shapes]
        buffers = [torch.zeros_like(p) for p in params]
        for p in params:
            p.grad = torch.randn(p.shape, generator=generator)
        yield Contender(
            {"system": FOREACH, "dtype": "float32"}, _stepper(torch.optim.SGD, params, buffers, foreach=True)
        )
        yield Contender({"system": FUSED, "dtype": "float32"}, _stepper(torch.optim.SGD, params, buffers, fused=True))
        for words in arithmetics:
            tags = {"system": FPDET, "arithmetic": fpdet.Arithmetic.parse(words).text, "dtype": "float32"}
            step = _stepper(fpdet.optim.SGD, params, buffers, arithmetic=words)
            yield Contender(tags, step, digest=lambda words=words: sgd_digest(words))

    key = {"op": "sgd", "shape": name, "kind": kind}
    work = {"flops": 6 * elements, "bytes": 4 * 5 * elements, "terms": 0, "count": 1}
    return Case(key, work, (FOREACH, FUSED), contenders, note=_note(elements, wanted))


def _stepper(optimizer, params, buffers, **options):
    """optimizer.step over given parameters and momentum buffers: all contenders work on the same memory."""
    made = optimizer(params, **HYPER, **options)
    for p, buffer in zip(params, buffers, strict=True):
        made.state[p]["momentum_buffer"] = buffer
    return made.step


def sgd_digest(words):
    """Of the parameters after two steps on fixed numbers."""
    generator = torch.Generator().manual_seed(1)
    p = torch.randn(CHANGED, generator=generator).requires_grad_()
    p.grad = torch.randn(CHANGED, generator=generator)
    optimizer = fpdet.optim.SGD([p], **HYPER, arithmetic=words)
    for _ in range(2):
        optimizer.step()
    return fpdet.digest(p)[:16]


# ---- rounding ----------------------------------------------------------------------------------------

ARRAY = 1 << 24
SCALES = {"gaussian": 1.0, "subnormal": 2.0**-16}  # of float16; N(0, 1) times this


def rounding(format, modes, kind="gaussian", wanted=ARRAY, others=()):
    """The Case of rounding a float32 array to `format`; a mode is a rounding, or stochastic and a number of bits."""
    native = all(is_native("round", mode.split()[0]) for mode in modes)
    elements = wanted if native else wanted // SLOW_SHARE

    def contenders():
        x = torch.randn(elements, generator=torch.Generator().manual_seed(0)) * SCALES[kind]
        y = torch.empty_like(x)
        yield Contender({"system": COPY, "dtype": "float32"}, lambda: y.copy_(x))
        for mode in modes:
            word, _, bits = mode.partition(" bits=")
            options = {"bits": int(bits)} if bits else {}

            def call(word=word, options=options):
                return fpdet.round(x, format, word, out=y, **options)

            tags = {"system": FPDET, "arithmetic": mode, "dtype": "float32"}
            yield Contender(tags, call, digest=lambda call=call: fpdet.digest(call())[:16])
            for system in others:
                yield from system.contenders("rounding", x, format, mode)

    key = {"op": "round", "shape": f"{wanted} to {format}", "data": kind}
    work = {"flops": elements, "bytes": 8 * elements, "terms": 0, "count": 1}
    return Case(key, work, (COPY,), contenders, note=_note(elements, wanted))


# ---- calls -------------------------------------------------------------------------------------------


def call(which):
    """The Case of a convolution of one multiply-add: all that it costs is the call, or its backward."""

    def contenders():
        x, w, grad = torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1, 1)
        arithmetic = fpdet.Arithmetic()
        for tags, conv2d in (
            ({"system": TORCH, "dtype": "float32"}, torch.nn.functional.conv2d),
            (
                {"system": FPDET, "arithmetic": arithmetic.text, "dtype": "float32"},
                lambda x, w: F.conv2d(x, w, arithmetic=arithmetic),
            ),
        ):
            if which == "forward":
                yield Contender(tags, lambda conv2d=conv2d: conv2d(x, w))
            else:
                inputs = x.clone().requires_grad_(), w.clone().requires_grad_()
                y = conv2d(*inputs)
                yield Contender(
                    tags, lambda y=y, inputs=inputs: torch.autograd.grad(y, inputs, grad, retain_graph=True)
                )

    key = {"op": "call", "shape": "n1c1h1k1r1", "pass": which}
    work = {"flops": 2, "bytes": 12, "terms": 1, "count": 1}
    return Case(key, work, (TORCH,), contenders)
