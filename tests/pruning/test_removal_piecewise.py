"""Random networks of everything that is read: they agree with torch, their bounds hold, and what is cut is the mask."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from oamip.bounds import Box, interval
from oamip.decision import Decision
from oamip.network import Groups, find_groups
from oamip.pruning.refit import refit
from oamip.pruning.removal import remove
from oamip.readers import read

Step = Callable[[nn.Module, Tensor, Tensor], Tensor]


def _layer(make: Callable[[int], nn.Module]) -> Callable[[int, Any], tuple[nn.Module, Step]]:
    return lambda width, _: (make(width), lambda part, x, _: part(x))


def _function(step: Callable[[Tensor], Tensor]) -> Callable[[int, Any], tuple[nn.Module, Step]]:
    return lambda _width, _rng: (nn.Identity(), lambda _part, x, _: step(x))


def _pair(step: Callable[[Tensor, Tensor], Tensor]) -> Callable[[int, Any], tuple[nn.Module, Step]]:
    """Two convolutions of the same input, joined."""
    return lambda width, _: (
        nn.ModuleList([nn.Conv2d(width, 4, 1), nn.Conv2d(width, 4, 3, padding=1)]),
        lambda part, x, _: step(part[0](x), part[1](x)),
    )


STEPS: dict[str, Callable[[int, Any], tuple[nn.Module, Step]]] = {
    "conv": _layer(lambda n: nn.Conv2d(n, 5, 3, padding=1)),
    "conv reflected": _layer(lambda n: nn.Conv2d(n, 4, 3, padding=1, padding_mode="reflect")),
    "depthwise": _layer(lambda n: nn.Conv2d(n, n, 3, padding=1, groups=n)),
    "grouped": _layer(lambda n: nn.Conv2d(n, 2 * n, 1, groups=2 if n % 2 == 0 else n)),
    "transposed": _layer(lambda n: nn.ConvTranspose2d(n, 4, 3, 2, 1, output_padding=1)),
    "depthwise transposed": _layer(lambda n: nn.ConvTranspose2d(n, n, 2, groups=n)),
    "grouped transposed": _layer(lambda n: nn.ConvTranspose2d(n, 2 * n, 2, groups=n)),
    "norm": _layer(nn.BatchNorm2d),
    "relu": _layer(lambda _: nn.ReLU()),
    "leaky": _layer(lambda _: nn.LeakyReLU(0.2)),
    "prelu": _layer(lambda _: nn.PReLU()),
    "prelu of channels": _layer(nn.PReLU),
    "relu6": _layer(lambda _: nn.ReLU6(inplace=True)),
    "hardtanh": _layer(lambda _: nn.Hardtanh(-0.5, 0.7)),
    "hard sigmoid": _layer(lambda _: nn.Hardsigmoid()),
    "soft shrink": _layer(lambda _: nn.Softshrink(0.1)),
    "clamp above 0": _function(lambda x: x.clamp(min=0.3)),
    "clamp below": _function(lambda x: torch.clamp(x, max=-0.1)),
    "abs": _function(lambda x: abs(x)),
    "shift": _function(lambda x: x + 0.5),
    "maximum": _pair(torch.maximum),
    "minimum": _pair(torch.min),
    "sum": _pair(lambda a, b: a - b),
    "cat": _pair(lambda a, b: torch.cat([a, b], 1)),
    "stack": _pair(lambda a, b: torch.stack([a, b], 2).amax(2)),
    "positions": _function(lambda x: x[:, :, ::2, 1:]),
    "channels": _function(lambda x: x[:, ::2]),
    "chunk": _function(lambda x: torch.cat(x.chunk(2, dim=1)[::-1], 1)),
    "halves": _function(lambda x: x.split(3, dim=2)[0]),
    "flip": _function(lambda x: x.flip(3)),
    "frame": _function(lambda x: functional.pad(x, (1, 0, 0, 1))),
    "filled frame": _function(lambda x: functional.pad(x, (1, 0, 0, 1), value=0.4)),
    "reflected": _function(lambda x: functional.pad(x, (1, 1, 1, 1), mode="reflect")),
    "replicated": _layer(lambda _: nn.ReplicationPad2d(1)),
    "more channels": _function(lambda x: functional.pad(x, (0, 0, 1, 0, 1, 2))),
    "filled channels": _function(lambda x: functional.pad(x, (0, 1, 0, 0, 0, 1), value=-0.2)),
    "fewer channels": _function(lambda x: functional.pad(x, (0, 0, 0, 0, -1, 0))),
    "average": _layer(lambda _: nn.AvgPool2d(2, 1)),
    "largest": _layer(lambda _: nn.MaxPool2d(2, 1)),
    "upsample": _layer(lambda _: nn.Upsample(scale_factor=2)),
}


class Shortcut(nn.Module):
    """A residual block whose shortcut takes every second position and adds channels of zeros."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.main, self.norm = nn.Conv2d(width, width + 3, 3, 2, 1), nn.BatchNorm2d(width + 3)

    def forward(self, x: Tensor) -> Tensor:
        out = self.norm(self.main(x))
        out += functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 1))
        return functional.relu(out)


