"""Ctrl-C during a long op: the C++ loop notices within a second, here it becomes Python's KeyboardInterrupt."""

import torch

MESSAGE = "fpdet: interrupted"  # csrc/torch/parallel.h

tape = None  # what takes note of each call (fpdet/_partials.py), or None


def call(op, *args):
    """op(*args).

    Raises:
        KeyboardInterrupt: SIGINT ended the op early; its result is lost, nothing is half-written.
    """
    if torch.compiler.is_compiling():
        return op(*args)
    try:
        result = op(*args)
    except RuntimeError as error:
        if MESSAGE in str(error):
            raise KeyboardInterrupt from None
        raise
    if tape is not None:
        tape.note(op, args, result)
    return result
