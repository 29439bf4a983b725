"""Units: channels or neurons that can only live or die together.

A *unit* is found by union-find over channel-preserving maps: the outputs of a convolution flow through batch
normalisation, ReLU, pooling, reshapes and depthwise convolutions unchanged in identity; a residual addition ties the
channels of its two sides together. Every entry of every node carries the number of its unit, so "which entries vanish
when unit 7 goes" is an array comparison. One keep-variable per unit means that a program can never choose what cannot
be removed.

A *group* is a run of units that live in the same layers, the output channels of ``conv1`` for instance.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, TypeAlias

import numpy as np
from networkx.utils import UnionFind
from numpy.typing import NDArray

from oamip.errors import InputError
from oamip.network.maps import Channelwise, Convolution, Dense, LinearMap, Scale, Selection, Sum
from oamip.network.network import Edit, Network
from oamip.network.nodes import Affine, Input, Layer, Max, ReLU

__all__ = ["ABSENT", "FIXED", "Channel", "Group", "Groups", "find_groups"]

Labels: TypeAlias = NDArray[np.intp]

FIXED = -1
"""Label of an entry that belongs to no removable unit."""
ABSENT = -2
"""Label of an entry that is zero by construction (padding, the other part of a concatenation)."""


class Channel(NamedTuple):
    """One output channel (or neuron) of one layer: ``row`` of the weight of module ``layer``."""

    layer: str
    row: int


@dataclass(frozen=True)
class Group:
    """Units ``start … start + size − 1``, all of which have their channels in the same layers.

    Args:
        name: path of the first layer (all layers joined by ``+`` where that is ambiguous).
        units: per unit, the channels that it consists of.
    """

    name: str
    start: int
    units: tuple[tuple[Channel, ...], ...]

    @property
    def size(self) -> int:
        """Number of units."""
        return len(self.units)

    @property
    def slice(self) -> slice:
        """Its units among all units."""
        return slice(self.start, self.start + self.size)

    @cached_property
    def layers(self) -> tuple[str, ...]:
        """Paths of the layers that own its channels, first one first."""
        return tuple(dict.fromkeys(channel.layer for channel in self.units[0]))


@dataclass(frozen=True)
class Groups:
    """All removable units of a network.

    Args:
        groups: the groups, in network order; their units are numbered through.
        labels: node name to the unit number of each of its entries (flat), or FIXED or ABSENT.
        frozen: layer path to the reason why (some of) its channels cannot be removed.
        network: the network they belong to.
    """

    network: Network
    groups: tuple[Group, ...]
    labels: Mapping[str, Labels]
    frozen: Mapping[str, str]

    @property
    def size(self) -> int:
        """Number of units over all groups."""
        return sum(group.size for group in self.groups)

    def __getitem__(self, name: str) -> Group:
        for group in self.groups:
            if group.name == name:
                return group
        raise InputError(f"no group '{name}'; there are {', '.join(group.name for group in self.groups)}")

    def only(self, names: Collection[str]) -> Groups:
        """The same network with only some groups removable; units are numbered anew."""
        kept, moves, start = [], np.full(self.size + 1, FIXED), 0
        for group in self.groups:
            if group.name in names:
                moves[group.slice] = np.arange(start, start + group.size)
                kept.append(replace(group, start=start))
                start += group.size
        labels = {name: np.where(entries >= 0, moves[entries], entries) for name, entries in self.labels.items()}
        return replace(self, groups=tuple(kept), labels=labels)

    def mask(self, keep: NDArray[np.bool_]) -> dict[str, Edit]:
        """Edits for `Network.evaluate` that zero every entry of every unit with ``keep`` False (one per unit)."""
        alive = np.append(np.asarray(keep, dtype=np.float64), (1.0, 1.0))  # FIXED = −1 and ABSENT = −2 stay
        edits: dict[str, Edit] = {}
        for name, labels in self.labels.items():
            factor = alive[labels]
            if not factor.all():
                edits[name] = _Multiply(factor.reshape(self.network[name].shape))
        return edits

    @cached_property
    def sites(self) -> tuple[str, ...]:
        """Nodes where a gate must act so that a unit that is off contributes nothing anywhere.

        The first ReLU after each producer; the producer's own output (or the last channel-preserving node after it)
        where some path leaves without a ReLU; and again after a shift that would wake a dead unit (ReLU, BatchNorm).
        """
        clean: dict[str, NDArray[np.bool_]] = {}
        found = []
        for name in self.network.order:
            labels = self.labels[name]
            zero = self._zero_when_off(name, clean)
            dirty = (labels >= 0) & ~zero
            node = self.network[name]
            if dirty.any() and (isinstance(node, ReLU) or self._leaves(name)):
                found.append(name)
                zero = zero | (labels >= 0)
            clean[name] = zero
        return tuple(found)

    def _zero_when_off(self, name: str, clean: Mapping[str, NDArray[np.bool_]]) -> NDArray[np.bool_]:
        """Entries that are certainly zero when their unit is off, given that for the nodes before."""
        node = self.network[name]
        if isinstance(node, Input) or self._mixes(name):
            return np.zeros(self.labels[name].size, dtype=np.bool_)
        if isinstance(node, Affine):
            zero: NDArray[np.bool_] = np.equal(node.bias.ravel(), 0)
            for source, map_ in self.network.edges(name):
                # An output entry reads only entries of its own unit, so it suffices that none of those is dirty.
                dirty = ((self.labels[source] >= 0) & ~clean[source]).astype(np.float64)
                touched = map_.magnitude(dirty.reshape(1, *self.network[source].shape)).ravel()
                zero = zero & (touched == 0)
            return zero
        before = clean[self.network.predecessor(name)]
        if isinstance(node, Max):
            asleep: NDArray[np.bool_] = np.logical_and.reduce(before[node.index] | (node.index < 0), axis=1)
            return asleep
        return before

    def _leaves(self, name: str) -> bool:
        """Whether nothing reads the node, or some reader mixes its entries."""
        successors = self.network.successors(name)
        return not successors or any(map(self._mixes, successors))

    def _mixes(self, name: str) -> bool:
        """Whether the entries of a node may read entries of several units."""
        node = self.network[name]
        return isinstance(node, Affine) and not all(_carries(map_) for _, map_ in self.network.edges(name))


@dataclass(frozen=True)
class _Multiply:
    factor: NDArray[np.float64]

    def __call__(self, value: NDArray[np.float64]) -> NDArray[np.float64]:
        return value * self.factor


def find_groups(network: Network) -> Groups:
    """Find all removable units of a network; see the module's page."""
    return _Search(network).run()


