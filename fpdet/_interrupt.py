"""Errors of C++ that have a type of their own in Python: an interrupt (the loop notices Ctrl-C within a second), and
memory that torch's allocator refused."""

import torch

MESSAGE = "fpdet: interrupted"  # csrc/torch/parallel.h
OUT_OF_MEMORY = "fpdet: out of memory"  # csrc/torch/gpu.h

tape = None  # what takes note of each call (fpdet/_partials.py), or None


def call(op, *args):
    """op(*args).

    Raises:
        KeyboardInterrupt: SIGINT ended the op early; its result is lost, nothing is half-written.
        torch.OutOfMemoryError: no memory for the result or for the work.
    """
    return op(*args) if torch.compiler.is_compiling() else eager_call(op, *args)


def eager_call(op, *args):
    """`call`, where nothing is being compiled."""
    try:
        result = op(*args)
    except RuntimeError as error:
        if MESSAGE in str(error):
            raise KeyboardInterrupt from None
        if OUT_OF_MEMORY in str(error):
            raise torch.OutOfMemoryError(str(error)) from None
        raise
    if tape is not None:
        tape.note(op, args, result)
    return result
