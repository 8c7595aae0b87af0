"""Optimizers with a stated arithmetic: SGD, Adam, AdamW."""

import torch

from fpdet._adam import Adam, AdamW
from fpdet._stated import Stated, draw

__all__ = ["SGD", "Adam", "AdamW"]


class SGD(Stated, torch.optim.SGD):
    """torch.optim.SGD with ``arithmetic=`` and ``rescale=``; state_dict interchangeable with torch's.

    Per element, every operation rounded by `arithmetic` (docs/semantics.md, "SGD"): under
    nearest_even the bits are those of ``torch.optim.SGD(foreach=False)``. With ``rescale=k`` a step
    divides the update d by k and multiplies it by lr*k: the same step but for rounding.

    Args:
        arithmetic: an `fpdet.Arithmetic` or its string, per param group. Its order is not used, a
            step sums nothing; ``exact``, ``kahan`` and ``neumaier`` are refused. If it draws random
            bits, the param group keeps their ``seed`` and ``counter``.
        rescale: k > 0, per param group.
        foreach: accepted; there is one implementation.
        fused, differentiable: False or None.

    Raises:
        ValueError: as torch, and for a bad `arithmetic` or `rescale`.
        NotImplementedError: fused=True, differentiable=True, tensors with gradient among the
            options, parameters that are not dense float64, float32, bfloat16 or float16.
        RuntimeError: sparse gradients, or gradients of another dtype.
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        momentum=0,
        dampening=0,
        weight_decay=0,
        nesterov=False,
        *,
        maximize=False,
        foreach=None,
        differentiable=False,
        fused=None,
        arithmetic=None,
        rescale=1,
    ):
        options = {"fused": fused, "differentiable": differentiable}
        self._begin(options, arithmetic=arithmetic, rescale=rescale)
        super().__init__(
            params,
            lr,
            momentum,
            dampening,
            weight_decay,
            nesterov,
            maximize=maximize,
            foreach=foreach,
            differentiable=differentiable,
            fused=fused,
        )

    @staticmethod
    def _numbers(group):
        return ((name, group[name]) for name in ("lr", "momentum", "dampening", "weight_decay"))

    def _normalise(self, group):
        super()._normalise(group)
        rescale = group["rescale"]
        if isinstance(rescale, bool) or not isinstance(rescale, int | float):
            raise TypeError(f"rescale: expected a number, got {type(rescale).__name__}")
        if not 0 < rescale < float("inf"):
            raise ValueError(f"rescale: expected a finite number above 0, got {rescale}")

    def _step_group(self, group, pairs):
        momentum = group["momentum"] != 0
        fresh, known = ([], [], []), ([], [], [])
        for p, grad in pairs:
            buffer = None
            found = known
            if momentum:
                state = self.state[p]
                buffer = state.get("momentum_buffer")
                if buffer is None:
                    buffer = state["momentum_buffer"] = torch.empty_like(p)
                    found = fresh
            found[0].append(p)
            found[1].append(grad)
            found[2].append(buffer)
        for lists, first in ((fresh, True), (known, False)):
            for some in _by_device(lists):
                _update(group, *some, first)


def _by_device(lists):
    """(params, grads, buffers) of one device each: a step is one call where all lie on the same."""
    devices = list(dict.fromkeys(p.device for p in lists[0]))
    if len(devices) <= 1:
        return [lists] if devices else []
    rows = list(zip(*lists, strict=True))
    return [tuple(map(list, zip(*(r for r in rows if r[0].device == d), strict=True))) for d in devices]


def _update(group, params, grads, buffers, first_step):
    buffers = buffers if group["momentum"] != 0 else []
    torch.ops.fpdet.sgd_.default(
        params,
        grads,
        buffers,
        first_step,
        float(group["lr"]),
        float(group["momentum"]),
        float(group["dampening"]),
        float(group["weight_decay"]),
        bool(group["nesterov"]),
        bool(group["maximize"]),
        float(group["rescale"]),
        group["arithmetic"],
        draw(group),
    )
    torch.autograd.graph.increment_version([*params, *buffers])
