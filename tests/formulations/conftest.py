"""Small trained-looking networks for formulations."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from oamip.network import Groups, find_groups
from oamip.readers import read


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 3, 3, padding=1)
        self.body = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.head = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        x = torch.relu(self.norm(self.body(x)) + x)
        return self.head(x.mean((2, 3)))


def build(kind: str) -> tuple[nn.Module, tuple[int, ...]]:
    if kind == "mlp":
        return nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)), (4,)
    if kind == "norm_after_relu":
        return nn.Sequential(
            nn.Linear(4, 5), nn.ReLU(), nn.BatchNorm1d(5), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)
        ), (4,)
    if kind == "no_relu":
        return nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)), (4,)
    if kind == "max_pool":
        return (
            nn.Sequential(
                nn.Conv2d(1, 3, 3, padding=1),
                nn.BatchNorm2d(3),
                nn.ReLU(),
                nn.MaxPool2d(2),
                nn.Conv2d(3, 2, 2),
                nn.MaxPool2d(2, padding=1),
                nn.ReLU(),
                nn.Flatten(),
                nn.LazyLinear(3),
            ),
            (1, 6, 6),
        )
    return Residual(), (1, 4, 4)


KINDS = ("mlp", "norm_after_relu", "no_relu", "max_pool", "residual")


@pytest.fixture(params=KINDS)
def small(request: pytest.FixtureRequest) -> tuple[nn.Module, Groups, torch.Tensor]:
    """A module, its groups and six inputs."""
    return make(request.param)


def make(kind: str, seed: int = 0) -> tuple[nn.Module, Groups, torch.Tensor]:
    torch.manual_seed(seed)
    module, shape = build(kind)
    x = torch.rand(6, *shape)
    module(x)  # lazy layers and the statistics of batch normalisation
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.uniform_(part.bias, -0.5, 0.5)
    module.eval()
    return module, find_groups(read(module, x[:2])), x
