"""Dropout whose mask is counter-based: equal on every device and for every number of threads."""

from fpdet import _check, _programs, random
from fpdet._numbers import numbers


def dropout(
    input, p=0.5, training=True, inplace=False, *, generator=None, arithmetic=None, stream=None, batch_offset=0
):
    """Elements are kept with probability 1 - p and scaled by 1 / (1 - p).

    generator: the `fpdet.random.Generator` the mask is drawn from; None: the innermost context's.

    Raises:
        ValueError: p outside [0, 1].
        RuntimeError: there is neither a generator nor a context with a seed.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    _check.tensors("dropout", input=input)
    if not training or p == 0:
        return input
    call = numbers("dropout", arithmetic, stream, batch_offset)
    keep = random.uniform(input.shape, generator=generator, batch_offset=batch_offset, device=input.device) >= p
    y = _programs.run("dropout", [input, keep], {"p": float(p)}, call)[0]
    return input.copy_(y) if inplace else y
