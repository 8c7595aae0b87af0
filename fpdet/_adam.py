"""Adam and AdamW with a stated arithmetic."""

import torch

from fpdet import _check, _library, _stream  # noqa: F401  (registers the ops)
from fpdet._arithmetic import as_single
from fpdet._power import power

_ONE_FORM = ("fused", "differentiable", "capturable")


class _Stated:
    """What Adam and AdamW have beyond torch's."""

    def _begin(self, arithmetic, **options):
        self._arithmetic = arithmetic
        for name in _ONE_FORM:
            _refuse(name, options.get(name))

    def add_param_group(self, param_group):
        """As torch; the group may name its own `arithmetic`."""
        if isinstance(param_group, dict):
            param_group.setdefault("arithmetic", self._arithmetic)
            _normalise(param_group)
        super().add_param_group(param_group)

    def __getstate__(self):
        return {**super().__getstate__(), "_arithmetic": self._arithmetic}

    def __setstate__(self, state):
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("arithmetic", self._arithmetic)
            _normalise(group)

    @torch.no_grad()
    def step(self, closure=None):
        """One step; `closure` reevaluates the model and returns the loss.

        Every check of parameters, gradients and options comes before the first update.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        checked = [(group, self._with_gradients(group)) for group in self.param_groups]
        for group, pairs in checked:
            self._step_group(group, pairs)
        return loss

    def _with_gradients(self, group):
        """The (parameter, gradient) pairs of a group, checked."""
        for name in _ONE_FORM:
            _refuse(name, group.get(name))
        for name, value in (("lr", group["lr"]), *(("betas", beta) for beta in group["betas"])):
            if isinstance(value, torch.Tensor) and value.requires_grad:
                raise NotImplementedError(f"{name}: expected no gradient through it, got requires_grad=True")
        pairs = [(p, grad) for p in group["params"] if (grad := p.grad) is not None]
        plain = _check.nothing_unusual()
        for p, grad in pairs:
            if plain and _check.is_plain(p, grad):
                continue
            if grad.is_sparse:
                raise RuntimeError("grad: expected a dense tensor, got a sparse one; use .to_dense()")
            _check.tensors(f"{type(self).__name__}.step", params=p, grad=grad)
        return pairs

    def _step_group(self, group, pairs):
        batches = {}  # number of the step -> what the op takes
        for p, grad in pairs:
            state = self.state[p]
            if len(state) == 0:
                _begin_state(state, p, group["amsgrad"])
            number = int(state["step"]) + 1
            lists = batches.setdefault(number, ([], [], [], [], [], []))
            found = (p, grad, state["exp_avg"], state["exp_avg_sq"], state.get("max_exp_avg_sq"), state["step"])
            for values, value in zip(lists, found, strict=True):
                values.append(value)
        for number, (params, grads, averages, squares, largest, steps) in batches.items():
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
        _draw(group),
    )
    torch.autograd.graph.increment_version([*params, *averages, *squares, *largest])


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
        raise ValueError(f"arithmetic: an Adam step sums nothing, got order {str(arithmetic.order)!r}")
    group["arithmetic"] = arithmetic.text
    if arithmetic.draws:
        group.setdefault("seed", arithmetic.seed)
        group.setdefault("counter", 0)


def _refuse(name, value):
    if value:
        raise NotImplementedError(f"{name}: expected {'False or None' if name == 'fused' else 'False'}, got {value}")


class Adam(_Stated, torch.optim.Adam):
    """torch.optim.Adam with ``arithmetic=``; state_dict interchangeable with torch's.

    Per element, every operation rounded by `arithmetic` (docs/semantics.md, "Adam"): under nearest_even the bits are
    those of ``torch.optim.Adam(foreach=False)``.

    Args:
        arithmetic: an `fpdet.Arithmetic` or its string, per param group. Its order is not used, a step sums nothing;
            ``exact``, ``kahan`` and ``neumaier`` are refused. If it draws random bits, the param group keeps their
            ``seed`` and ``counter``.
        foreach: accepted; there is one implementation.
        fused, capturable, differentiable: False or None.

    Raises:
        ValueError: as torch, and for a bad `arithmetic`.
        NotImplementedError: fused, capturable or differentiable, tensors with gradient among the options, parameters
            that are not dense float64, float32, bfloat16 or float16 on the CPU.
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
        self._begin(arithmetic, fused=fused, capturable=capturable, differentiable=differentiable)
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


class AdamW(_Stated, torch.optim.AdamW):
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
        self._begin(arithmetic, fused=fused, capturable=capturable, differentiable=differentiable)
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, foreach=foreach, maximize=maximize)
