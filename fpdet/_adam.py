"""Adam and AdamW with a stated arithmetic."""

import torch

from fpdet._power import power
from fpdet._stated import Stated, draw


class _Adam(Stated):
    """What Adam and AdamW share."""

    _one_form = ("fused", "differentiable", "capturable")

    @staticmethod
    def _numbers(group):
        return (("lr", group["lr"]), *(("betas", beta) for beta in group["betas"]))

    def _step_group(self, group, pairs):
        batches = {}  # (number of the step, device) -> what the op takes
        for p, grad in pairs:
            state = self.state[p]
            if len(state) == 0:
                _begin_state(state, p, group["amsgrad"])
            number = int(state["step"]) + 1
            lists = batches.setdefault((number, p.device), ([], [], [], [], [], []))
            found = (p, grad, state["exp_avg"], state["exp_avg_sq"], state.get("max_exp_avg_sq"), state["step"])
            for values, value in zip(lists, found, strict=True):
                values.append(value)
        for (number, _), (params, grads, averages, squares, largest, steps) in batches.items():
            _update(group, number, params, grads, averages, squares, largest if group["amsgrad"] else [])
            for step in steps:
                step.fill_(number)


def _begin_state(state, p, amsgrad):
    wide = torch.get_default_dtype() == torch.float64
    state["step"] = torch.tensor(0.0, dtype=torch.float64 if wide else torch.float32)
    for name in ("exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if amsgrad else [])):
        state[name] = torch.zeros_like(p, memory_format=torch.preserve_format)


def _update(group, number, params, grads, averages, squares, largest):
    beta1, beta2 = (float(beta) for beta in group["betas"])
    torch.ops.fpdet.adam_.default(
        params,
        grads,
        averages,
        squares,
        largest,
        float(group["lr"]),
        beta1,
        beta2,
        power(beta1, number),
        power(beta2, number),
        float(group["eps"]),
        float(group["weight_decay"]),
        bool(group["decoupled_weight_decay"]),
        bool(group["maximize"]),
        group["arithmetic"],
        draw(group),
    )
    torch.autograd.graph.increment_version([*params, *averages, *squares, *largest])


class Adam(_Adam, torch.optim.Adam):
    """torch.optim.Adam with ``arithmetic=``; state_dict interchangeable with torch's.

    Per element, every operation rounded by `arithmetic` (docs/semantics.md, "Adam"), in the order of
    ``torch.optim.Adam(foreach=False)``: its bits under nearest_even, where torch's square root is IEEE 754's.

    Args:
        arithmetic: an `fpdet.Arithmetic` or its string, per param group. Its order is not used, a step sums nothing;
            ``exact``, ``kahan`` and ``neumaier`` are refused. If it draws random bits, the param group keeps their
            ``seed`` and ``counter``.
        foreach: accepted; there is one implementation.
        fused, capturable, differentiable: False or None.

    Raises:
        ValueError: as torch, and for a bad `arithmetic`.
        NotImplementedError: fused, capturable or differentiable, tensors with gradient among the options, parameters
            that are not dense float64, float32, bfloat16 or float16 on the CPU or a CUDA device.
        RuntimeError: sparse gradients, or gradients of another dtype.
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        amsgrad=False,
        *,
        foreach=None,
        maximize=False,
        capturable=False,
        differentiable=False,
        fused=None,
        decoupled_weight_decay=False,
        arithmetic=None,
    ):
        options = {"fused": fused, "capturable": capturable, "differentiable": differentiable}
        self._begin(options, arithmetic=arithmetic)
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            decoupled_weight_decay=decoupled_weight_decay,
        )


class AdamW(_Adam, torch.optim.AdamW):
    """torch.optim.AdamW with ``arithmetic=``: as `fpdet.optim.Adam`, the weight decay shrinking the parameter itself.

    Args, Raises: see `fpdet.optim.Adam`.
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=1e-2,
        amsgrad=False,
        *,
        maximize=False,
        foreach=None,
        capturable=False,
        differentiable=False,
        fused=None,
        arithmetic=None,
    ):
        options = {"fused": fused, "capturable": capturable, "differentiable": differentiable}
        self._begin(options, arithmetic=arithmetic)
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, foreach=foreach, maximize=maximize)
