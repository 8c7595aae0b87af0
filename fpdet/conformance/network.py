"""Cases of a whole network: weights drawn on the device, two steps of training, every layer fpdet's."""

import torch

import fpdet
from fpdet.conformance.inputs import values

NAME, SHAPE = "network", "tiny"
_CLASSES = 5


def operands(case):
    """A batch of images, on the CPU."""
    return [values((6, 3, 12, 12), case.number, case.kind, case.dtype)]


def _model(device):
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
        model = _model(images.device)
        optimizer = optimizers[case.number % 2](model.parameters(), lr=0.01, weight_decay=1e-2, arithmetic=text)
        for _ in range(2):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
    return [tensor.detach() for tensor in model.state_dict().values()]