STEPS["shortcut"] = _layer(Shortcut)


class Chain(nn.Module):
    """A convolution and random steps, each with a ReLU or none behind it, then a linear layer."""

    def __init__(self, names: list[str], rng: np.random.Generator) -> None:
        super().__init__()
        self.parts, self.steps, self.names = nn.ModuleList([nn.Conv2d(1, 4, 3, padding=1)]), [], names
        x = self.parts[0](torch.zeros(2, 1, 6, 6))
        for name in names:
            part, step = STEPS[name](x.shape[1], rng)
            self.parts.append(part)
            self.steps.append(step)
            x = step(part.eval(), x, x)
        self.mix = nn.Conv2d(x.shape[1], 3, 1)
        self.head = nn.Linear(self.mix(x).flatten(1).shape[1], 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.parts[0](x)
        for step, part in zip(self.steps, self.parts[1:], strict=True):
            x = step(part, x, x)
        return self.head(torch.relu(self.mix(x)).flatten(1))


def _made(seed: int, names: list[str] | None = None) -> Chain:
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    if names is None:
        names = [str(name) for name in rng.choice(list(STEPS), size=rng.integers(2, 6))]
    module = Chain(names, rng)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.weight), nn.init.normal_(part.bias), nn.init.normal_(part.running_mean)
            nn.init.uniform_(part.running_var, 0.5, 2.0)
        elif isinstance(part, nn.PReLU):
            nn.init.uniform_(part.weight, -1.0, 2.0)
    return module.eval()


def _keep(groups: Groups, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.bool_]]:
    keep = rng.random(groups.size) < 0.5
    for group in groups.groups:
        keep[group.start + rng.integers(group.size)] = True
    return keep


def check(module: Chain, seed: int) -> Groups:
    """Everything that must hold for a network with any operators."""
    rng = np.random.default_rng(seed)
    x = torch.randn(4, 1, 6, 6, dtype=torch.float64)
    network = read(module, x[:2])
    for scale in (0.1, 1.0, 30.0):
        with torch.no_grad():
            expected = module.double()(scale * x).numpy()
        np.testing.assert_allclose(network(scale * x.numpy()), expected, rtol=0, atol=1e-9 * np.abs(expected).max())
    module.float()

    groups = find_groups(network)
    keep = _keep(groups, rng)
    box = Box(np.full((1, 1, 6, 6), -0.5), np.full((1, 1, 6, 6), 0.8))
    inside = rng.uniform(-0.5, 0.8, size=(20, 1, 6, 6))
    everywhere = groups.mask(keep)
    sites = {name: everywhere[name] for name in groups.sites if name in everywhere}
    intact, gated = network.evaluate(inside), network.evaluate(inside, sites)
    for bounds, values in ((interval(network, box), intact), (interval(network, box, groups), gated)):
        for name, value in values.items():
            low, high = bounds[name]
            assert ((low <= value) & (value <= high)).all(), name
    np.testing.assert_array_equal(gated[network.output.name], network(inside, everywhere))

    if not keep.all():
        small = remove(module, x[:2].float(), groups, Decision.of(groups, keep), samples=x)
        assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in module.parameters())
    return groups


@pytest.mark.parametrize("name", STEPS)
def test_one_operator_between_convolutions(name: str) -> None:
    for seed, names in enumerate(([name], [name, "conv"], ["norm", name, "relu"])):
        check(_made(seed, names), seed)


def test_random_chains_of_operators() -> None:
    found = [check(_made(seed), seed).size for seed in range(60)]
    assert np.mean(np.array(found) > 3) > 0.8  # beside the three units of the last convolution there are others


def test_a_refit_passes_by_what_it_cannot_move() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.ConvTranspose2d(6, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1))
    x = torch.randn(20, 1, 6, 6)
    groups = find_groups(read(module, x[:2]))
    decision = Decision({"0": np.arange(6) < 4, "2": np.arange(4) < 3})
    small = remove(module, x[:2], groups, decision)
    before = copy.deepcopy(small.state_dict())
    refit(small, module, x, groups, decision)
    changed = [name for name, value in small.state_dict().items() if not torch.equal(value, before[name])]
    assert changed == ["4.weight", "4.bias"]
