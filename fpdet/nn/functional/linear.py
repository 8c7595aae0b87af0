"""The fully connected layer."""

from fpdet import _check, _primitives
from fpdet._numbers import numbers

MATMUL = 1 << 18  # pass tag of matrix products; their derivatives are tagged from it


def linear(input, weight, bias=None, *, arithmetic=None, stream=None, batch_offset=0):
    """torch.nn.functional.linear: input (*, K), weight (N, K) or (K), bias (N): the sum over k, then the bias."""
    _check.tensors("linear", input=input, weight=weight, bias=bias)
    if weight.dim() not in (1, 2):
        raise RuntimeError(f"linear(): weight: expected 1 or 2 dimensions, got size {list(weight.shape)}")
    if input.dim() == 0 or input.shape[-1] != weight.shape[-1]:
        raise RuntimeError(
            f"linear(): input: expected a last dimension of {weight.shape[-1]} as weight {list(weight.shape)} has, "
            f"got size {list(input.shape)}"
        )
    expected = [weight.shape[0]] if weight.dim() == 2 else []
    if bias is not None and list(bias.shape) != expected:
        raise RuntimeError(f"linear(): bias: expected size {expected}, got {list(bias.shape)}")
    matrix = weight if weight.dim() == 2 else weight.unsqueeze(0)
    shift = bias if bias is None or weight.dim() == 2 else bias.unsqueeze(0)
    call = numbers("linear", arithmetic, stream, batch_offset)
    rows = input if input.dim() > 1 else input.unsqueeze(0)
    y = _primitives.matmul(rows, matrix.t(), shift, call.text, call.draw, MATMUL, call.offset)
    y = y if input.dim() > 1 else y.squeeze(0)
    return y if weight.dim() == 2 else y.squeeze(-1)
