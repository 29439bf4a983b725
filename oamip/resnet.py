"""ResNet-20 for images of 32 × 32 (He, Zhang, Ren and Sun, arXiv 1512.03385, section 4.2), without learnt shortcuts."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

__all__ = ["ResNet20"]


class Block(nn.Module):
    """Two convolutions about a shortcut, which skips pixels and adds channels of zeros where a stage begins."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.stride, self.more = outer // inner, (outer - inner) // 2
        self.conv1 = nn.Conv2d(inner, outer, 3, self.stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outer)
        self.conv2 = nn.Conv2d(outer, outer, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outer)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inner, h, w) to (n, outer, h / stride, w / stride)."""
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        if self.more:
            x = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.more, self.more))
        return functional.relu(y + x)


class ResNet20(nn.Module):
    """Three stages of three blocks with 16, 32 and 64 channels; option A of the paper, 269,722 parameters.

    Paths are those of the weights that are commonly published for it: ``layer2.0.conv1`` and so on.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(Block(16, 16), Block(16, 16), Block(16, 16))
        self.layer2 = nn.Sequential(Block(16, 32), Block(32, 32), Block(32, 32))
        self.layer3 = nn.Sequential(Block(32, 64), Block(64, 64), Block(64, 64))
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, 32, 32) to ten scores."""
        y = self.layer3(self.layer2(self.layer1(functional.relu(self.bn1(self.conv1(x))))))
        scores: Tensor = self.linear(y.mean((2, 3)))
        return scores
