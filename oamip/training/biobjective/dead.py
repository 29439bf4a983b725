"""Units that no longer matter: nothing comes in, or nothing goes out, and what follows from that.

    dead in    its incoming kernels are all zero and what it passes on is zero
    constant   its incoming kernels are all zero and what it passes on is not: the same number for every input
    dead out   every weight that reads it is zero

Such units can be removed (`oamip.pruning.remove`) and the network computes the same. A constant one goes once its value
has been added to the biases that follow, where dense layers with a bias are all that reads it; otherwise it stays. Each
unit that goes takes its weights along, so the search is repeated until nothing changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from oamip.decision import Decision
from oamip.errors import MismatchError
from oamip.learning import evaluating
from oamip.network import Affine, Dense, Groups, LinearMap, cost_of, find_groups
from oamip.network.labels import carries
from oamip.pruning.removal import TOLERANCE, duplicate, remove
from oamip.readers import read

__all__ = ["compact", "count_dead"]

Mask = NDArray[np.bool_]

_FOLDED = 1e-6
"""Relative difference that is allowed where a constant was folded: the new bias is rounded to its 32 bits."""


def compact(module: nn.Module, example_input: torch.Tensor, samples: torch.Tensor | None = None) -> nn.Module:
    """A physically smaller copy of a module without its dead units, proven to compute the same.

    Args:
        module: readable by `oamip.readers.read`; it is not changed.
        example_input: a batch (n, *shape).
        samples: real inputs on which equality is checked too.

    Returns:
        The copy; an equal one where no unit is dead. A layer whose units are all dead keeps one.

    Raises:
        UnsupportedOperator: the module cannot be read.
        MismatchError: the smaller module computes something else.
    """
    copied = duplicate(module)
    search = _Search.of(copied, example_input)
    keep = search.run()
    decision = Decision.of(search.groups, keep, note="dead units go")
    small = remove(copied, example_input, search.groups, decision, samples=samples)
    batches = [example_input] if samples is None else [example_input, samples]
    _prove_same(small, module, [*batches, _noise(example_input)], _FOLDED if search.folded else TOLERANCE)
    return small


def count_dead(module: nn.Module, example_input: torch.Tensor) -> tuple[int, int]:
    """(dead units, parameters that are left without them).

    Raises:
        UnsupportedOperator: the module cannot be read.
    """
    search = _Search.of(duplicate(module), example_input)
    keep = search.run()
    return int((~keep).sum()), cost_of(search.groups).count(keep)[0]


@dataclass(frozen=True)
class _Layer:
    """A layer with weights: |w| summed over the kernel, (rows, columns), and the units of its rows and columns."""

    size: NDArray[np.float64]
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]


@dataclass
class _Search:
    """The search, which may change the biases of ``module``.

    Args:
        module: the module of ``groups``.
        groups: its units.
        layers: all layers with weights that it understands.
        held: units that other weights make or read (grouped convolutions, weights of no layer); they stay.
        folded: whether a constant went into a bias.
    """

    module: nn.Module
    groups: Groups
    layers: Sequence[_Layer]
    held: Mask
    folded: bool = False

    @staticmethod
    def of(module: nn.Module, example_input: torch.Tensor) -> _Search:
        groups = find_groups(read(module, example_input))
        layers, held = [], np.zeros(groups.size + 2, dtype=np.bool_)
        for cost in cost_of(groups).layers:
            if not cost.weighted:
                continue
            size = _size(module.get_submodule(cost.path)) if cost.counted else np.empty(0)
            if size.shape == (len(cost.rows), len(cost.columns)):
                layers.append(_Layer(size, cost.rows, cost.columns))
            else:
                held[cost.rows] = held[cost.columns] = True
        return _Search(module, groups, layers, held[:-2])

    def run(self) -> Mask:
        """The units to keep, (units,)."""
        keep = np.ones(self.groups.size, dtype=np.bool_)
        while True:
            coming, going = self._weights(keep)
            before = keep.copy()
            for unit in np.flatnonzero(keep & ~self.held & ((coming == 0) | (going == 0))):
                group = next(group for group in self.groups.groups if unit < group.start + group.size)
                if keep[group.slice].sum() > 1 and (going[unit] == 0 or self._passes_nothing_on(int(unit), keep)):
                    keep[unit] = False
            if (keep == before).all():
                return keep

    def _weights(self, keep: Mask) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Per unit, Σ|w| of the weights that come from units that are left, and of those that such units read it by."""
        alive = np.append(keep, (True, True))  # the negative labels: entries of no unit stay
        coming, going = np.zeros((2, len(alive)))
        for layer in self.layers:
            np.add.at(coming, layer.rows, layer.size[:, alive[layer.columns]].sum(axis=1))
            np.add.at(going, layer.columns, layer.size[alive[layer.rows]].sum(axis=0))
        return coming[:-2], going[:-2]

    def _passes_nothing_on(self, unit: int, keep: Mask) -> bool:
        """Whether what a unit without input passes on is zero, or could be folded into the biases behind it (and was).

        Such a unit is the same for every input: it is carried by maps that read no other.
        """
        network, labels = self.groups.network, self.groups.labels
        zeros = {name: np.zeros((1, *network[name].shape)) for name in network.inputs}
        values = network.evaluate(zeros, self.groups.mask(keep))
        reading = [
            (node, source, map_)
            for node in network.nodes(Affine)
            for source, map_ in network.edges(node.name)
            if (labels[source] == unit).any() and not carries(map_)
        ]
        passed = [values[source].ravel()[labels[source] == unit] for _, source, _ in reading]
        if not any(value.any() for value in passed):
            return True
        if not all(_takes_a_constant(node, map_) for node, _, map_ in reading):
            return False
        for (node, source, _), value in zip(reading, passed, strict=True):
            assert node.layer is not None
            layer: Any = self.module.get_submodule(node.layer.path)
            with torch.no_grad():
                weight = layer.weight[:, np.flatnonzero(labels[source] == unit)].double().cpu()
                layer.bias.copy_((layer.bias.double().cpu() + weight @ torch.from_numpy(value)).to(layer.bias))
        self.folded = True
        like = next(self.module.parameters())
        example = [torch.zeros((1, *network[name].shape)).to(like) for name in network.inputs]
        self.groups = find_groups(read(self.module, tuple(example)))
        return True


