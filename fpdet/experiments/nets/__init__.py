"""The nets of the experiments: built of torch's modules, their weights drawn from a seed, then converted to fpdet.

`computed` is a net and the context it is trained in: whose arithmetic is fpdet's, its convolutions or the whole of it.
`build` swaps the convolutions; the rest stays torch's, and `torch_ops` names it. `bare` swaps nothing.
"""

import re
from contextlib import nullcontext
from functools import partial

import numpy as np
import torch
from torch import nn

import fpdet
from fpdet.experiments.config import ConfigError, one_of
from fpdet.experiments.nets.plain import PlainNet
from fpdet.experiments.nets.resnet import ResNet
from fpdet.experiments.nets.vgg import VGG16

ACTIVATIONS = ("relu", "swish", "tanh")
COMPUTED = ("convolutions", "whole")


class Swish(nn.Module):
    """x sigmoid(beta x)."""

    def __init__(self, beta):
        super().__init__()
        self.beta = beta

    def forward(self, x):
        return x * torch.sigmoid(self.beta * x)

    def extra_repr(self):
        return f"beta={self.beta}"


def check(net, activation):
    """Raise ConfigError unless `net` is "resnetD" with D = 6n + 2, "vgg16" or "plainD", and the activation is known."""
    one_of("activation", activation, ACTIVATIONS)
    match = re.fullmatch(r"(resnet|plain)(\d+)|vgg16", net)
    if match and (match[1] is None or (match[1] == "plain" and int(match[2]) > 0)):
        return
    if match and match[1] == "resnet" and int(match[2]) >= 8 and (int(match[2]) - 2) % 6 == 0:
        return
    raise ConfigError(f"net: expected resnetD with D = 6n + 2 (resnet20, resnet56), vgg16 or plainD, got {net!r}")


def computed(network, net, width, channels_in, size, activation, beta, seed, arithmetic):
    """(net, context): "convolutions" are fpdet's by conversion, the "whole" network by the context it runs in."""
    given = (net, width, channels_in, size, activation, beta, seed)
    if network == "convolutions":
        return build(*given, arithmetic), nullcontext()
    return bare(*given), fpdet.arithmetic(arithmetic, seed=seed)


def build(net, width, channels_in, size, activation, beta, seed, arithmetic):
    """The net with weights that depend on `seed` alone, its convolutions under `arithmetic`.

    Convolutions are drawn from N(0, 2 / (kernel area * channels out)), linear layers as torch draws them by default;
    torch's generator is neither read nor moved.
    """
    model = bare(net, width, channels_in, size, activation, beta, seed)
    return fpdet.convert(model, arithmetic, only=("Conv2d",))


def bare(net, width, channels_in, size, activation, beta, seed):
    """The same net, every layer torch's."""
    make = {"relu": nn.ReLU, "tanh": nn.Tanh, "swish": partial(Swish, beta)}[activation]
    with torch.random.fork_rng(devices=[]):  # constructors draw weights that are drawn again below
        if net.startswith("resnet"):
            model = ResNet((int(net[6:]) - 2) // 6, width, channels_in, make)
        elif net.startswith("plain"):
            model = PlainNet(int(net[5:]), width, channels_in, size, make)
        else:
            model = VGG16(width, channels_in, size, make)
    _initialise(model, seed)
    return model


@torch.no_grad()
def _initialise(model, seed):
    for number, (name, parameter) in enumerate(model.named_parameters()):
        generator = np.random.Generator(np.random.Philox(key=[seed, (0x1417 << 32) + number]))
        shape = tuple(parameter.shape)
        if parameter.dim() == 4:
            deviation = (2.0 / (shape[0] * shape[2] * shape[3])) ** 0.5
            values = deviation * generator.standard_normal(shape)
        elif name.startswith("fc."):
            bound = model.fc.in_features**-0.5
            values = generator.uniform(-bound, bound, shape)
        elif parameter.dim() == 1 and name.endswith("bias"):
            values = np.zeros(shape)
        else:
            continue  # weights of batch norm are ones
        parameter.copy_(torch.from_numpy(values))


def whose(torch_ops):
    """A sentence of the names that `torch_ops` gives."""
    if not torch_ops:
        return "Every op of the network, its loss and its gradients is fpdet's."
    return f"Not fpdet's, but torch's bits, in deterministic mode: {', '.join(torch_ops)}."


def torch_ops(model, network="convolutions"):
    """Names of the ops of a training step whose bits are torch's."""
    if network == "whole":
        return []
    kinds = {type(module) for module in model.modules()}
    names = {
        nn.BatchNorm2d: "batch norm",
        nn.ReLU: "ReLU",
        nn.Tanh: "tanh",
        Swish: "x sigmoid(beta x)",
        nn.Linear: "linear and its gradients",
        nn.AdaptiveAvgPool2d: "average pooling",
        nn.MaxPool2d: "max pooling",
        ResNet: "addition of the shortcuts",
    }
    return [name for kind, name in names.items() if kind in kinds] + ["the loss", "additions of gradients"]


def multiply_adds(model, channels_in, size):
    """Multiply-adds of the convolutions and linear layers for one image, forward."""
    counts = []

    def count(module, inputs, output):
        taps = module.weight[0].numel()
        counts.append(taps * output[0].numel())

    hooks = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    was_training = model.training
    with torch.no_grad():
        model.eval()(torch.zeros(1, channels_in, size, size))
    model.train(was_training)
    for hook in hooks:
        hook.remove()
    return sum(counts)
