"""Parameters and multiply-adds of the network that is left when some units are removed.

A layer with weights counts (surviving rows) × (surviving columns) × kernel area, so both are products over the units of
neighbouring groups and are recounted for every choice; nothing is assumed additive. Multiply-adds (MACs) are those of
linear layers and convolutions for one sample, as `torch.utils.flop_counter` counts them (it reports twice as many
FLOPs); normalisation, activation and pooling count as zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oamip.network.groups import Groups
from oamip.network.labels import FIXED, Labels, blocks_of, input_slots, is_depthwise, output_slots
from oamip.network.maps import Dense, Weighted
from oamip.network.nodes import Affine

__all__ = ["Cost", "LayerCost", "cost_of"]


@dataclass(frozen=True)
class LayerCost:
    """What one layer costs.

    Args:
        path: of its module; name of the node for weights that belong to no layer.
        rows, columns: unit number of each output and input channel (negative: always there).
        area: weights per (row, column) pair: the kernel's number of positions.
        positions: how often each weight is used for one sample.
        bias: parameters per row beside the weights (1, or 2 for the scale and shift of a normalisation).
        blocks: convolution groups: the pairs are divided by this.
        weighted: False for a normalisation, which has no pairs.
        counted: False where the parameters are counted elsewhere: a further call of a module, weights of no layer.
    """

    path: str
    rows: Labels
    columns: Labels
    area: int
    positions: int
    bias: int
    blocks: int = 1
    weighted: bool = True
    counted: bool = True

    def count(self, alive: NDArray[np.bool_]) -> tuple[int, int]:
        """(parameters, MACs) with the surviving units ``alive`` (two True entries at the end for negative labels)."""
        rows = int(alive[self.rows].sum())
        pairs = rows * int(alive[self.columns].sum()) // self.blocks * self.area if self.weighted else 0
        return (pairs + rows * self.bias) * self.counted, pairs * self.positions


@dataclass(frozen=True)
class Cost:
    """Counts parameters and MACs for any set of surviving units.

    Args:
        layers: all layers with parameters.
        units: number of units of the groups they refer to.
        extra: parameters of the source that belong to no layer and always stay.
    """

    layers: Sequence[LayerCost]
    units: int
    extra: int

    def count(self, keep: NDArray[np.bool_] | None = None) -> tuple[int, int]:
        """(parameters, MACs per sample) with the units ``keep`` (default: all)."""
        alive = np.ones(self.units + 2, dtype=np.bool_)
        if keep is not None:
            alive[: self.units] = keep
        counts = [layer.count(alive) for layer in self.layers]
        return self.extra + sum(p for p, _ in counts), sum(m for _, m in counts)


def cost_of(groups: Groups) -> Cost:
    """The cost model of a network with its groups."""
    network, layers, seen = groups.network, [], set()
    for node in network.nodes(Affine):
        edges = network.edges(node.name)
        if not edges:  # a constant
            continue
        source, map_ = edges[0]
        before, after = groups.labels[source], groups.labels[node.name]
        if node.layer is None:
            if isinstance(map_, Weighted):
                layers.append(_weighted(node.name, map_, before, after, bias=0, counted=False))
            continue
        path, counted = node.layer.path, node.layer.path not in seen
        seen.add(path)
        if isinstance(map_, Weighted):
            layers.append(_weighted(path, map_, before, after, bias=int(node.layer.bias), counted=counted))
        else:
            rows = _uniform(after.reshape(node.shape[0], -1))
            layers.append(
                LayerCost(path, rows, rows[:0], 1, 1, node.layer.per_channel, weighted=False, counted=counted)
            )
    return Cost(tuple(layers), groups.size, network.extra_parameters)


def _weighted(path: str, map_: Weighted, before: Labels, after: Labels, *, bias: int, counted: bool) -> LayerCost:
    columns, rows = _by_slot(before, input_slots(map_)), _by_slot(after, output_slots(map_))
    blocks = blocks_of(map_)
    area = 1 if isinstance(map_, Dense) else int(np.prod(map_.kernel))
    if is_depthwise(map_):  # one weight array per row: removing a row removes its column with it
        columns, blocks = np.full(1, FIXED), 1
    return LayerCost(path, rows, columns, area, map_.positions, bias, blocks, True, counted)


def _by_slot(labels: Labels, slots: Labels) -> Labels:
    """One label per slot; the search for units has tied all labels of a slot to one unit."""
    result = np.full(int(slots.max()) + 1, np.iinfo(np.intp).min)
    np.maximum.at(result, slots, labels)
    return result


def _uniform(labels: Labels) -> Labels:
    """Labels (channels, entries) → one per channel; FIXED where a channel holds entries of several units.

    That happens where units lie along another axis, behind a transposition: cutting them shortens the channel.
    """
    same = (labels == labels[:, :1]).all(axis=1)
    return np.where(same, labels[:, 0], FIXED)
