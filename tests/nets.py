"""Small models of five families, as a user would write them: nothing of fpdet in them."""

import torch
from torch import nn
from torch.nn import functional as F


class ResidualBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += self.shortcut(x)
        return F.relu(y)


def resnet():
    blocks = [ResidualBlock(8, 8, 1), ResidualBlock(8, 16, 2)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5)]
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), *blocks, *head)


def vgg():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(32, 16),
        nn.SiLU(),
        nn.Linear(16, 5),
    )


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.GroupNorm(2, 6)
        self.inner = nn.Conv2d(6, 6, 3, padding=1)
        self.up = nn.ConvTranspose2d(6, 6, 2, stride=2)
        self.blend = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.out = nn.Conv2d(18, 5, 1)

    def forward(self, x):
        skip = F.gelu(self.norm(self.down(x)))
        low = torch.tanh(self.inner(F.max_pool2d(skip, 2)))
        return self.out(torch.cat([skip, self.up(low), self.blend(low)], 1)).mean((2, 3))


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(192, 16), nn.LayerNorm(16), nn.Tanh(), nn.Linear(16, 5))

    def forward(self, x):
        return self.layers(x) * 0.5 - 0.1


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 16)
        self.position = nn.Parameter(torch.zeros(6, 16))
        layer = nn.TransformerEncoderLayer(16, 2, 24, dropout=0.1, activation="gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(16, 5)

    def forward(self, tokens):
        mask = torch.ones(6, 6, dtype=torch.bool).triu(1)
        y = self.encoder(self.embedding(tokens) + self.position, mask=mask, is_causal=False)
        return self.head(y[:, -1] / y.shape[1])


FAMILIES = {"resnet": resnet, "vgg": vgg, "unet": UNet, "mlp": MLP, "transformer": Transformer}


def batch(name, seed=0, samples=6):
    """(inputs, classes), plain integers turned into numbers: no generator of torch's in it."""
    classes = torch.arange(samples) % 5
    if name == "transformer":
        return (torch.arange(samples * 6) * (7 + seed) % 11).reshape(samples, 6), classes
    return ((torch.arange(samples * 192) * (37 + seed) % 256).reshape(samples, 3, 8, 8) / 128 - 1), classes
