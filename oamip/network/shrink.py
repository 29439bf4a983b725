"""A network without some of its units, proven equal to the masked one.

    small = shrink(groups, keep)

A unit that is removed is zero at every node that carries it (`Groups.mask`), so its entries can be cut out of every
node and its columns and rows out of every map: what read it read zeros. Nodes keep their names, modules and layers;
where a map loses more than what it reads, a selection of its own is put between.
Nothing is believed: each node of the small network is compared with the entries that stay of the masked one on random
inputs, and parameters and multiply-adds with what `oamip.network.cost` promised.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from oamip.errors import InputError, MismatchError
from oamip.network.comparison import random_inputs
from oamip.network.cost import cost_of
from oamip.network.cuts import Cut, cut_map, cut_of
from oamip.network.groups import Groups, without_units
from oamip.network.labels import carries
from oamip.network.maps import LinearMap, Selection, Sum
from oamip.network.network import Network
from oamip.network.nodes import Affine, Max, Node

__all__ = ["TOLERANCE", "shrink"]


TOLERANCE = 1e-9
"""Largest ‖small − masked‖∞ / max(1, ‖masked‖∞) of a node. Sums in another order differ by about 1e-15 per term."""


def shrink(groups: Groups, keep: NDArray[np.bool_]) -> Network:
    """The network of ``groups`` without the units that are not kept.

    Args:
        groups: the removable units.
        keep: one bool per unit, (units,).

    Returns:
        A network of its own, with the same names of nodes; the network itself if everything is kept.

    Raises:
        InputError: ``keep`` does not fit the groups, or leaves nothing of one.
        MismatchError: the result is not the masked network, or costs something else than was promised.
    """
    keep = _checked(groups, keep)
    network = groups.network
    if keep.all():
        return network
    cuts = {name: cut_of(name, network[name].shape, groups.labels[name], keep) for name in network.order}
    small = Network()
    for name in network.order:
        before = {source: cuts[source] for source in network.graph.predecessors(name)}
        edges = [
            (source, None) if part is None else _cut_edge(small, source, part, before[source], cuts[name])
            for source, map_ in network.edges(name)
            for part in (map_.parts if isinstance(map_, Sum) else (map_,))
        ]
        small.add(_cut_node(network[name], cuts[name], before), *edges)
    small.inputs, small.outputs, small.extra_parameters = network.inputs, network.outputs, network.extra_parameters
    _prove_equal(small, groups, keep, cuts)
    _prove_counts(small, groups, keep)
    return small


def _checked(groups: Groups, keep: NDArray[np.bool_]) -> NDArray[np.bool_]:
    keep = np.asarray(keep)
    if keep.shape != (groups.size,) or keep.dtype != np.bool_:
        raise InputError(f"keep needs one bool for each of {groups.size} units, not {keep.dtype} of shape {keep.shape}")
    for group in groups.groups:
        if not keep[group.slice].any():
            raise InputError(f"every unit of group '{group.name}' would go; at least one must stay")
    return keep


def _cut_edge(small: Network, source: str, map_: LinearMap, cut: Cut, after: Cut) -> tuple[str, LinearMap | None]:
    """A map between cut arrays, with the node that it reads.

    Where channels of zeros (padding) are added to those of a unit that goes, what reads them loses more than they do. A
    selection takes that in its index; before a map that cannot, a node of its own picks what is left.
    """
    if isinstance(map_, Selection) or not carries(map_) or after.axis is None or after.matches(cut):
        return source, cut_map(map_, cut, after)
    needed = Cut(cut.shape, after.axis, after.kept)
    numbers = needed.take(cut.moved.reshape(cut.shape))
    name = f"{source}_left"
    while name in small.graph:
        name += "_"
    picked = Affine(name, needed.left, small[source].module, np.zeros(needed.left))
    return small.add(picked, (source, Selection(numbers, cut.left))), cut_map(map_, needed, after)


def _cut_node(node: Node, cut: Cut, before: Mapping[str, Cut]) -> Node:
    if isinstance(node, Affine):
        return replace(node, shape=cut.left, bias=cut.take(node.bias))
    if isinstance(node, Max):
        (source,) = before.values()
        rows = node.index[cut.moved >= 0]
        return replace(node, shape=cut.left, index=np.where(rows >= 0, source.moved[rows], -1))
    return replace(node, shape=cut.left)


# ── the proof ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _prove_equal(small: Network, groups: Groups, keep: NDArray[np.bool_], cuts: Mapping[str, Cut]) -> None:
    inputs = random_inputs(groups.network)
    masked, values = groups.network.evaluate(inputs, groups.mask(keep)), small.evaluate(inputs)
    for name in groups.network.order:
        expected = cuts[name].take(masked[name])
        gap = np.abs(values[name] - expected).max(initial=0.0)
        size = max(1.0, np.abs(expected).max(initial=0.0))
        if not gap <= TOLERANCE * size:
            raise MismatchError(
                f"node '{name}' of the small network differs from the masked network by {gap / size:.3g} (relative); "
                "this is an error in oamip, and nothing was removed"
            )


def _prove_counts(small: Network, groups: Groups, keep: NDArray[np.bool_]) -> None:
    promised = cost_of(groups).count(keep)
    counted = cost_of(without_units(small)).count()
    for what, real, expected in zip(("parameters", "multiply-adds"), counted, promised, strict=True):
        if real != expected:
            raise MismatchError(f"the small network has {real} {what}; the cost model promised {expected}")
