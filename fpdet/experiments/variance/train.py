"""One training by the recipe of Table 1, scaled by the settings."""

import torch
from torch.nn import functional

import fpdet.optim
from fpdet.experiments import nets
from fpdet.experiments.store import number
from fpdet.experiments.training import augmented, batch_indices, flat_weights, weights_digest


def run(settings, batches, given, on_step):
    """Train the member that `given` describes: rescale, seed, arithmetic, step_arithmetic, master.

    Returns:
        (result, record): test accuracy per epoch and digests; probabilities of the test images after the last epoch.
    """
    model, context = nets.computed(
        settings.network,
        settings.net,
        settings.width,
        *batches.shape,
        settings.activation,
        settings.beta,
        given["seed"],
        given["arithmetic"],
    )
    weights = _Weights(model, given["master"])
    optimizer = fpdet.optim.SGD(
        weights.trained,
        lr=settings.lr,
        momentum=settings.momentum,
        nesterov=settings.nesterov and settings.momentum > 0,
        weight_decay=settings.weight_decay,
        arithmetic=given["step_arithmetic"],
        rescale=given["rescale"],
    )
    per_epoch = settings.train_images // settings.batch
    steps = per_epoch * settings.epochs
    accuracies, losses, digests = [], [], []
    for step, indices in enumerate(batch_indices(settings.train_images, settings.batch, steps, given["seed"])):
        epoch = step // per_epoch
        optimizer.param_groups[0]["lr"] = settings.lr * settings.decay ** sum(epoch >= at for at in settings.decay_at)
        model.train()
        images = batches.train_images[indices]
        if settings.augment:
            images = augmented(images, given["seed"], step)
        model.zero_grad()
        with context:
            loss = functional.cross_entropy(model(images), batches.train_labels[indices])
            loss.backward()
        weights.step(optimizer)
        losses.append(number(loss.item()))
        digests.append(weights_digest(flat_weights(model)))
        if (step + 1) % per_epoch == 0:
            probabilities = predict(model, context, batches.test_images)
            correct = (probabilities.argmax(1) == batches.test_labels).double().mean().item()
            accuracies.append(100 * correct)
        on_step((step + 1) / steps)
    result = {
        **given,
        "accuracies": accuracies,
        "losses": losses,
        "digests": digests,
        "finite": all(isinstance(loss, float) for loss in losses) and bool(torch.isfinite(flat_weights(model)).all()),
        "torch_ops": nets.torch_ops(model, settings.network),
    }
    return result, {"probabilities": probabilities, "labels": batches.test_labels}


class _Weights:
    """The tensors that the optimizer moves: the parameters, or float64 copies that the parameters are rounded from."""

    def __init__(self, model, master):
        self.parameters = list(model.parameters())
        self.master = master
        self.trained = [torch.nn.Parameter(p.detach().double()) for p in self.parameters] if master else self.parameters

    @torch.no_grad()
    def step(self, optimizer):
        if not self.master:
            optimizer.step()
            return
        for copy, parameter in zip(self.trained, self.parameters, strict=True):
            copy.grad = parameter.grad.double()
        optimizer.step()
        for copy, parameter in zip(self.trained, self.parameters, strict=True):
            parameter.copy_(fpdet.round(copy.detach(), "float32"))


@torch.no_grad()
def predict(model, context, images, at_once=256):
    """Class probabilities in evaluation mode, as float64; the softmax is torch's, of fpdet's scores."""
    model.eval()
    with context:
        scores = torch.cat([model(part) for part in images.split(at_once)])
    return functional.softmax(scores.double(), 1)
