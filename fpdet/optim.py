"""Optimizers with a stated arithmetic: SGD, Adam, AdamW."""

import torch

from fpdet import _check, _library, _stream  # noqa: F401  (registers the ops)
from fpdet._adam import Adam, AdamW
from fpdet._arithmetic import as_single

__all__ = ["SGD", "Adam", "AdamW"]


class SGD(torch.optim.SGD):
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
        if fused:
            raise NotImplementedError("fused: expected None or False, got True; fpdet has one step")
        if differentiable:
            raise NotImplementedError("differentiable: expected False, got True")
        self._extra = {"arithmetic": arithmetic, "rescale": rescale}
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

    def add_param_group(self, param_group):
        """As torch; the group may name its own `arithmetic` and `rescale`."""
        if isinstance(param_group, dict):
            for name, value in self._extra.items():
                param_group.setdefault(name, value)
            _normalise(param_group)
        super().add_param_group(param_group)

    def __setstate__(self, state):
        super().__setstate__(state)
        for group in self.param_groups:
            for name, value in self._extra.items():
                group.setdefault(name, value)
            _normalise(group)

    @torch.no_grad()
    def step(self, closure=None):
        """One step; `closure` reevaluates the model and returns the loss.

        Every check comes before the first update.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        checked = [(group, _with_gradients(group)) for group in self.param_groups]
        for group, pairs in checked:
            self._step_group(group, pairs)
        return loss

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
        _draw(group),
    )
    torch.autograd.graph.increment_version([*params, *buffers])


def _draw(group):
    if "counter" not in group:
        return None
    draw = _stream.new(group["seed"], group["counter"])
    group["counter"] += 1
    return draw


def _normalise(group):
    """Words and numbers instead of objects, so that a state_dict loads with weights_only=True."""
    arithmetic = as_single(group["arithmetic"])
    if not arithmetic.order.is_tree:
        raise ValueError(f"arithmetic: an SGD step sums nothing, got order {str(arithmetic.order)!r}")
    group["arithmetic"] = arithmetic.text
    rescale = group["rescale"]
    if isinstance(rescale, bool) or not isinstance(rescale, int | float):
        raise TypeError(f"rescale: expected a number, got {type(rescale).__name__}")
    if not 0 < rescale < float("inf"):
        raise ValueError(f"rescale: expected a finite number above 0, got {rescale}")
    if arithmetic.draws:
        group.setdefault("seed", arithmetic.seed)
        group.setdefault("counter", 0)


def _with_gradients(group):
    """The (parameter, gradient) pairs of a group, checked."""
    for name in ("lr", "momentum", "dampening", "weight_decay"):
        if isinstance(group[name], torch.Tensor) and group[name].requires_grad:
            raise NotImplementedError(f"{name}: expected no gradient through it, got requires_grad=True")
    for name in ("fused", "differentiable"):
        if group.get(name):
            raise NotImplementedError(f"{name}: expected False, got True; fpdet has one step")
    pairs = [(p, grad) for p in group["params"] if (grad := p.grad) is not None]
    plain = _check.nothing_unusual()
    for p, grad in pairs:
        if plain and _check.is_plain(p, grad):
            continue
        if grad.is_sparse:
            raise RuntimeError("grad: expected a dense tensor, got a sparse one; use .to_dense()")
        _check.tensors("SGD.step", params=p, grad=grad)
    return pairs
