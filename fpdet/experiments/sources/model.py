"""The small conv net of the experiment, and what of a training step is not fpdet's arithmetic."""

import torch
from torch import nn

import fpdet.nn

# Ops of a training step whose arithmetic is torch's (deterministic mode, a fixed number of threads).
TORCH_OPS = (
    "batch norm (forward, backward, running statistics)",
    "ReLU",
    "average pooling",
    "linear (the classifier) and its gradients",
    "cross-entropy",
)


def build(config, channels_in, size, arithmetic, seed):
    """Conv-BN-ReLU blocks, pooled after the first and the last, then a linear classifier of ten classes.

    Images larger than 16 pixels are halved by the first convolution's stride. The weights depend on `seed` alone;
    torch's global generator is left as it was.
    """
    with torch.random.fork_rng(devices=[]):  # constructors draw weights that are drawn again below
        layers, channels = [], channels_in
        for index, width in enumerate(config.channels):
            stride = 2 if index == 0 and size > 16 else 1
            layers += [
                fpdet.nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False, arithmetic=arithmetic),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
            size = (size - 1) // stride + 1
            channels = width
            if index in (0, len(config.channels) - 1) and size > 1:
                layers.append(nn.AvgPool2d(2))
                size //= 2
        model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * size * size, 10))
    _initialise(model, seed)
    return model


def _initialise(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 4:
                fan_out = parameter.shape[0] * parameter.shape[2] * parameter.shape[3]
                parameter.normal_(0.0, (2.0 / fan_out) ** 0.5, generator=generator)
            elif parameter.dim() == 2:
                bound = parameter.shape[1] ** -0.5
                parameter.uniform_(-bound, bound, generator=generator)
        model[-1].bias.zero_()


def multiply_adds(config, channels_in, size):
    """Multiply-adds of the convolutions: (of one image forward, of one image in a training step)."""
    forward = step = 0
    channels = channels_in
    for index, width in enumerate(config.channels):
        stride = 2 if index == 0 and size > 16 else 1
        size = (size - 1) // stride + 1
        count = width * size * size * channels * 9
        forward += count
        step += count * (2 if index == 0 else 3)  # the first layer needs no gradient of its input
        channels = width
        if index in (0, len(config.channels) - 1) and size > 1:
            size //= 2
    return forward, step
