"""A plain convolutional net without batch norm, for full-batch training: `depth` 3 x 3 convolutions, every one but the
last halving the image as long as it has more than four pixels a side, then a linear layer."""

from torch import nn


class PlainNet(nn.Module):
    """`depth` convolutions of `width` channels with biases."""

    def __init__(self, depth, width, channels_in, size, activation, classes=10):
        super().__init__()
        layers, channels = [], channels_in
        for _ in range(depth):
            stride = 2 if size > 4 else 1
            layers += [nn.Conv2d(channels, width, 3, stride=stride, padding=1), activation()]
            channels, size = width, (size - 1) // stride + 1
        self.features = nn.Sequential(*layers)
        self.fc = nn.Linear(channels * size * size, classes)

    def forward(self, x):
        return self.fc(self.features(x).flatten(1))
