"""VGG16 (Simonyan & Zisserman, 2015, column D) with batch norm and one linear layer, for small images."""

from torch import nn

COLUMN_D = (1, 1, "pool", 2, 2, "pool", 4, 4, 4, "pool", 8, 8, 8, "pool", 8, 8, 8, "pool")  # times the width, 64


class VGG16(nn.Module):
    """Thirteen 3 x 3 convolutions; `width` channels in the first two. Pooling stops at one pixel."""

    def __init__(self, width, channels_in, size, activation, classes=10):
        super().__init__()
        layers, channels = [], channels_in
        for entry in COLUMN_D:
            if entry == "pool":
                if size > 1:
                    layers.append(nn.MaxPool2d(2))
                    size //= 2
                continue
            layers += [
                nn.Conv2d(channels, entry * width, 3, padding=1, bias=False),
                nn.BatchNorm2d(entry * width),
                activation(),
            ]
            channels = entry * width
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        return self.fc(self.pool(self.features(x)).flatten(1))
