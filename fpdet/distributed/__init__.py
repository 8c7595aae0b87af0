"""Data parallel training with torch.distributed whose gradients are the same bits for any backend and, under order
"exact", for any number of workers.

    ddp = torch.nn.parallel.DistributedDataParallel(model)
    fpdet.distributed.register(ddp, "nearest_even exact")
    with fpdet.arithmetic("nearest_even exact"):
        losses = F.cross_entropy(ddp(x), t, reduction="none")
        loss = fpdet.distributed.global_mean(losses)
    loss.backward()

Source: docs/semantics.md, "Data parallel".
"""

from fpdet._partials import GradientError
from fpdet.distributed._batch_norm import SyncBatchNorm
from fpdet.distributed._hook import Gradients, hook, register
from fpdet.distributed._loss import global_mean
from fpdet.distributed._workers import WorkerLostError, naming_lost_workers

__all__ = [
    "GradientError",
    "Gradients",
    "SyncBatchNorm",
    "WorkerLostError",
    "global_mean",
    "hook",
    "naming_lost_workers",
    "register",
]
