"""What the experiments that train a net share: batches drawn from a seed, distances between weights, digests."""

import hashlib
import math
from dataclasses import dataclass

import numpy as np
import torch

from fpdet._arithmetic import Arithmetic
from fpdet.experiments import data


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


def load(settings, root):
    """The `Batches` of settings that have data, train_images, test_images, seed."""
    train, test = data.load(settings.data, root)
    return prepare(*data.split(settings.data, train, test, settings.train_images, settings.test_images, settings.seed))


def batch_indices(images, batch, steps, data_seed):
    """Yields the indices of every step's batch: shuffled epochs, the incomplete last batch of an epoch left out."""
    per_epoch = images // batch
    for step in range(steps):
        epoch, position = divmod(step, per_epoch)
        if position == 0:
            generator = np.random.Generator(np.random.Philox(key=[data_seed, epoch]))
            order = torch.from_numpy(generator.permutation(images))
        yield order[position * batch : (position + 1) * batch]


def augmented(images, data_seed, step, pad=4):
    """Random crops of the padded images, half of them mirrored, drawn from (data_seed, step)."""
    generator = np.random.Generator(np.random.Philox(key=[data_seed, (0xA06 << 40) + step]))
    count, _, height, width = images.shape
    shifts = generator.integers(0, 2 * pad + 1, (count, 2))
    mirrored = generator.integers(0, 2, count)
    padded = torch.nn.functional.pad(images, (pad,) * 4)
    crops = [padded[i, :, y : y + height, x : x + width] for i, (y, x) in enumerate(shifts.tolist())]
    return torch.stack([crop.flip(2) if flip else crop for crop, flip in zip(crops, mirrored.tolist(), strict=True)])


def step_arithmetic(text):
    """The Arithmetic of an update beside convolutions under `text`: its rounding; an update sums nothing."""
    chosen = Arithmetic.parse(text)
    if chosen.rounding != "stochastic":
        return Arithmetic(chosen.rounding)
    return Arithmetic("stochastic", seed=chosen.seed, bits=chosen.bits, variant=chosen.variant)


def relative_l1(a, b):
    """mean of 2|a-b| / (|a|+|b|), in float64; a pair of zeros counts as 0, a NaN in one place makes it NaN."""
    a, b = a.double(), b.double()
    size = a.abs() + b.abs()
    return torch.where(size == 0, 0.0, 2 * (a - b).abs() / size).mean().item()


@torch.no_grad()
def predict(net, images, at_once=256):
    """The predicted class of every image, in evaluation mode."""
    net.eval()
    return torch.cat([net(part).argmax(1) for part in images.split(at_once)])


def flat_weights(model):
    """Every parameter in one float32 vector (a copy)."""
    return torch.cat([parameter.detach().reshape(-1) for parameter in model.parameters()])


def weights_digest(weights):
    """SHA-256 of the bits, every NaN as one pattern."""
    bits = torch.where(torch.isnan(weights), torch.full_like(weights, math.nan), weights)
    return hashlib.sha256(bits.numpy().tobytes()).hexdigest()[:32]


def first_difference(digests, reference):
    """The first step (from 1) after which weights differ; None if they never do."""
    return next((step for step, (a, b) in enumerate(zip(digests, reference, strict=True), 1) if a != b), None)
