"""ResNet-20 for CIFAR-10 (He et al., 2016) with option-A shortcuts, and the trained weights of a file."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional


class ShortcutBlock(nn.Module):
    """Two convolutions; where the stage changes the shortcut takes every second pixel and adds channels of zeros."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.stride = outer // inner
        self.conv1, self.bn1 = nn.Conv2d(inner, outer, 3, self.stride, 1, bias=False), nn.BatchNorm2d(outer)
        self.conv2, self.bn2 = nn.Conv2d(outer, outer, 3, 1, 1, bias=False), nn.BatchNorm2d(outer)
        self.more = (outer - inner) // 2

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        out = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        if self.more:
            x = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.more, self.more), "constant", 0)
        return functional.relu(out + x)


class ResNet20(nn.Module):
    """Three stages of three blocks, option A."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(ShortcutBlock(16, 16), ShortcutBlock(16, 16), ShortcutBlock(16, 16))
        self.layer2 = nn.Sequential(ShortcutBlock(16, 32), ShortcutBlock(32, 32), ShortcutBlock(32, 32))
        self.layer3 = nn.Sequential(ShortcutBlock(32, 64), ShortcutBlock(64, 64), ShortcutBlock(64, 64))
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        x = self.layer3(self.layer2(self.layer1(functional.relu(self.bn1(self.conv1(x))))))
        return self.linear(functional.avg_pool2d(x, x.size(3)).flatten(1))


def resnet20(path: Path) -> nn.Module:
    """The network with the weights in ``resnet20_cifar10.th``, in evaluation mode."""
    module = ResNet20().eval()
    stored = torch.load(path, weights_only=True, map_location="cpu")
    module.load_state_dict({name.removeprefix("module."): value for name, value in stored["state_dict"].items()})
    return module
