"""What the workers of test_distributed.py do: small networks, trained for a few steps."""

import contextlib
import os

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import fpdet
from fpdet import distributed

EXACT = "nearest_even exact"
SAMPLES = 7
SHARES = {1: [7], 2: [3, 4], 3: [1, 4, 2], 4: [2, 0, 4, 1]}  # uneven, and one worker without a sample


class Everything(nn.Module):
    """Every kind of parameter gradient; the embedding is tied to the last layer, `twice` is used twice."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, padding=1)
        self.group = nn.GroupNorm(2, 8)
        self.grouped = nn.Conv2d(8, 12, 3, stride=2, groups=2)
        self.back = nn.ConvTranspose2d(12, 2, 2)
        self.linear = nn.Linear(50, 16)
        self.layer = nn.LayerNorm(16)
        self.embedding = nn.Embedding(5, 16)
        self.position = nn.Parameter(torch.linspace(-1, 1, 16))
        self.twice = nn.Linear(16, 16)
        self.out = nn.Linear(16, 5, bias=False)
        self.out.weight = self.embedding.weight

    def forward(self, x, words):
        x = F.relu(self.group(self.conv(x)))
        x = self.back(F.relu(self.grouped(x)))
        x = self.layer(self.linear(x.flatten(1))) + self.embedding(words) + self.position
        x = self.twice(F.relu(self.twice(x)))
        return self.out(x)


class Normalised(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.BatchNorm2d(4)
        )
        self.out = nn.Linear(4 * 36, 5)

    def forward(self, x, words):
        return self.out(self.body(x).flatten(1))


def data(rank, size):
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(SAMPLES, 1, 10, 10, generator=generator)
    words = torch.randint(0, 5, (SAMPLES,), generator=generator)
    target = torch.randint(0, 5, (SAMPLES,), generator=generator)
    first = sum(SHARES[size][:rank])
    mine = slice(first, first + SHARES[size][rank])
    return x[mine], words[mine], target[mine]


def losses(model, x, words, target):
    return F.cross_entropy(model(x, words), target, reduction="none")


def train(rank, size, make, arithmetic=EXACT, sum_by=EXACT, parts=1, steps=2):
    """(digest of the weights, the last loss, bytes sent). sum_by None: DistributedDataParallel's own mean."""
    torch.manual_seed(1)
    model = distributed.SyncBatchNorm.convert(make())
    ddp = DistributedDataParallel(model)
    gradients = None if sum_by is None else distributed.register(ddp, sum_by)
    optimizer = fpdet.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    tensors = data(rank, size)
    count = len(tensors[0])
    for _ in range(steps):
        optimizer.zero_grad()
        for part in range(parts):
            piece = [x[count * part // parts : count * (part + 1) // parts] for x in tensors]
            with fpdet.arithmetic(arithmetic), contextlib.nullcontext() if part == parts - 1 else ddp.no_sync():
                share = distributed.global_mean(losses(ddp, *piece), count)
            if sum_by is None:
                share = share * size
            share.backward()
        optimizer.step()
    return fpdet.digest(model), float(share.detach()), 0 if gradients is None else gradients.bytes_sent


def all_scenarios(rank, size):
    """name -> what `train` gives."""
    return {
        "everything": train(rank, size, Everything),
        "downward": train(rank, size, Everything, "downward exact", "downward exact", steps=1),
        "micro-batches": train(rank, size, Everything, parts=2),
        "batch norm": train(rank, size, Normalised),
        "plain": train(rank, size, Everything, sum_by=None),
        "sequential": train(rank, size, Everything, sum_by="nearest_even sequential"),
    }


def alone():
    """The network of "everything" without torch.distributed: its gradients after one backward pass."""
    torch.manual_seed(1)
    model = Everything()
    with fpdet.arithmetic(EXACT):
        each = losses(model, *data(0, 1))
        (fpdet.ops.sum(each) / SAMPLES).backward()
    return {name: p.grad for name, p in model.named_parameters()}


def gradients_of_one(rank, size):
    """The same by a group of one worker."""
    torch.manual_seed(1)
    model = Everything()
    ddp = DistributedDataParallel(model)
    distributed.register(ddp, EXACT)
    with fpdet.arithmetic(EXACT):
        distributed.global_mean(losses(ddp, *data(0, 1))).backward()
    return {name: fpdet.digest(p.grad) for name, p in model.named_parameters()}, {
        name: fpdet.digest(grad) for name, grad in alone().items()
    }


def sum_of_ranks(rank, size, arithmetic):
    """(the hook's sum over ranks, the oracle's operands): a linear layer whose gradient is rank's own line."""
    torch.manual_seed(0)
    lines = torch.randn(size, 50) * torch.logspace(0, 6, size).unsqueeze(1)
    model = nn.Linear(50, 1, bias=False)
    ddp = DistributedDataParallel(model)
    state = distributed.register(ddp, arithmetic)
    ddp(lines[rank : rank + 1]).sum().backward()
    return model.weight.grad.tolist(), lines.tolist(), state.bytes_sent


# Gradients that cannot join exactly.


class Penalty(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Linear(4, 3)

    def forward(self, x):
        return self.w(x).sum(1) + (self.w.weight * self.w.weight).sum()


class Factors(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.randn(3, 2)), nn.Parameter(torch.randn(2, 4))

    def forward(self, x):
        return F.linear(x, self.a @ self.b).sum(1)


class Positions(nn.Module):
    def __init__(self):
        super().__init__()
        self.position = nn.Embedding(4, 1)

    def forward(self, x):
        return (x + self.position(torch.arange(4)).squeeze(1)).sum(1)


class Other(nn.Module):
    """A layer under another arithmetic."""

    def __init__(self, arithmetic):
        super().__init__()
        self.conv = fpdet.nn.Conv1d(1, 2, 2, arithmetic=arithmetic)

    def forward(self, x):
        return self.conv(x.unsqueeze(1)).sum((1, 2))


def refusals(rank, size):
    """name -> the error of a backward pass, or of registering."""
    made = {
        "penalty": Penalty(),
        "factors": Factors(),
        "positions": Positions(),
        "rounding": Other("upward exact"),
        "order": Other("nearest_even pairwise"),
        "float64": nn.Linear(4, 3).double(),
        "batch norm": nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)),
        "torch": nn.Linear(4, 3),
    }
    found = {}
    for name, model in made.items():
        ddp = DistributedDataParallel(model)
        try:
            distributed.register(ddp, EXACT)
            x = torch.ones(2, 4)
            if name == "torch":  # outside any context: torch's own gradient
                ddp(x).sum().backward()
            else:
                with fpdet.arithmetic(EXACT):
                    ddp(x).sum().backward()
            found[name] = None
        except (RuntimeError, NotImplementedError) as error:
            found[name] = f"{type(error).__name__}: {error}"
    return found


def lifetimes(rank, size):
    """Gradients of one model: registered twice; then without its wrapper."""
    model = nn.Linear(4, 3)
    found = []
    for _ in range(2):
        ddp = DistributedDataParallel(model)
        state = distributed.register(ddp, EXACT)
        model.zero_grad()
        with fpdet.arithmetic(EXACT):
            ddp(torch.ones(2, 4)).sum().backward()
        found.append(fpdet.digest([p.grad for p in model.parameters()]))
    state.close()
    model.zero_grad()
    model(torch.ones(2, 4)).sum().backward()  # torch's own
    found.append(fpdet.digest([p.grad for p in model.parameters()]))
    return found


def dies(rank, size, victim, step):
    """What the others see when `victim` dies in the middle of a step."""
    model = nn.Linear(4, 3)
    ddp = DistributedDataParallel(model)
    distributed.register(ddp, "nearest_even sequential")
    try:
        with distributed.naming_lost_workers(f"step {step}", seconds=3):
            for i in range(step + 1):
                loss = ddp(torch.ones(2, 4)).sum()
                if (rank, i) == (victim, step):
                    os._exit(1)
                loss.backward()
    except distributed.WorkerLostError as error:
        return str(error), error.ranks
    return None


def example(rank, size, *arguments):
    """The digest that fpdet.distributed.example ends with, in this group."""
    from fpdet.distributed.example import parser, train

    return train(parser().parse_args(arguments))
