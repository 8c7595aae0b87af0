"""Data parallel training whose final bits do not depend on the number of workers, nor on a crash in between.

    torchrun --nproc-per-node 2 -m fpdet.distributed.example --checkpoint run.pt --steps 20

trains a small convolutional network on drawn data and prints the digest of its weights. Started again with the same
--checkpoint, with any number of workers, it goes on after the last finished step. --die-rank and --die-step kill a
worker in the middle of a step, to see what happens.
"""

import argparse
import os
import signal
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

import fpdet
from fpdet import distributed

ARITHMETIC = "nearest_even exact"
CLASSES, SIDE = 4, 8


class Net(nn.Module):
    """Two convolutions, batch normalisation over all workers, two layers."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1, bias=False),
            distributed.SyncBatchNorm(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, stride=2),
            nn.ReLU(),
        )
        self.classes = nn.Linear(8 * 3 * 3, CLASSES)

    def forward(self, x):
        return self.classes(self.features(x).flatten(1))


def samples_of(step, batch):
    """The global batch of a step: the same on every worker, drawn anew from the step's number."""
    generator = fpdet.random.Generator(step)
    x = fpdet.random.normal((batch, 1, SIDE, SIDE), generator=generator)
    return x, fpdet.random.integers((batch,), 0, CLASSES, generator=generator)


def share(batch, rank, size):
    """The samples of one worker; sizes differ by one where they must."""
    return slice(batch * rank // size, batch * (rank + 1) // size)


def save(path, step, model, optimizer):
    """Whole or not at all."""
    state = {"step": step, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)


def load(path, model, optimizer):
    """The number of finished steps."""
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return state["step"]


def train(options):
    """The digest of the weights in the end."""
    rank, size = dist.get_rank(), dist.get_world_size()
    with fpdet.arithmetic(ARITHMETIC, seed=options.seed):
        model = Net()
    optimizer = fpdet.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    done = load(options.checkpoint, model, optimizer)
    dist.barrier()  # nobody saves before all have loaded
    ddp = DistributedDataParallel(model)
    gradients = distributed.register(ddp, ARITHMETIC)
    for step in range(done, options.steps):
        x, target = samples_of(step, options.batch)
        mine = share(options.batch, rank, size)
        with distributed.naming_lost_workers(f"step {step}"):
            with fpdet.arithmetic(ARITHMETIC):
                losses = F.cross_entropy(ddp(x[mine]), target[mine], reduction="none")
                if (rank, step) == (options.die_rank, options.die_step):
                    os.kill(os.getpid(), signal.SIGKILL)
                loss = distributed.global_mean(losses)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if rank == 0:
            save(options.checkpoint, step + 1, model, optimizer)
            print(f"step {step}: loss {loss.item():.6f}", flush=True)
    digest = fpdet.digest(model)
    if rank == 0:
        print(f"{size} workers, {gradients.bytes_sent} bytes of gradients sent by rank 0, digest {digest}", flush=True)
    return digest


def parser():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True, help="file to go on from, written after each step")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=7, help="samples of all workers in one step")
    parser.add_argument("--seed", type=int, default=0, help="of the weights")
    parser.add_argument("--timeout", type=float, default=60, help="seconds until a worker that hangs is an error")
    parser.add_argument("--die-rank", type=int)
    parser.add_argument("--die-step", type=int)
    return parser


def main(arguments=None):
    options = parser().parse_args(arguments)
    dist.init_process_group("gloo", timeout=timedelta(seconds=options.timeout))
    try:
        train(options)
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
