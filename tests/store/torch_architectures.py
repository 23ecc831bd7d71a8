"""AlexNet, VGG, SqueezeNet 1.1 and GoogLeNet as PyTorch modules whose state dicts have torchvision's names.

Written down from torchvision's layout and from nothing of the package: what is the same in both is held
against the other. `width` narrows the matrices of a classifier, which would be hundreds of megabytes.
"""

import torch
from torch import nn


def convolve(inputs, outputs, size=3, **options):
    return nn.Conv2d(inputs, outputs, size, **options)


class AlexNet(nn.Module):
    def __init__(self, width=4096, classes=1000):
        super().__init__()
        self.features = nn.Sequential(
            convolve(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            convolve(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            convolve(192, 384, padding=1), nn.ReLU(),
            convolve(384, 256, padding=1), nn.ReLU(),
            convolve(256, 256, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Linear(256 * 6 * 6, width), nn.ReLU(),
            nn.Dropout(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, classes),
        )  # fmt: skip

    def forward(self, x):
        return self.classifier(torch.flatten(self.features(x), 1))


VGG = {11: (1, 1, 2, 2, 2), 16: (2, 2, 3, 3, 3)}  # convolutions of each block


class VGGNet(nn.Module):
    def __init__(self, depth, batch_norm=False, width=4096, classes=1000):
        super().__init__()
        modules, inputs = [], 3
        for outputs, count in zip((64, 128, 256, 512, 512), VGG[depth], strict=True):
            for _ in range(count):
                normal = [nn.BatchNorm2d(outputs)] if batch_norm else []
                modules += [convolve(inputs, outputs, padding=1), *normal, nn.ReLU()]
                inputs = outputs
            modules.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*modules)
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, width), nn.ReLU(), nn.Dropout(),
            nn.Linear(width, width), nn.ReLU(), nn.Dropout(), nn.Linear(width, classes),
        )  # fmt: skip

    def forward(self, x):
        return self.classifier(torch.flatten(self.features(x), 1))


class Fire(nn.Module):
    def __init__(self, inputs, squeezed, expanded):
        super().__init__()
        self.squeeze = convolve(inputs, squeezed, 1)
        self.expand1x1 = convolve(squeezed, expanded, 1)
        self.expand3x3 = convolve(squeezed, expanded, 3, padding=1)

    def forward(self, x):
        x = self.squeeze(x).relu()
        return torch.cat([self.expand1x1(x).relu(), self.expand3x3(x).relu()], 1)


class SqueezeNet(nn.Module):
    def __init__(self):
        super().__init__()

        def pool():
            return nn.MaxPool2d(3, 2, ceil_mode=True)

        self.features = nn.Sequential(
            convolve(3, 64, stride=2), nn.ReLU(), pool(),
            Fire(64, 16, 64), Fire(128, 16, 64), pool(),
            Fire(128, 32, 128), Fire(256, 32, 128), pool(),
            Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Dropout(), convolve(512, 1000, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
        )

    def forward(self, x):
        return torch.flatten(self.classifier(self.features(x)), 1)


class Normalised(nn.Module):
    """torchvision's BasicConv2d."""

    def __init__(self, inputs, outputs, size=1, **options):
        super().__init__()
        self.conv = convolve(inputs, outputs, size, bias=False, **options)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x):
        return self.bn(self.conv(x)).relu()


class Inception(nn.Module):
    def __init__(self, inputs, ones, reduce3, threes, reduce5, fives, projected):
        super().__init__()
        self.branch1 = Normalised(inputs, ones)
        self.branch2 = nn.Sequential(Normalised(inputs, reduce3), Normalised(reduce3, threes, 3, padding=1))
        # 3x3 where the paper has 5x5, as in torchvision
        self.branch3 = nn.Sequential(Normalised(inputs, reduce5), Normalised(reduce5, fives, 3, padding=1))
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(3, 1, padding=1, ceil_mode=True), Normalised(inputs, projected)
        )

    def forward(self, x):
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class GoogLeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = Normalised(3, 64, 7, stride=2, padding=3)
        self.maxpool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2 = Normalised(64, 64)
        self.conv3 = Normalised(64, 192, 3, padding=1)
        self.maxpool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.inception3a = Inception(192, 64, 96, 128, 16, 32, 32)
        self.inception3b = Inception(256, 128, 128, 192, 32, 96, 64)
        self.maxpool3 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.inception4a = Inception(480, 192, 96, 208, 16, 48, 64)
        self.inception4b = Inception(512, 160, 112, 224, 24, 64, 64)
        self.inception4c = Inception(512, 128, 128, 256, 24, 64, 64)
        self.inception4d = Inception(512, 112, 144, 288, 32, 64, 64)
        self.inception4e = Inception(528, 256, 160, 320, 32, 128, 128)
        self.maxpool4 = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.inception5a = Inception(832, 256, 160, 320, 32, 128, 128)
        self.inception5b = Inception(832, 384, 192, 384, 48, 128, 128)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(1024, 1000)

    @property
    def features(self):
        """All that stands before the average: a view of the same modules, in no state dict."""
        kept = [module for name, module in self.named_children() if name not in ("avgpool", "dropout", "fc")]
        return nn.Sequential(*kept)

    def forward(self, x):
        return self.fc(self.dropout(torch.flatten(self.avgpool(self.features(x)), 1)))


def enliven(module, seed=0):
    """Draw every parameter and statistic so that values neither grow nor fade from layer to layer."""
    generator = torch.Generator().manual_seed(seed)

    def normal(tensor, deviation, mean=0.0):
        tensor.data.normal_(mean, deviation, generator=generator)

    for part in module.modules():
        if isinstance(part, (nn.Conv2d, nn.Linear)):
            normal(part.weight, (2 / part.weight[0].numel()) ** 0.5)
            if part.bias is not None:
                normal(part.bias, 0.5)
        elif isinstance(part, nn.BatchNorm2d):
            part.weight.data.uniform_(0.5, 1.5, generator=generator)
            normal(part.bias, 0.3)
            normal(part.running_mean, 0.3)
            part.running_var.data.uniform_(0.5, 2, generator=generator)
    return module.eval()
