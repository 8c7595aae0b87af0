"""Trains the net in one way."""

from contextlib import contextmanager, nullcontext

import torch
from torch.nn import functional

import fpdet
from fpdet.experiments import nets
from fpdet.experiments.store import number
from fpdet.experiments.training import augmented, batch_indices, step_arithmetic


def make(settings, shape):
    """The net of the settings, of torch's layers."""
    return nets.bare(settings.net, settings.width, *shape, settings.activation, settings.beta, settings.seed)


@contextmanager
def computing_with(threads, instruction_set=None):
    """So many threads and these kernels; put back afterwards."""
    before = torch.get_num_threads(), torch.ops.fpdet.instruction_set.default()
    torch.set_num_threads(threads)
    if instruction_set is not None:
        torch.ops.fpdet.set_instruction_set.default(instruction_set)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.ops.fpdet.set_instruction_set.default(before[1])


def run(settings, batches, given, on_step):
    """Train as `given` says: "arithmetic" (None: torch's own), "threads", "kernels", "way", "steps".

    Returns:
        (result, record): digests after every step, the last losses; the record is empty.
    """
    context = (
        nullcontext() if given["arithmetic"] is None else fpdet.arithmetic(given["arithmetic"], seed=settings.seed)
    )
    model = make(settings, batches.shape)
    optimizer = _optimizer(settings, model, given["arithmetic"])
    loss_of = _loss
    if given["way"].startswith("compile "):
        torch._dynamo.reset()
        loss_of = torch.compile(_loss, fullgraph=True, backend=given["way"].removeprefix("compile "))
    digests, losses = [], []
    steps = given["steps"]
    with computing_with(given["threads"], given["kernels"]):
        indices = batch_indices(settings.train_images, settings.batch, steps, settings.seed)
        for step, chosen in enumerate(indices, 1):
            images = batches.train_images[chosen]
            if settings.augment:
                images = augmented(images, settings.seed, step)
            optimizer.zero_grad()
            with context:
                loss = loss_of(model, images, batches.train_labels[chosen])
                if given["way"] != "backward after":
                    loss.backward()
            if given["way"] == "backward after":
                loss.backward()
            optimizer.step()
            digests.append(fpdet.digest(list(model.state_dict().values()))[:32])
            losses.append(number(loss.item()))
            on_step(step / steps)
        alone = _inference(model, batches, context) if given["arithmetic"] is not None else None
    return {"name": given["name"], "digests": digests, "losses": losses, "inference": alone}, {}


def _loss(model, images, labels):
    return functional.cross_entropy(model(images), labels)


def _optimizer(settings, model, arithmetic):
    options = {"lr": settings.lr, "momentum": settings.momentum, "weight_decay": settings.weight_decay}
    if arithmetic is None:
        return torch.optim.SGD(model.parameters(), **options)
    return fpdet.optim.SGD(model.parameters(), **options, arithmetic=step_arithmetic(arithmetic))


@torch.no_grad()
def _inference(model, batches, context):
    """Digests of the scores of some test images as one batch, and one by one."""
    model.eval()
    images = batches.test_images[:16]
    with context:
        together = model(images)
        alone = torch.cat([model(image.unsqueeze(0)) for image in images])
    model.train()
    return {"batch": fpdet.digest(together)[:32], "alone": fpdet.digest(alone)[:32]}
