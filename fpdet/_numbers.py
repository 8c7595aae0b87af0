"""What an op computes with: its arithmetic, what it draws from, and the number of its first sample."""

from typing import NamedTuple

import torch

from fpdet import _check, _context, _stream
from fpdet._arithmetic import parsed


class Numbers(NamedTuple):
    """arithmetic: Arithmetic or PassArithmetic; draw: (seed, counter) or None; offset: the first sample's number."""

    arithmetic: object
    draw: torch.Tensor | None
    offset: int

    @property
    def text(self):
        return self.arithmetic.text


def chosen(arithmetic, stream):
    """The arithmetic and the stream of a call: what it names, else those of the innermost context, else the default."""
    if arithmetic is None:
        return _context.innermost(stream)
    return parsed(arithmetic), stream


def numbers(op, arithmetic, stream, batch_offset):
    """`Numbers` of a call; advances the stream if the arithmetic draws."""
    arithmetic, stream = chosen(arithmetic, stream)
    offset = _check.batch_offset(op, batch_offset)
    return Numbers(arithmetic, _stream.draw_from(stream, arithmetic.draws), offset)
