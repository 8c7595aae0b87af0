"""Trains the members of the experiment in lockstep with the baseline.

Members start from equal weights and see equal batches, drawn from a seed by a counter-based generator: step t of every
member sees what step t of the baseline saw (only the source ``seed`` draws other batches). A member is therefore a
deterministic function of the Config and can run alone: the baseline runs first and keeps its weights of every recorded
step; a later member is compared with them step by step while it trains, as if both ran side by side. Runs that are done
are kept one by one, so an interrupted experiment goes on with the first member that is missing.
"""

import hashlib
import math
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

import fpdet.optim
from fpdet.experiments import model as nets

DECAY = ((0.5, 0.25), (0.75, 0.0625))  # from this share of the steps on, this factor (powers of two)


@dataclass(frozen=True)
class Batches:
    """Normalised float32 tensors."""

    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor

    @property
    def shape(self):
        """(channels, height) of an image."""
        return self.train_images.shape[1], self.train_images.shape[2]


def prepare(train, test):
    """Tensors of two `data.Images`: minus the training mean, over the training deviation, per channel (in float64)."""
    mean = train.images.mean(axis=(0, 2, 3), dtype=np.float64)[:, None, None]
    deviation = np.maximum(train.images.std(axis=(0, 2, 3), dtype=np.float64), 1e-6)[:, None, None]

    def tensors(part):
        normal = ((part.images - mean) / deviation).astype(np.float32)
        return torch.from_numpy(normal), torch.from_numpy(part.labels)

    return Batches(*tensors(train), *tensors(test))


def schedule(config, step):
    """The learning rate of a step, a power of two times the Config's."""
    factor = 1.0
    for share, smaller in DECAY:
        if step >= share * config.steps:
            factor = smaller
    return config.learning_rate * factor


def batch_indices(config, data_seed):
    """Yields the indices of every step's batch: shuffled epochs, the incomplete last batch of an epoch left out."""
    per_epoch = config.train_images // config.batch
    for step in range(config.steps):
        epoch, position = divmod(step, per_epoch)
        if position == 0:
            generator = np.random.Generator(np.random.Philox(key=[data_seed, epoch]))
            order = torch.from_numpy(generator.permutation(config.train_images))
        yield order[position * config.batch : (position + 1) * config.batch]


@contextmanager
def deterministic(threads):
    """torch's deterministic mode with a fixed number of threads; the settings before come back afterwards."""
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.get_num_threads(),
    )
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.set_num_threads(before[2])


def relative_l1(a, b):
    """mean of 2|a-b| / (|a|+|b|), in float64; a pair of zeros counts as 0, a NaN in one place makes it NaN."""
    a, b = a.double(), b.double()
    size = a.abs() + b.abs()
    return torch.where(size == 0, 0.0, 2 * (a - b).abs() / size).mean().item()


def train(config, member, batches, baseline=None, on_step=None):
    """Train one member; compare it with the baseline's recorded weights.

    Args:
        baseline: the (weights, digests) of the baseline, or None if this is it.
        on_step: called with the number of steps done.

    Returns:
        (result, record): a JSON-ready dict, and a dict of tensors: final weights, predictions, and for the baseline the
        weights of every recorded step.
    """
    started = time.perf_counter()
    channels, size = batches.shape
    net = nets.build(config, channels, size, member.arithmetic, config.seed)
    optimizer = fpdet.optim.SGD(
        net.parameters(),
        lr=config.learning_rate,
        momentum=config.momentum,
        nesterov=config.nesterov and config.momentum > 0,
        weight_decay=config.weight_decay,
        arithmetic=member.step_arithmetic,
        rescale=member.rescale,
    )
    losses, steps, distances, digests, kept = [], [], [], [], []
    net.train()
    for step, indices in enumerate(batch_indices(config, member.data_seed)):
        optimizer.param_groups[0]["lr"] = schedule(config, step)
        optimizer.zero_grad()
        loss = functional.cross_entropy(net(batches.train_images[indices]), batches.train_labels[indices])
        loss.backward()
        optimizer.step()
        losses.append(_number(loss.item()))
        weights = nets.flat_weights(net)
        digests.append(_digest(weights))
        if step % config.record_every == 0 or step == config.steps - 1:
            if baseline is None:
                kept.append(weights)
            distances.append(0.0 if baseline is None else _number(relative_l1(weights, baseline[0][len(steps)])))
            steps.append(step + 1)
        if on_step:
            on_step(step + 1)
    predictions = predict(net, batches.test_images)
    correct = int((predictions == batches.test_labels).sum())
    result = {
        "name": member.name,
        "source": member.source,
        "arithmetic": member.arithmetic,
        "step_arithmetic": member.step_arithmetic,
        "rescale": member.rescale,
        "data_seed": member.data_seed,
        "test_correct": correct,
        "test_accuracy": 100.0 * correct / len(predictions),
        "finite": all(isinstance(loss, float) for loss in losses) and bool(torch.isfinite(weights).all()),
        "first_difference": _first_difference(digests, digests if baseline is None else baseline[1]),
        "steps": steps,
        "losses": losses,
        "relative_l1": distances,
        "digests": digests,
        "seconds": round(time.perf_counter() - started, 3),
    }
    record = {"weights": weights, "predictions": predictions}
    if baseline is None:
        record["recorded"] = torch.stack(kept)
    return result, record


@torch.no_grad()
def predict(net, images, at_once=256):
    """The predicted class of every image, in evaluation mode."""
    net.eval()
    return torch.cat([net(part).argmax(1) for part in images.split(at_once)])


def _digest(weights):
    """SHA-256 of the bits, every NaN as one pattern."""
    bits = torch.where(torch.isnan(weights), torch.full_like(weights, math.nan), weights)
    return hashlib.sha256(bits.numpy().tobytes()).hexdigest()[:32]


def _first_difference(digests, reference):
    """The first step (from 1) after which weights differ; None if they never do."""
    return next((step for step, (a, b) in enumerate(zip(digests, reference, strict=True), 1) if a != b), None)


def _number(value):
    """A finite float as it is; NaN and infinities as words, which JSON can hold."""
    return value if math.isfinite(value) else str(value)


def available_threads():
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
