"""DistributedDataParallel whose gradients are summed over workers in a stated arithmetic."""

import weakref

import torch
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel
from torch.utils._python_dispatch import _disable_current_modes

from fpdet import _partials
from fpdet._arithmetic import as_single
from fpdet.distributed import _sums
from fpdet.distributed._batch_norm import SyncBatchNorm
from fpdet.distributed._workers import Workers


class Gradients:
    """The state of `hook`: the workers, and what exact gradients leave for each parameter.

    Args:
        module: what DistributedDataParallel wraps, or that itself.
        arithmetic: of the sum over workers.
        group: the process group of DistributedDataParallel; None: the default one.

    Raises:
        RuntimeError: no process group.
        NotImplementedError: an arithmetic that draws; under order "exact" float64 parameters and batch normalisation
            in training mode whose statistics are one worker's.
    """

    def __init__(self, module, arithmetic, group=None):
        self.arithmetic = _summing(arithmetic)
        self.exact = str(self.arithmetic.order) == "exact"
        self.workers = Workers(group)
        self._module = weakref.ref(module)
        self._records = {}
        if not self.exact:
            return
        inner = module.module if isinstance(module, DistributedDataParallel) else module
        _refuse_batch_norm(inner)
        for name, parameter in inner.named_parameters():
            if not parameter.requires_grad:
                continue
            if parameter.dtype not in (torch.float32, torch.bfloat16, torch.float16):
                self.close()
                raise NotImplementedError(
                    f"{name}: order 'exact' over workers expects a parameter of float32, bfloat16 or float16, "
                    f"got {parameter.dtype}"
                )
            self._records[id(parameter)] = _partials.Record(name, parameter, self.arithmetic.rounding)
        module.register_forward_pre_hook(_before_forward(weakref.ref(self)))

    @property
    def bytes_sent(self):
        """What this worker has sent for gradients so far."""
        return self.workers.bytes_sent

    def close(self):
        """Gradients are no longer recorded."""
        for record in self._records.values():
            record.close()
        self._records = {}

    def forget(self):
        """What a backward pass left that an error ended."""
        for record in self._records.values():
            record.forget_arriving()

    def sum(self, bucket):
        """A bucket of DistributedDataParallel, summed."""
        buffer = bucket.buffer()
        if not self.exact:
            return _sums.ordered(self.workers, buffer, self.arithmetic)
        parts = [self._records[id(p)].take() for p in bucket.parameters()]
        planes = torch.cat(_of_one_length(parts), 1)
        total = _sums.exact(self.workers, planes, self.arithmetic.rounding, buffer.dtype)
        gradients = bucket.gradients()
        for gradient, sums in zip(gradients, total.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(sums.reshape(gradient.shape))
        return buffer


def _of_one_length(parts):
    numbers = max(part.shape[0] for part in parts)
    return [torch.cat([p, p.new_zeros(numbers - p.shape[0], p.shape[1])]) for p in parts]


def hook(state, bucket):
    """The communication hook: ``ddp.register_comm_hook(Gradients(ddp, arithmetic), hook)``.

    The sum, not the mean: divide the loss by the number of samples of all workers (`global_mean`).
    """
    with torch._C.DisableTorchFunction(), _disable_current_modes(), torch.no_grad():
        result = torch.futures.Future()
        result.set_result(state.sum(bucket))
        return result


def register(ddp, arithmetic=None, group=None):
    """Sum the gradients of `ddp` over its workers by `arithmetic`; returns the `Gradients`.

    Args:
        ddp: a torch.nn.parallel.DistributedDataParallel. Its backward then leaves sums over workers, not means.
        arithmetic: an `fpdet.Arithmetic` or its string; None: the default. The ranks are the terms. With order "exact"
            the terms are those of all workers' gradient ops, each of which must run under "exact" in that rounding.
        group: the process group `ddp` was given.

    Raises:
        TypeError: `ddp` is something else.
        NotImplementedError: as `Gradients`.
    """
    if not isinstance(ddp, DistributedDataParallel):
        raise TypeError(f"ddp: expected a DistributedDataParallel, got {type(ddp).__name__}")
    state = Gradients(ddp, arithmetic, ddp.process_group if group is None else group)
    ddp.register_comm_hook(state, hook)
    return state


def _summing(arithmetic):
    chosen = as_single(arithmetic)
    if chosen.draws:
        raise NotImplementedError(
            f"arithmetic: expected one that draws nothing for a sum over workers, got {chosen.text!r}"
        )
    return chosen


def _refuse_batch_norm(module):
    for name, layer in module.named_modules():
        if isinstance(layer, _BatchNorm) and layer.training and not isinstance(layer, SyncBatchNorm):
            raise NotImplementedError(
                f"{name}: {type(layer).__name__} in training mode takes the statistics of one worker's samples; "
                "expected fpdet.distributed.SyncBatchNorm (convert the model with SyncBatchNorm.convert), or .eval()"
            )


def _before_forward(state):
    def forget(module, args):
        found = state()
        if found is not None and module.training and torch.is_grad_enabled():
            found.forget()

    return forget
