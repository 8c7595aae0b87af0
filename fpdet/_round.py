"""`fpdet.round`: any tensor to any format."""

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
):
    """`x` rounded to the values of `format`; dtype and shape stay, the gradient passes straight through.

    Args:
        x: float64, float32, bfloat16 or float16 tensor of any shape; the first dimension counts samples.
        format: a format's name or `fpdet.Format`.
        rounding: one of the seven words.
        bits, variant, seed, keyed_by: as in `fpdet.Arithmetic`, of stochastic rounding only.
        stream: int64 tensor (seed, counter), advanced by a stochastic call; None: (seed, 0).
        batch_offset: number of the first sample.

    Raises:
        TypeError, ValueError: a bad word or number.
        NotImplementedError: another dtype or device.

    Source: docs/semantics.md, "Roundings" and "Formats".
    """
    _check.tensors("round", x=x)
    format, text, draws = _words(format, rounding, bits, variant, seed, keyed_by)
    draw = _stream.draw_from(stream, draws)
    return _ops.ops.round.default(x, format, text, draw, _check.batch_offset("round", batch_offset))


def _words(format, rounding, bits, variant, seed, keyed_by):
    """The op's two words, and whether it draws."""
    chosen = Arithmetic(rounding, "sequential", bits=bits, variant=variant, seed=seed, keyed_by=keyed_by)
    words = chosen.text.split()
    return format_word("format", format), " ".join([words[0], *words[4:]]), chosen.draws


_words._dynamo_marked_constant = True  # torch.compiler.assume_constant_result, without importing the compiler
