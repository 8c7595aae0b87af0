"""Streams of random bits: an int64 tensor (seed, counter), advanced by every call that draws from it."""

import threading

import torch


class _Drawing(threading.local):
    """refused: autograd is running, where nothing may draw anew (`fpdet.checkpoint_contexts`)."""

    refused = False


drawing = _Drawing()


@torch.library.custom_op("fpdet::stream_advance", mutates_args=("stream",))
def stream_advance(stream: torch.Tensor) -> torch.Tensor:
    """A copy of (seed, counter) to draw with; then counter += 1."""
    draw = stream.clone()
    stream[1] += 1
    return draw


@stream_advance.register_fake
def _(stream):
    return torch.empty_like(stream)


def new(seed, counter=0):
    """The stream (seed, counter); a seed above 2^63 - 1 keeps its 64 bits."""
    signed = seed - 2**64 if seed >= 2**63 else seed
    return torch.tensor([signed, counter], dtype=torch.int64)


def draw_from(stream, draws):
    """What an op draws with, if it `draws` at all; None where it does not or no stream is given."""
    if stream is None:
        return None
    if not isinstance(stream, torch.Tensor):
        raise TypeError(f"stream: expected an int64 tensor of shape (2,), got {type(stream).__name__}")
    if stream.dtype != torch.int64 or stream.shape != (2,):
        raise ValueError(
            f"stream: expected an int64 tensor of shape (2,), got {stream.dtype} of shape {tuple(stream.shape)}"
        )
    return advance(stream) if draws else None


def advance(stream):
    """What one call draws with.

    Raises:
        RuntimeError: autograd recomputes the call.
    """
    if not torch.compiler.is_compiling() and drawing.refused:
        raise RuntimeError(
            "backward recomputes an op that draws random numbers, and would draw others than forward did; expected "
            "torch.utils.checkpoint.checkpoint(..., context_fn=fpdet.checkpoint_contexts)"
        )
    return stream_advance(stream)
