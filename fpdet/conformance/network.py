"""Cases of a whole network: two steps of training, every layer fpdet's.

tiny      layers of many kinds, weights and dropout drawn on the device
resnet20  the CIFAR net (He et al., 2016), as the experiment `network` trains it
"""

import torch

import fpdet
from fpdet.conformance.inputs import values
from fpdet.experiments import nets

NAME = "network"
SHAPES = {"tiny": (6, 3, 12, 12), "resnet20": (4, 3, 32, 32)}
_CLASSES = 5


def operands(case):
    """A batch of images, on the CPU."""
    return [values(SHAPES[case.shape], case.number, case.kind, case.dtype)]


def _model(shape, device):
    if shape == "resnet20":
        return nets.bare("resnet20", 16, 3, 32, "relu", 1.0, 0).to(device)
    nn = torch.nn
    with torch.device(device):
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 12, 3, stride=2, padding=1),
            nn.GELU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.25),
            nn.Linear(48, _CLASSES),
        )


def compute(case, tensors, counter):
    """Parameters and buffers after two steps; `counter` is added to the seed."""
    (images,) = tensors
    labels = torch.arange(len(images), device=images.device) % _CLASSES
    text = " ".join(word for word in (case.rounding, "sequential auto fused", case.options) if word)
    optimizers = (fpdet.optim.SGD, fpdet.optim.AdamW)
    with fpdet.arithmetic(case.arithmetic, seed=8 * case.number + counter):
        model = _model(case.shape, images.device)
        optimizer = optimizers[case.number % 2](model.parameters(), lr=0.01, weight_decay=1e-2, arithmetic=text)
        for _ in range(2):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
    return [tensor.detach() for tensor in model.state_dict().values()]
