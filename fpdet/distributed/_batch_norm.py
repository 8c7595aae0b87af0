"""Batch normalisation whose statistics are those of all workers' samples, summed exactly."""

import torch
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._python_dispatch import _disable_current_modes

from fpdet import _partial_sums, _partials, _programs
from fpdet._arithmetic import as_arithmetic
from fpdet._context import innermost
from fpdet.distributed import _sums
from fpdet.distributed._workers import Workers
from fpdet.programs import PROGRAMS
from fpdet.programs.machine import BACKWARD, FORWARD

_PROGRAM = PROGRAMS["batch_norm"]


class _WideMachine(_programs.TorchMachine):
    """Sums over samples, and their number, are those of all workers; on weights those of one."""

    def __init__(self, first_tag, texts, workers, number):
        super().__init__(first_tag, texts, None, 0)
        self._workers, self._number = workers, number

    def _sum(self, a, b, axes, tag):
        if 0 not in axes:
            return super()._sum(a, b, axes, tag)
        partial = _partial_sums.of_sum(a, b, axes)
        total = _sums.exact_of(self._workers, partial, self._text.split()[0], a.dtype)
        return total.reshape([1 if d in axes else n for d, n in enumerate(a.shape)])

    def count(self, a, axes):
        return self._number if 0 in axes else super().count(a, axes)


class _Normalised(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, running_mean, running_var, attributes, text, workers, number):
        with torch._C.DisableTorchFunction(), _disable_current_modes():
            forward, _, weights = _programs._pass_texts(text)
            machine = _WideMachine(FORWARD, (forward, weights), workers, number)
            inputs = (x, weight, bias, running_mean, running_var)
            y, mean, var, *kept = _PROGRAM.forward(machine, *inputs, **attributes)
        ctx.save_for_backward(x, weight, bias, *kept)
        ctx.attributes, ctx.text, ctx.workers = attributes, text, (workers, number)
        ctx.mark_non_differentiable(mean, var)
        return y, mean, var

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad, *_):
        x, weight, bias, *kept = ctx.saved_tensors
        _, inputs, weights = _programs._pass_texts(ctx.text)
        needed = ctx.needs_input_grad[:3]

        def derive():
            with torch._C.DisableTorchFunction(), _disable_current_modes():
                machine = _WideMachine(BACKWARD, (inputs, weights), *ctx.workers)
                tensors, outputs = (x, weight, bias, None, None), (None, None, None, *kept)
                return _PROGRAM.backward(machine, needed, (grad,), tensors, outputs, **ctx.attributes)[:3]

        found = _partials.gradients(ctx, needed, derive, {1, 2}) if _partials.watching() else derive()
        return (*found, *(None,) * 6)


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation over the samples of all workers; the same bits for any number of them.

    In training mean and variance, and in backward the two sums over samples, are exact sums of all workers' terms,
    rounded once; elsewhere as `fpdet.nn.functional.batch_norm` under an Arithmetic of order "exact". Arguments as
    torch.nn.SyncBatchNorm's.

    Args:
        process_group: None: the default one.
        arithmetic: of order "exact", without stochastic rounding; None: the innermost context's.
    """

    def __init__(
        self,
        num_features,
        eps=1e-5,
        momentum=0.1,
        affine=True,
        track_running_stats=True,
        process_group=None,
        device=None,
        dtype=None,
        *,
        arithmetic=None,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device=device, dtype=dtype)
        self.process_group, self.arithmetic = process_group, arithmetic

    def _check_input_dim(self, input):
        if input.dim() < 2:
            raise ValueError(f"expected at least 2D input (got {input.dim()}D input)")

    def forward(self, input):
        """input (N, C, *); N may be 0 on some workers."""
        from fpdet.nn import functional

        self._check_input_dim(input)
        chosen = innermost()[0] if self.arithmetic is None else as_arithmetic(self.arithmetic)
        training = self.training or (self.running_mean is None and self.running_var is None)
        if not training:
            return functional.batch_norm(
                input,
                self.running_mean,
                self.running_var,
                self.weight,
                self.bias,
                False,
                0.0,
                self.eps,
                arithmetic=chosen,
            )
        if chosen.draws or any(str(as_arithmetic(t).order) != "exact" for t in _programs._pass_texts(chosen.text)):
            raise ValueError(f"arithmetic: expected order 'exact' without stochastic rounding, got {chosen.text!r}")
        if input.dtype == torch.float64:
            raise NotImplementedError("input: expected float32, bfloat16 or float16, got torch.float64")
        momentum = self.momentum
        running = (None, None)
        if self.training and self.track_running_stats:
            with torch._C.DisableTorchFunction(), _disable_current_modes():
                self.num_batches_tracked.add_(1)
                momentum = 1.0 / float(self.num_batches_tracked) if momentum is None else momentum
            running = (self.running_mean, self.running_var)
        attributes = {"eps": float(self.eps), "momentum": float(momentum or 0.0)}
        before = [None if r is None else r.detach().clone() for r in running]
        workers = Workers(self.process_group)
        number = workers.total(input.numel() // input.shape[1] if input.shape[1] else 0)
        if number < 2:
            raise ValueError(
                f"input: expected more than 1 value per channel over all workers when training, got {number}"
            )
        tensors = (input, self.weight, self.bias, *before)
        y, mean, var = _Normalised.apply(*tensors, attributes, chosen.text, workers, number)
        for old, new in zip(running, (mean, var), strict=True):
            if old is not None:
                with torch.no_grad():
                    old.copy_(new)
        return y

    @classmethod
    def convert(cls, module, process_group=None, *, arithmetic=None):
        """`module` with every batch normalisation replaced, parameters and buffers kept."""
        if isinstance(module, _BatchNorm) and not isinstance(module, cls):
            weight = module.weight if module.affine else None
            layer = cls(
                module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats,
                process_group, arithmetic=arithmetic,
            )  # fmt: skip
            if weight is not None:
                layer.weight, layer.bias = module.weight, module.bias
            for name in ("running_mean", "running_var", "num_batches_tracked"):
                setattr(layer, name, getattr(module, name))
            layer.training = module.training
            return layer
        for name, child in module.named_children():
            setattr(module, name, cls.convert(child, process_group, arithmetic=arithmetic))
        return module
