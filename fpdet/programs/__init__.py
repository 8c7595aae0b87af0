"""The ops of whole networks, each a straight-line program of rounded steps.

A program is written once, over a `Machine` (machine.py): tensors of torch run it fast, the oracle of
`fpdet.reference` runs the same lines in exact rationals. docs/semantics.md, "Programs", shows these lines.

A program has

    forward(m, *inputs, **attributes)                            -> results, then what backward wants to keep
    backward(m, needed, grads, inputs, outputs, **attributes)    -> one gradient per input, None where not needed

and `results`, the number of outputs that the caller sees; `keeps_result` where what it keeps is its one result in the
working dtype; `affine`, the numbers of the inputs whose gradients sum over samples. Inputs may be None where the op's
argument may be.
Every value between two steps has the working dtype (`Machine.enter`); every step is one core operation.
"""

PROGRAMS = {}


def program(cls):
    """Register a program by the name of its class."""
    cls.keeps_result = getattr(cls, "keeps_result", False)
    cls.affine = getattr(cls, "affine", ())
    PROGRAMS[cls.__name__] = cls
    return cls


from fpdet.programs import (  # noqa: E402, F401  (they register themselves)
    activation,
    dropout,
    elementwise,
    loss,
    normalization,
    sampling,
    softmax,
    statistics,
)
