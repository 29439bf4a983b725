"""The search for units, by union-find over channel-preserving maps.

The outputs of a layer are new units. They flow through batch normalisation, ReLU, pooling, reshapes and depthwise
convolutions unchanged in identity; a residual addition ties the channels of its two sides together. Every entry of
every node carries the number of its unit, so "which entries vanish when unit 7 goes" is an array comparison. What
cannot be cut (the network's outputs, both sides of a module that is called twice, a reshape to fixed sizes) is frozen,
with the reason.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
from networkx.utils import UnionFind
from numpy.typing import NDArray

from oamip.network.groups import Channel, Group, Groups
from oamip.network.labels import (
    ABSENT,
    FIXED,
    OUTPUT,
    Labels,
    axis_of_units,
    blocks_of,
    carries,
    input_slots,
    is_depthwise,
    output_slots,
)
from oamip.network.maps import Channelwise, LinearMap, Scale, Selection, Sum, Weighted
from oamip.network.network import Network
from oamip.network.nodes import Affine, Input, Layer, Max

__all__ = ["find_groups"]


def find_groups(network: Network) -> Groups:
    """Find all removable units of a network; see the module's page."""
    return _Search(network).run()


class _Search:
    """One walk through the network that hands out provisional units, then numbers the ones that are left."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.labels: dict[str, Labels] = {}
        self.union = UnionFind()
        self.channels: dict[int, list[Channel]] = defaultdict(list)
        self.reasons: dict[int, str] = {}
        self.repeated: set[str] = set()

    def run(self) -> Groups:
        calls = Counter(node.layer.path for node in self.network.nodes(Affine) if node.layer)
        self.repeated = {path for path, count in calls.items() if count > 1}
        for name in self.network.order:
            node = self.network[name]
            if isinstance(node, Input):
                labels = np.full(int(np.prod(node.shape)), FIXED)
            elif isinstance(node, Affine):
                labels = self._affine(node)
            elif isinstance(node, Max):
                labels = self._max(node)
            else:
                labels = self.labels[self.network.predecessor(name)]
            self._tie_ragged(node.shape, labels)
            self.labels[name] = labels
        for name in self.network.outputs:
            self._freeze(self.labels[name], OUTPUT)
        return self._number()

    # — one node —

    def _affine(self, node: Affine) -> Labels:
        edges = self.network.edges(node.name)
        if len(edges) == 1 and node.layer is not None and isinstance(edges[0][1], Weighted):
            labels = self._layer(node.layer, *edges[0])
        else:
            labels = np.full(node.bias.size, ABSENT)
            for source, map_ in edges:
                labels = self._merge(labels, self._carry(map_, self.labels[source], node))
            # A normalisation has a channel of its own for each entry, also where its input is always zero.
            filled = np.ravel(node.bias) != 0 if node.layer is None else np.ones(labels.size, dtype=np.bool_)
            if node.rigid and node.along is not None:
                filled = filled | self._empty_channels(node.shape, labels)
            labels = np.where((labels == ABSENT) & filled, FIXED, labels)
        reason = node.rigid
        if node.layer is not None and node.layer.path in self.repeated:
            reason = f"module '{node.layer.path}' is called more than once"
        if reason == node.rigid and node.along is not None:
            for source, _ in edges:
                self._freeze(self._lying_along(node.along, self.network[source].shape, self.labels[source]), reason)
        elif reason:
            for array in (labels, *(self.labels[source] for source, _ in edges)):
                self._freeze(array, reason)
        return labels

    def _layer(self, layer: Layer, source: str, map_: LinearMap) -> Labels:
        """Outputs of a layer with weights: new units, or those of its input for a depthwise convolution."""
        columns = self._by_slot(self.labels[source], input_slots(map_))
        rows = output_slots(map_)
        if is_depthwise(map_):
            for index, unit in enumerate(columns):
                if unit >= 0:
                    self.channels[int(unit)].append(Channel(layer.path, index))
            return np.maximum(columns, FIXED)[rows]  # a row over an input that is always zero still exists
        parts = blocks_of(map_)
        if parts > 1:  # position p of every part lives and dies together, or the parts would differ in width
            for position in np.maximum(columns, FIXED).reshape(parts, -1).T:
                self._unite(position)
        count = int(rows.max()) + 1
        first = len(self.channels)
        units = first + np.arange(count) % (count // parts)
        for index, unit in enumerate(units):
            self.channels[int(unit)].append(Channel(layer.path, index))
            self.union[int(unit)]
        return units[rows]

    def _max(self, node: Max) -> Labels:
        before = self._roots(self.labels[self.network.predecessor(node.name)])
        candidates = np.where(node.index >= 0, before[np.maximum(node.index, 0)], ABSENT)
        first = candidates.max(axis=1)
        same = ((candidates == first[:, None]) | (candidates == ABSENT)).all(axis=1)
        self._freeze(candidates[~same], f"'{node.module}' takes the maximum over different channels")
        return np.where(same, first, FIXED)

    def _tie_ragged(self, shape: tuple[int, ...], labels: Labels) -> None:
        """Tie units that could only go together, because an array has no ragged edge.

        Entries of an array can be cut along one axis. Where units follow no axis, as after a concatenation of two
        feature maps along their height, the channels of both parts live and die together.
        """
        if len(shape) < 2:
            return
        grid = self._roots(labels).reshape(shape)
        if axis_of_units(grid) is not None:
            return
        for line in grid.reshape(shape[0], -1):
            self._unite(line)

    def _empty_channels(self, shape: tuple[int, ...], labels: Labels) -> NDArray[np.bool_]:
        """Entries of channels that are zero throughout, as padding along the channels makes them.

        Padding along other axes is a part of the channels that it surrounds, and goes with them.
        """
        grid = self._roots(labels).reshape(shape)
        axis = axis_of_units(grid)
        others = () if axis is None else tuple(other for other in range(len(shape)) if other != axis)
        empty: NDArray[np.bool_] = np.broadcast_to((grid == ABSENT).all(axis=others, keepdims=True), shape).ravel()
        return empty

    def _lying_along(self, axes: tuple[int, ...], shape: tuple[int, ...], labels: Labels) -> Labels:
        """The units that change along one of some axes."""
        grid = self._roots(labels).reshape(shape)
        several = [(grid != grid.take([0], axis)).any(axis, keepdims=True) for axis in axes]
        return np.extract(sum(several, np.zeros(shape, dtype=np.bool_)), grid)

    # — one edge —

    def _carry(self, map_: LinearMap, labels: Labels, node: Affine) -> Labels:
        """Labels behind a map; a map that mixes units freezes what goes in."""
        if isinstance(map_, Scale):
            return labels
        if isinstance(map_, Selection):
            source = map_.index.ravel()
            return np.where(source >= 0, labels[np.maximum(source, 0)], ABSENT)
        if isinstance(map_, Channelwise):
            return self._by_slot(labels, input_slots(map_))[output_slots(map_)]
        if isinstance(map_, Sum) and carries(map_):
            carried = [self._carry(part, labels, node) for part in map_.parts]
            merged = carried[0]
            for other in carried[1:]:
                merged = self._merge(merged, other)
            return merged
        self._freeze(labels, f"'{node.module}' mixes its channels without being a layer of its own")
        return np.full(node.bias.size, FIXED)

    def _by_slot(self, labels: Labels, slots: Labels) -> Labels:
        """One label per slot; different units in one slot are tied together, a fixed entry freezes its slot."""
        order = np.argsort(slots, kind="stable")
        grouped = labels[order].reshape(int(slots.max()) + 1, -1)
        top: Labels = grouped.max(axis=1)
        mixed = np.flatnonzero((grouped != top[:, None]).any(axis=1))
        for slot in mixed:
            self._unite(grouped[slot])
        return top

    def _merge(self, left: Labels, right: Labels) -> Labels:
        """Labels of an entry-by-entry sum."""
        both = (left != right) & (left != ABSENT) & (right != ABSENT)
        for pair in {*zip(left[both].tolist(), right[both].tolist(), strict=True)}:
            self._unite(np.array(pair))
        return np.where(left == ABSENT, right, np.where(right == ABSENT, left, np.maximum(left, right)))

    # — units —

    def _unite(self, labels: Labels) -> None:
        units = [int(unit) for unit in np.unique(labels) if unit >= 0]
        if units:
            self.union.union(*units)
            if (labels == FIXED).any():
                self._freeze(np.array(units), "its channels are added to, or read together with, ones that must stay")

    def _roots(self, labels: Labels) -> Labels:
        """The same labels with one number for all units that are tied so far."""
        units, places = np.unique(labels, return_inverse=True)
        roots = np.array([self.union[int(unit)] if unit >= 0 else unit for unit in units], dtype=np.intp)
        return roots[places]

    def _freeze(self, labels: Labels, reason: str) -> None:
        for unit in np.unique(labels):
            if unit >= 0:
                self.reasons.setdefault(int(unit), reason)

    def _number(self) -> Groups:
        """Gather tied provisional units, drop frozen ones, group by layers and number what is left."""
        members: dict[int, list[int]] = defaultdict(list)
        for unit in self.channels:
            members[self.union[unit]].append(unit)
        frozen: dict[str, str] = {}
        by_layers: dict[tuple[str, ...], list[tuple[list[int], tuple[Channel, ...]]]] = defaultdict(list)
        for tied in members.values():
            channels = tuple(dict.fromkeys(channel for unit in tied for channel in self.channels[unit]))
            layers = tuple(dict.fromkeys(channel.layer for channel in channels))
            reason = next((self.reasons[unit] for unit in tied if unit in self.reasons), "")
            if reason:
                frozen.update(dict.fromkeys(layers, reason))
            else:
                by_layers[layers].append((tied, channels))
        firsts = [layers[0] for layers in by_layers]
        groups, final, start = [], np.full(len(self.channels), FIXED), 0
        for layers, units in by_layers.items():
            name = layers[0] if firsts.count(layers[0]) == 1 else "+".join(layers)
            groups.append(Group(name, start, tuple(channels for _, channels in units)))
            for number, (tied, _) in enumerate(units, start):
                final[tied] = number
            start += len(units)
        labels = {
            name: np.where(entries >= 0, final[np.maximum(entries, 0)] if final.size else FIXED, entries)
            for name, entries in self.labels.items()
        }
        return Groups(self.network, tuple(groups), labels, frozen)
