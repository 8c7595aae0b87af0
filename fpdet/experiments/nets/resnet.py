"""ResNet for small images (He et al., 2016, section 4.2): 3 x 3 stem, three stages of n basic blocks, depth 6n + 2."""

from torch import nn


class Block(nn.Module):
    """Two 3 x 3 convolutions with batch norm; a 1 x 1 convolution with batch norm where the shape changes."""

    def __init__(self, channels_in, channels, stride, activation):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.activation1, self.activation2 = activation(), activation()
        self.shortcut = nn.Identity()
        if stride != 1 or channels_in != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride=stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x):
        y = self.bn2(self.conv2(self.activation1(self.bn1(self.conv1(x)))))
        return self.activation2(y + self.shortcut(x))


class ResNet(nn.Module):
    """Depth 6 `blocks` + 2; stages of `width`, 2 `width`, 4 `width` channels."""

    def __init__(self, blocks, width, channels_in, activation, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.activation = activation()
        channels = width
        for stage in range(3):
            layers = []
            for block in range(blocks):
                stride = 2 if stage and block == 0 else 1
                layers.append(Block(channels, width << stage, stride, activation))
                channels = width << stage
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        x = self.activation(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(self.pool(x).flatten(1))