def _size(layer: Any) -> NDArray[np.float64]:
    """Σ|w| over the kernel of each pair of channels, (output, input)."""
    weight = layer.weight.detach().double().abs().cpu()
    if isinstance(layer, nn.modules.conv._ConvTransposeNd):
        weight = weight.transpose(0, 1)
    size: NDArray[np.float64] = weight.flatten(2).sum(2).numpy() if weight.ndim > 2 else weight.numpy()
    return size


def _takes_a_constant(node: Affine, map_: LinearMap) -> bool:
    """Whether a constant input can go into the bias: a dense layer that sees each sample as one vector."""
    return isinstance(map_, Dense) and map_.positions == 1 and node.layer is not None and node.layer.bias


def _noise(example: torch.Tensor) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn((32, *example.shape[1:]), generator=generator, dtype=torch.float64)
    return noise * torch.logspace(-1, 1, 32, dtype=torch.float64).reshape(-1, *(1 for _ in example.shape[1:]))


def _prove_same(small: nn.Module, module: nn.Module, batches: Sequence[torch.Tensor], tolerance: float) -> None:
    one, other = (duplicate(part).to("cpu", torch.float64) for part in (small, module))
    with evaluating(one), evaluating(other):
        for batch in batches:
            x = batch.detach().to("cpu", torch.float64)
            given, wanted = one(x), other(x)
            difference = float((given - wanted).abs().max() / max(1.0, float(wanted.abs().max())))
            if not difference <= tolerance:
                raise MismatchError(
                    f"without its dead units the module differs by {difference:.3g} (relative), more than {tolerance:g}"
                )
