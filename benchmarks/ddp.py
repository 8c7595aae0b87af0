"""Data parallel training: bytes on the wire and time a step, against DistributedDataParallel's own all_reduce.

    torchrun --nproc-per-node 2 -m benchmarks.ddp --out benchmarks/results/ddp.json

Every variant trains one network on the same global batch. `sent_bytes` is what one worker hands to collectives for
gradients, losses and statistics, by the hook's own count (for all_reduce: 2 (R - 1) / R of the gradients, a ring);
`wire_bytes` is what the loopback interface carried in a step, over all workers, headers included.
"""

import argparse
import json
import os
import platform
import statistics
import time
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import fpdet
from fpdet import distributed

VARIANTS = {  # name -> (arithmetic of the network, of the sum over workers); None: torch
    "torch": (None, None),
    "fpdet blocked, torch's all_reduce": ("nearest_even blocked(512)", None),
    "fpdet blocked, ranks in turn": ("nearest_even blocked(512)", "nearest_even sequential"),
    "fpdet exact, torch's all_reduce": ("nearest_even exact", None),
    "fpdet exact, exact over workers": ("nearest_even exact", "nearest_even exact"),
}
LOOPBACK = Path("/sys/class/net/lo/statistics/tx_bytes")


def network():
    """Three convolutions and two layers for 3 x 32 x 32 images."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(1024, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip


def measure(name, batch, steps):
    """The row of a variant; every worker takes part, rank 0's numbers count."""
    arithmetic, over_workers = VARIANTS[name]
    rank, size = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(0)
    model = network()
    ddp = DistributedDataParallel(model)
    gradients = None if over_workers is None else distributed.register(ddp, over_workers)
    x, target = torch.randn(batch, 3, 32, 32), torch.randint(0, 10, (batch,))
    mine = slice(batch * rank // size, batch * (rank + 1) // size)
    seconds, wire = [], []
    for _ in range(steps + 2):  # two to warm up: DistributedDataParallel rebuilds its buckets after the first
        model.zero_grad()
        dist.barrier()
        before, start = _carried(), time.perf_counter()
        _step(ddp, x[mine], target[mine], batch, arithmetic)
        seconds.append(time.perf_counter() - start)
        dist.barrier()
        wire.append(_carried() - before)
    elements = sum(p.numel() for p in model.parameters())
    sent = elements * 4 * 2 * (size - 1) // size if gradients is None else gradients.bytes_sent // (steps + 2)
    if gradients is not None:
        gradients.close()
    return {
        "variant": name,
        "parameters": elements,
        "sent_bytes": sent,
        "wire_bytes": int(statistics.median(wire[2:])),
        "seconds": statistics.median(seconds[2:]),
        "seconds_least": min(seconds[2:]),
        "digest_of_gradients": fpdet.digest([p.grad for p in model.parameters()]),
    }


def _step(ddp, x, target, batch, arithmetic):
    if arithmetic is None:
        loss = F.cross_entropy(ddp(x), target, reduction="sum") / batch
    else:
        with fpdet.arithmetic(arithmetic):
            loss = F.cross_entropy(ddp(x), target, reduction="sum") / batch
    loss.backward()


def _carried():
    return int(LOOPBACK.read_text()) if LOOPBACK.exists() else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--batch", type=int, default=32, help="samples of all workers")
    parser.add_argument("--steps", type=int, default=7, help="timed steps of each variant")
    options = parser.parse_args()
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rows = [measure(name, options.batch, options.steps) for name in VARIANTS]
    if dist.get_rank() == 0:
        record = {
            "workers": dist.get_world_size(),
            "batch": options.batch,
            "steps": options.steps,
            "threads": 1,
            "backend": "gloo",
            "torch": torch.__version__,
            "machine": platform.machine(),
            "cores": os.cpu_count(),
            "load_before": os.getloadavg()[2],
            "rows": rows,
        }
        options.out.write_text(json.dumps(record, indent=2) + "\n")
        plain = rows[0]
        for row in rows:
            ratios = row["wire_bytes"] / max(1, plain["wire_bytes"]), row["seconds"] / plain["seconds"]
            bytes_sent = f"{row['wire_bytes']:>10} bytes ({ratios[0]:.2f}x)"
            print(f"{row['variant']:36} {bytes_sent} {row['seconds']:.4f} s ({ratios[1]:.1f}x)")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
