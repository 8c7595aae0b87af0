"""Losses over the samples of all workers."""

import torch
from torch.utils._python_dispatch import _disable_current_modes

from fpdet import _partial_sums, _primitives
from fpdet._arithmetic import parsed
from fpdet._context import innermost
from fpdet._ops import FORWARD, GRAD_INPUT, arithmetic_of_pass
from fpdet.distributed import _sums
from fpdet.distributed._workers import Workers


def global_mean(losses, count=None, *, group=None, arithmetic=None):
    """The exact sum of all workers' `losses`, rounded once, divided by their number: the same on each worker.

    Its gradient is 1/number for each loss, so that with `register` the gradients of parameters are those of the
    mean over all samples, however these are spread over workers.

    Args:
        losses: float32, bfloat16 or float16, of any shape; a worker may have none.
        count: this worker's share of the number; None: how many `losses` it has.
        group: the process group; None: the default one.
        arithmetic: its rounding is that of sum and quotient; None: that of the innermost context, else the default.

    Raises:
        NotImplementedError: float64, or stochastic rounding.
        ValueError: no worker has any loss.
    """
    if losses.dtype not in (torch.float32, torch.bfloat16, torch.float16):
        raise NotImplementedError(f"losses: expected float32, bfloat16 or float16, got {losses.dtype}")
    chosen = innermost()[0] if arithmetic is None else parsed(arithmetic)
    if chosen.draws:
        raise NotImplementedError(f"arithmetic: expected one that draws nothing, got {chosen.text!r}")
    workers = Workers(group)
    number = workers.total(losses.numel() if count is None else count)
    if number < 1:
        raise ValueError(f"losses: expected at least one among all workers, got {number}")
    return _GlobalMean.apply(losses, float(number), chosen.text, workers)


class _GlobalMean(torch.autograd.Function):
    @staticmethod
    def forward(ctx, losses, number, text, workers):
        ctx.shape, ctx.number, ctx.text = losses.shape, number, arithmetic_of_pass(text, GRAD_INPUT)
        with torch._C.DisableTorchFunction(), _disable_current_modes():
            forward = arithmetic_of_pass(text, FORWARD)
            partial = _partial_sums.sums(losses.detach().reshape(1, -1))
            total = _sums.exact(workers, partial, forward.split()[0], losses.dtype)
            return _primitives.binary("div", total.reshape(()), number, forward, None, 0)

    @staticmethod
    def backward(ctx, grad):
        each = _primitives.binary("div", grad, ctx.number, ctx.text, None, 0)
        return each.expand(ctx.shape), None, None, None
