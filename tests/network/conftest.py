"""Random networks, built node by node: what no torch module is needed for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from oamip.network import (
    Affine,
    Channelwise,
    Convolution,
    Dense,
    Input,
    Layer,
    LinearMap,
    Max,
    Network,
    ReLU,
    Scale,
    Selection,
    TransposedConvolution,
    flatten,
    identity,
)

SIDE = 4


class Builder:
    """Adds random nodes to a network; values are images of one size, or vectors behind the flattening."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, self.net, self.count = rng, Network(), 0

    def _name(self) -> str:
        self.count += 1
        return f"n{self.count}"

    def affine(
        self, *edges: tuple[str, LinearMap], bias: Any = 0.0, kind: str | None = None, learnt: bool = True
    ) -> str:
        name, shape = self._name(), edges[0][1].out_shape
        layer = None if kind is None else Layer(f"layer.{name}", kind, bias=learnt)
        return self.net.add(Affine(name, shape, name, np.broadcast_to(bias, shape).copy(), layer), *edges)

    def relu(self, x: str) -> str:
        return self.net.add(ReLU(self._name(), self.net[x].shape, "relu"), (x, None))

    def _weights(self, *shape: int) -> np.ndarray:
        """Normal, and sometimes with rows of zeros, as pruning of single weights leaves them."""
        weight = self.rng.normal(size=shape)
        if self.rng.random() < 0.4:
            weight[self.rng.random(shape[0]) < 0.4] = 0.0
        return weight

    def _bias(self, channels: int, axes: int) -> np.ndarray:
        bias = self.rng.normal(size=channels) * self.rng.integers(2)
        return bias.reshape(-1, *(1,) * axes)

    def convolution(self, x: str, out: int, groups: int = 1, padding: int = 1, transposed: bool = False) -> str:
        channels, *side = self.net[x].shape
        kernel = 2 * padding + 1
        geometry = {"stride": (1, 1), "padding": ((padding, padding),) * 2, "dilation": (1, 1), "groups": groups}
        map_: LinearMap
        if transposed:
            weight = self.rng.normal(size=(channels, out // groups, kernel, kernel))
            map_ = TransposedConvolution(Convolution(weight, (out, *side), **geometry))
        else:
            map_ = Convolution(self._weights(out, channels // groups, kernel, kernel), (channels, *side), **geometry)
        bias = self._bias(out, 2)
        return self.affine((x, map_), bias=bias, kind="conv", learnt=bool(bias.any()))

    def step(self, values: list[str]) -> str:
        rng, x = self.rng, str(self.rng.choice(values[-4:]))
        shape = self.net[x].shape
        channels = shape[0]
        alike = [name for name in values if self.net[name].shape == shape]
        divisors = [n for n in range(1, channels + 1) if channels % n == 0]
        match str(rng.choice(["conv"] * 3 + ["relu"] * 4 + ["norm"] * 2 + list(self.RARE))):
            case "conv":
                return self.convolution(x, int(rng.integers(2, 5)), padding=int(rng.integers(2)))
            case "grouped":
                groups = int(rng.choice(divisors))
                return self.convolution(x, groups * int(rng.integers(1, 3)), groups)
            case "depthwise":
                return self.convolution(x, channels, channels)
            case "transposed":
                groups = int(rng.choice(divisors))
                return self.convolution(x, groups * int(rng.integers(1, 3)), groups, transposed=True)
            case "relu":
                return self.relu(x)
            case "norm":
                factor = rng.normal(size=(channels, 1, 1)) * (rng.random((channels, 1, 1)) < 0.9)
                return self.affine((x, Scale(factor, shape)), bias=self._bias(channels, 2), kind="norm")
            case "scale":
                return self.affine((x, Scale(rng.normal(size=shape), shape)), bias=rng.normal(size=shape))
            case "sum":
                other = str(rng.choice(alike))
                return self.affine((x, identity(shape)), (other, Scale(np.array(rng.normal()), shape)))
            case "cat":
                other = str(rng.choice(values))
                first, second = (np.arange(np.prod(self.net[n].shape)).reshape(self.net[n].shape) for n in (x, other))
                none = [np.full_like(part, -1) for part in (first, second)]
                before = (x, Selection(np.concatenate([first, none[1]]), shape))
                return self.affine(before, (other, Selection(np.concatenate([none[0], second]), self.net[other].shape)))
            case "pool":
                weights = sp.csr_array(sp.random_array((SIDE**2, SIDE**2), density=0.2, rng=rng))
                return self.affine((x, Channelwise(weights, shape, (SIDE, SIDE))))
            case "max":
                numbers = np.arange(np.prod(shape)).reshape(shape)
                index = np.stack([numbers, np.roll(numbers, 1, 1), np.where(numbers % 3, numbers, -1)], -1)
                keep = int(rng.integers(1, 4))
                return self.net.add(Max(self._name(), shape, "max", index.reshape(-1, 3)[:, :keep]), (x, None))
            case "moved":
                return self.affine((x, Selection(np.arange(np.prod(shape)).reshape(shape)[:, ::-1, :], shape)))
            case "shortcut":
                inner = np.arange(np.prod(shape)).reshape(shape)
                return self.affine((x, Selection(np.pad(inner, ((1, 1), (0, 0), (0, 0)), constant_values=-1), shape)))
            case "constant":
                return self.affine((x, Scale(np.zeros(()), shape)), bias=rng.normal(size=(channels, 1, 1)))
            case kind:
                raise AssertionError(kind)

    RARE = (
        *("grouped", "depthwise", "transposed", "scale", "sum", "cat", "pool", "max", "moved", "shortcut", "constant"),
    )

    def build(self, steps: int) -> Network:
        values = [self.net.add(Input("x", (2, SIDE, SIDE), "x"))]
        values.append(self.convolution("x", 4))
        for _ in range(steps):
            values.append(self.step(values))
        flat = self.affine((values[-1], flatten(self.net[values[-1]].shape)))
        size = self.net[flat].shape
        hidden = self.affine((flat, Dense(self._weights(5, *size), size)), bias=self.rng.normal(size=5), kind="linear")
        hidden = self.relu(hidden)
        head = Dense(self._weights(3, 5), (5,))
        self.net.outputs = (self.affine((hidden, head), bias=np.ones(3), kind="linear"),)
        return self.net


@pytest.fixture(scope="session")
def random_network() -> Callable[[int], Network]:
    """Seed → a network of up to 14 random nodes between a convolution and two linear layers."""

    def make(seed: int) -> Network:
        rng = np.random.default_rng(seed)
        return Builder(rng).build(int(rng.integers(1, 14)))

    return make


@pytest.fixture(scope="session")
def random_keep() -> Callable[..., np.ndarray]:
    """Groups and a generator → any units, but at least one of each group."""

    def draw(groups: Any, rng: np.random.Generator, share: float = 0.5) -> np.ndarray:
        keep = rng.random(groups.size) < share
        for group in groups.groups:
            keep[group.start + rng.integers(group.size)] = True
        return keep

    return draw
