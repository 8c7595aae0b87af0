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
    if torch.compiler.is_compiling():
        return op(*args)
    try:
        result = op(*args)
    except RuntimeError as error:
        raise typed(error) from None
    if tape is not None:
        tape.note(op, args, result)
    return result


def typed(error):
    """What a RuntimeError of an op is in Python: itself, if no other type says more."""
    if MESSAGE in str(error):
        return KeyboardInterrupt()
    if OUT_OF_MEMORY in str(error):
        return torch.OutOfMemoryError(str(error))
    return error
