"""What fpdet's optimizers have beyond torch's: a stated arithmetic, and checks before the first update."""

import torch

from fpdet import _check, _library, _stream  # noqa: F401  (registers the ops)
from fpdet._arithmetic import as_single


class Stated:
    """Mixin before a class of torch.optim. A subclass has `_one_form`, `_numbers` and `_step_group`.

    _one_form: options that torch has several implementations for and fpdet one; they must be false.
    _numbers(group): (name, value) of the options that may be tensors, without gradient.
    """

    _one_form = ("fused", "differentiable")

    def _begin(self, options, **extra):
        """Before torch's __init__. options: those of `_one_form`; extra: what torch's groups lack."""
        self._extra = extra
        for name, value in options.items():
            _refuse(name, value)

    def _normalise(self, group):
        """Words and numbers instead of objects, so that a state_dict loads with weights_only=True."""
        arithmetic = as_single(group["arithmetic"])
        if not arithmetic.order.is_tree:
            name = type(self).__name__
            raise ValueError(f"arithmetic: a step of {name} sums nothing, got order {str(arithmetic.order)!r}")
        group["arithmetic"] = arithmetic.text
        if arithmetic.draws:
            group.setdefault("seed", arithmetic.seed)
            group.setdefault("counter", 0)

    def add_param_group(self, param_group):
        """As torch; the group may name its own `arithmetic`, and what else this optimizer adds."""
        if isinstance(param_group, dict):
            self._complete(param_group)
        super().add_param_group(param_group)

    def _complete(self, group):
        for name, value in self._extra.items():
            group.setdefault(name, value)
        self._normalise(group)

    def __getstate__(self):
        return {**super().__getstate__(), "_extra": self._extra}

    def __setstate__(self, state):
        super().__setstate__(state)
        for group in self.param_groups:
            self._complete(group)

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
        for name in self._one_form:
            _refuse(name, group.get(name))
        for name, value in self._numbers(group):
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


def draw(group):
    """What a step of this group draws with; None where its arithmetic draws nothing."""
    if "counter" not in group:
        return None
    drawn = _stream.new(group["seed"], group["counter"])
    group["counter"] += 1
    return drawn


def _refuse(name, value):
    if value:
        expected = "None or False" if name == "fused" else "False"
        raise NotImplementedError(f"{name}: expected {expected}, got {value}; fpdet has one step")
