"""`fpdet.round`: any tensor to any format."""

import torch

from fpdet import _check, _ops, _stream
from fpdet._arithmetic import Arithmetic, format_word


def round(
    x,
    format,
    rounding="nearest_even",
    *,
    bits=32,
    variant="a",
    seed=0,
    keyed_by="position",
    stream=None,
    batch_offset=0,
    out=None,
):
    """`x` rounded to the values of `format`; dtype and shape stay, the gradient passes straight through.

    Args:
        x: float64, float32, bfloat16 or float16 tensor of any shape; the first dimension counts samples.
        format: a format's name or `fpdet.Format`.
        rounding: one of the seven words.
        bits, variant, seed, keyed_by: as in `fpdet.Arithmetic`, of stochastic rounding only.
        stream: int64 tensor (seed, counter), advanced by a stochastic call; None: (seed, 0).
        batch_offset: number of the first sample.
        out: tensor of `x`'s shape and dtype that takes the result, `x` itself included; saves the
            allocation, which costs more than the rounding of a large array.

    Raises:
        TypeError, ValueError: a bad word or number.
        NotImplementedError: another dtype or device.
        RuntimeError: `out` of another shape or dtype, or a gradient through `out`.

    Source: docs/semantics.md, "Roundings" and "Formats".
    """
    _check.tensors("round", x=x)
    format, text, draws = _words(format, rounding, bits, variant, seed, keyed_by)
    batch_offset = _check.batch_offset("round", batch_offset)
    if out is not None:
        _check_out(x, out)
    draw = _stream.draw_from(stream, draws)
    if out is None:
        return _ops.ops.round.default(x, format, text, draw, batch_offset)
    _ops.ops.round_out.default(x, format, text, draw, batch_offset, out.detach())
    torch.autograd.graph.increment_version(out)
    return out


def _check_out(x, out):
    _check.tensors("round", x=x, out=out)
    if out.shape != x.shape:
        raise RuntimeError(f"round(): out: expected shape {tuple(x.shape)} as x has, got {tuple(out.shape)}")
    if torch.is_grad_enabled() and (x.requires_grad or out.requires_grad):
        raise RuntimeError("round(): out: expected tensors without requires_grad, or torch.no_grad()")


def _words(format, rounding, bits, variant, seed, keyed_by):
    """The op's two words, and whether it draws."""
    chosen = Arithmetic(rounding, "sequential", bits=bits, variant=variant, seed=seed, keyed_by=keyed_by)
    words = chosen.text.split()
    return format_word("format", format), " ".join([words[0], *words[4:]]), chosen.draws


_words._dynamo_marked_constant = True  # torch.compiler.assume_constant_result, without importing the compiler
