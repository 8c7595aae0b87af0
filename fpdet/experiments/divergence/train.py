"""Trains one member and compares it with the baseline of its learning rate, layer by layer."""

import numpy as np
import torch
from torch.nn import functional

import fpdet.optim
from fpdet.experiments import nets
from fpdet.experiments.store import number
from fpdet.experiments.training import (
    augmented,
    batch_indices,
    flat_weights,
    relative_l1,
    step_arithmetic,
    weights_digest,
)


def make(settings, shape):
    """(net, context) of the settings."""
    return nets.computed(
        settings.network,
        settings.net,
        settings.width,
        *shape,
        settings.activation,
        settings.beta,
        settings.seed,
        settings.arithmetic,
    )


@torch.no_grad()
def move_one_ulp(model, seed):
    """Every weight to one of its two neighbours, drawn from the seed."""
    for index, parameter in enumerate(model.parameters()):
        generator = np.random.Generator(np.random.Philox(key=[seed, (0x01F << 32) + index]))
        up = torch.from_numpy(generator.integers(0, 2, tuple(parameter.shape)).astype(bool))
        far = torch.tensor(float("inf"))
        parameter.copy_(torch.where(up, torch.nextafter(parameter, far), torch.nextafter(parameter, -far)))


def run(settings, batches, lr, rescale, ulp, reference, on_step):
    """Train; `reference` is the tensor of the baseline's snapshots, None for the baseline.

    Returns:
        (result, record).
    """
    model, context = make(settings, batches.shape)
    if ulp:
        move_one_ulp(model, settings.seed)
    optimizer = fpdet.optim.SGD(
        model.parameters(),
        lr=lr,
        weight_decay=settings.weight_decay,
        arithmetic=step_arithmetic(settings.arithmetic),
        rescale=rescale,
    )
    names = [name for name, _ in model.named_parameters()]
    sizes = [parameter.numel() for parameter in model.parameters()]
    steps, stride = settings.steps(lr), settings.stride(lr)
    losses, kept, layers, digests = [], [], [], []
    model.train()
    for step, indices in enumerate(batch_indices(settings.train_images, settings.batch, steps, settings.seed)):
        images = batches.train_images[indices]
        if settings.augment:
            images = augmented(images, settings.seed, step)
        optimizer.zero_grad()
        with context:
            loss = functional.cross_entropy(model(images), batches.train_labels[indices])
            loss.backward()
        optimizer.step()
        losses.append(number(loss.item()))
        if (step + 1) % stride == 0:
            weights = flat_weights(model)
            digests.append(weights_digest(weights))
            if reference is None:
                kept.append(weights)
            other = weights if reference is None else reference[len(digests) - 1]
            pairs = zip(weights.split(sizes), other.split(sizes), strict=True)
            layers.append([number(relative_l1(weights, other)), *(number(relative_l1(a, b)) for a, b in pairs)])
        on_step((step + 1) / steps)
    result = {
        "lr": lr,
        "rescale": rescale,
        "ulp": ulp,
        "stride": stride,
        "losses": losses,
        "layers": ["all", *names],
        "relative_l1": layers,
        "digests": digests,
        "torch_ops": nets.torch_ops(model, settings.network),
    }
    return result, ({"snapshots": torch.stack(kept)} if reference is None else {})