# ── how labels travel ────────────────────────────────────────────────────────────────────────────────────────────────


def is_depthwise(map_: LinearMap) -> bool:
    """A convolution with one output channel per input channel."""
    return isinstance(map_, Convolution) and map_.groups > 1 and map_.groups == map_.in_shape[0] == map_.out_shape[0]


def _carries(map_: LinearMap) -> bool:
    """Whether each output entry of the map reads entries of one unit only, by construction of the map."""
    if isinstance(map_, Sum):
        return all(_carries(part) for part in map_.parts)
    return isinstance(map_, Scale | Selection | Channelwise) or is_depthwise(map_)


def input_slots(map_: LinearMap) -> Labels:
    """For a map with weights: the input column (feature or channel) that each flat input entry goes into."""
    if isinstance(map_, Dense):
        return np.tile(np.arange(map_.in_shape[-1]), map_.positions)
    channels = map_.in_shape[0]
    return np.repeat(np.arange(channels), int(np.prod(map_.in_shape[1:])))


def output_slots(map_: LinearMap) -> Labels:
    """For a map with weights: the output row (feature or channel) that each flat output entry comes from."""
    if isinstance(map_, Dense):
        return np.tile(np.arange(map_.out_shape[-1]), map_.positions)
    return np.repeat(np.arange(map_.out_shape[0]), int(np.prod(map_.out_shape[1:])))


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
            self.labels[name] = labels
        for name in self.network.outputs:
            self._freeze(self.labels[name], "its channels are outputs of the network")
        return self._number()

    # — one node —

    def _affine(self, node: Affine) -> Labels:
        edges = self.network.edges(node.name)
        if len(edges) == 1 and node.layer is not None and isinstance(edges[0][1], Dense | Convolution):
            labels = self._layer(node.layer, *edges[0])
        else:
            labels = np.full(node.bias.size, ABSENT)
            for source, map_ in edges:
                labels = self._merge(labels, self._carry(map_, self.labels[source], node))
            # A normalisation has a channel of its own for each entry, also where its input is always zero.
            filled = np.ravel(node.bias) != 0 if node.layer is None else np.ones(labels.size, dtype=np.bool_)
            labels = np.where((labels == ABSENT) & filled, FIXED, labels)
        reason = node.rigid
        if node.layer is not None and node.layer.path in self.repeated:
            reason = f"module '{node.layer.path}' is called more than once"
        if reason:
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
        parts = map_.groups if isinstance(map_, Convolution) else 1
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
        if isinstance(map_, Sum) and _carries(map_):
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
