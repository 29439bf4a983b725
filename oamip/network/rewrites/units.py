"""Units that say nothing: constant ones go into the next bias, and those that nobody reads just go.

A unit whose entries are one constant c wherever a layer reads them adds A c to that layer, whatever comes in. So it can
be removed, with A c added to the layer's bias. Behind zero padding A c is smaller at the border than inside unless
c = 0; no bias of a layer can say that, so such a unit stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.network.groups import Groups
from oamip.network.labels import Labels, carries, output_slots
from oamip.network.maps import Weighted
from oamip.network.network import Network
from oamip.network.nodes import Affine
from oamip.network.ranges import Range, ranges, with_weights
from oamip.network.rewrites.algebra import per_slot
from oamip.network.rewrites.sketch import Sketch
from oamip.network.rewrites.unread import drop_unread
from oamip.network.search import find_groups
from oamip.network.shrink import shrink

__all__ = ["Silent", "drop_silent_units", "silent_units"]

Array: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]

_ROUNDING = 1e-12
"""Relative difference up to which what a unit adds to the positions of a channel is one number."""


def drop_silent_units(network: Network) -> Network:
    """Remove all constant and unread units, but never the last one of a group."""
    network = drop_unread(network)  # so that what is rebuilt below has the nodes that the groups know
    groups = find_groups(network)
    silent = silent_units(groups)
    if silent.keep.all():
        return network
    sketch = Sketch(network)
    for name, added in silent.added.items():
        node = network[name]
        assert isinstance(node, Affine)
        layer = None if node.layer is None else replace(node.layer, bias=True)
        sketch.put(replace(node, bias=node.bias + added, layer=layer), sketch.edges[name])
    return shrink(replace(groups, network=sketch.network()), silent.keep)


@dataclass(frozen=True, eq=False)
class Silent:
    """Units that can go without a change, and what must be said in their place.

    Args:
        keep: one bool per unit, False for those that can go.
        added: node name to what its bias gains, where it does; in a layer one number per channel.
    """

    keep: Mask
    added: Mapping[str, Array]


def silent_units(groups: Groups, among: Mask | None = None) -> Silent:
    """Find the units that are constant wherever a layer reads them, and those that none reads; one of each group stays.

    Constant is what the structure says (`oamip.network.ranges`), for inputs of any size.

    Args:
        groups: removable units.
        among: one bool per unit, False for those that stay whatever they say.
    """
    known = ranges(groups.network)
    keep = _speaking(groups, known)
    if among is not None:
        keep |= ~among
    for unit in np.flatnonzero(~keep):
        keep[unit] = not _foldable(groups, known, int(unit))
    for group in groups.groups:
        keep[group.start] |= not keep[group.slice].any()
    return Silent(keep, {} if keep.all() else _added(groups, known, keep))


def _speaking(groups: Groups, known: Mapping[str, Range]) -> Mask:
    """The units of which some layer reads an entry that varies."""
    speaking = np.zeros(groups.size, dtype=np.bool_)
    network = groups.network
    for node in _mixing(network):
        for source, map_ in network.edges(node.name):
            low, high = known[source]
            size = with_weights(map_, np.abs).adjoint(np.ones((1, *map_.out_shape))).ravel()
            labels = groups.labels[source][(size > 0) & (low != high).ravel()]
            speaking[labels[labels >= 0]] = True
    return speaking


def _mixing(network: Network) -> list[Affine]:
    return [node for node in network.nodes(Affine) if not all(carries(map_) for _, map_ in network.edges(node.name))]


def _foldable(groups: Groups, known: Mapping[str, Range], unit: int) -> bool:
    """Whether what a constant unit adds to each layer is one number per channel."""
    network = groups.network
    for node in _mixing(network):
        for source, map_ in network.edges(node.name):
            constant = _entries(known[source], groups.labels[source] == unit)
            if constant.any() and isinstance(map_, Weighted) and node.layer is not None:
                added = map_.apply(constant)[0]
                if per_slot(added.ravel(), output_slots(map_), _ROUNDING) is None:
                    return False
    return True


def _entries(ends: Range, chosen: Mask) -> Array:
    """A batch of one that holds the chosen entries of a node, which are constant wherever they are read."""
    low, high = ends
    return np.where(chosen.reshape(low.shape) & (low == high), low, 0.0)[None]


def _added(groups: Groups, known: Mapping[str, Range], keep: Mask) -> dict[str, Array]:
    network, gone = groups.network, np.append(~keep, (False, False))
    gains = {}
    for node in _mixing(network):
        added = np.zeros(node.shape)
        for source, map_ in network.edges(node.name):
            added = added + map_.apply(_entries(known[source], gone[groups.labels[source]]))[0]
        if added.any():
            gains[node.name] = added if node.layer is None else _evened(added, network, node)
    return gains


def _evened(added: Array, network: Network, node: Affine) -> Array:
    """The same number at all positions of a channel, to the last bit."""
    ((_, map_),) = network.edges(node.name)
    assert isinstance(map_, Weighted)
    slots: Labels = output_slots(map_)
    numbers = np.zeros(int(slots.max()) + 1)
    numbers[slots] = added.ravel()
    return numbers[slots].reshape(added.shape)
