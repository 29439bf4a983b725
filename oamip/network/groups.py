"""Units: channels or neurons that can only live or die together.

One keep-variable per unit means that a program can never choose what cannot be removed. A *group* is a run of units
that live in the same layers, the output channels of ``conv1`` for instance. `find_groups` finds them; a `Groups` says
what vanishes with each unit, and where a gate must act so that it does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oamip.errors import InputError
from oamip.network.labels import ABSENT, FIXED, Labels, carries
from oamip.network.network import Edit, Network
from oamip.network.nodes import Affine, Input, Max, ReLU

__all__ = ["Channel", "Group", "Groups", "without_units"]


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
        kept, moves, start = [], np.full(self.size, FIXED), 0
        for group in self.groups:
            if group.name in names:
                moves[group.slice] = np.arange(start, start + group.size)
                kept.append(replace(group, start=start))
                start += group.size
        moves = np.append(moves, (ABSENT, FIXED))  # which are −2 and −1
        labels = {name: moves[entries] for name, entries in self.labels.items()}
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
        return isinstance(node, Affine) and not all(carries(map_) for _, map_ in self.network.edges(name))


def without_units(network: Network) -> Groups:
    """Groups in which nothing can be removed."""
    fixed = {name: np.full(int(np.prod(network[name].shape)), FIXED) for name in network.order}
    return Groups(network, (), fixed, {})


@dataclass(frozen=True)
class _Multiply:
    factor: NDArray[np.float64]

    def __call__(self, value: NDArray[np.float64]) -> NDArray[np.float64]:
        return value * self.factor
