"""Interval arithmetic through a network, safe against rounding.

For an affine node y = Σ_e A_e x_e + b with x_e between l_e and u_e, centre c_e = (l_e + u_e) / 2 and radius
r_e = (u_e − l_e) / 2,

    y ∈ Σ_e A_e c_e + b ± Σ_e |A_e| r_e,

exact for one layer on a box (Gowal et al., 2019). In floating point a sum of k products is off by at most
k u / (1 − k u) times the sum of their absolute values, in any order (Higham, 2002, equation 3.5; u = eps / 2), so both
ends move outward by

    (k + 3) · eps · (Σ_e |A_e| max(|l_e|, |u_e|) + |b|),    k = Σ_e (fan-in of e, and 1).

That is twice what the bounds themselves need; the other half covers the rounding of `Network.evaluate`, so values that
are computed stay inside as well. Entries that are only copied, and ReLU and max, are not rounded and not widened.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from oamip.bounds.bounds import Bounds, Range
from oamip.bounds.box import Box
from oamip.errors import InputError
from oamip.network import Affine, Groups, Input, LinearMap, Max, Network, ReLU, Selection

__all__ = ["interval"]


_EPS = float(np.finfo(np.float64).eps)


def interval(network: Network, box: Box | Mapping[str, Box], groups: Groups | None = None) -> Bounds:
    """Bounds of all nodes by interval arithmetic.

    Args:
        network: any.
        box: n boxes of inputs; for several inputs, input name to n boxes.
        groups: of the network; then the bounds hold with any subset of their units switched off.

    Returns:
        Bounds (n, *shape) of every node, certified. Memory and time are about three evaluations of n samples.

    Raises:
        InputError: the box does not fit the inputs, or ``groups`` belongs to another network.
    """
    if groups is not None and groups.network is not network:
        raise InputError("these groups belong to another network; find them in this one")
    ranges = dict(_inputs(network, box))
    boxes = len(next(iter(ranges.values()))[0])
    sites = set() if groups is None else set(groups.sites)
    for name in network.order:
        node = network[name]
        if isinstance(node, Affine):
            edges = [(map_, ranges[source]) for source, map_ in network.edges(name)]
            ranges[name] = _affine(node, edges, boxes)
        elif isinstance(node, ReLU):
            low, high = ranges[network.predecessor(name)]
            ranges[name] = np.maximum(low, 0.0), np.maximum(high, 0.0)
        elif isinstance(node, Max):
            ranges[name] = _max(node, ranges[network.predecessor(name)])
        if groups is not None and name in sites:
            ranges[name] = _hull_with_zero(ranges[name], groups.labels[name] >= 0)
    return Bounds.of({name: ranges[name] for name in network.order}, "interval", gated=groups is not None)


def _inputs(network: Network, box: Box | Mapping[str, Box]) -> dict[str, Range]:
    boxes = box if isinstance(box, Mapping) else dict.fromkeys(network.inputs[:1], box)
    if set(boxes) != set(network.inputs):
        raise InputError(f"the network has inputs {list(network.inputs)}; boxes were given for {list(boxes)}")
    for node in network.nodes(Input):
        if boxes[node.name].shape != node.shape:
            raise InputError(f"input '{node.name}' has shape {node.shape}, its box has shape {boxes[node.name].shape}")
    if len({len(given) for given in boxes.values()}) > 1:
        raise InputError("the inputs need the same number of boxes")
    return {name: (given.lower, given.upper) for name, given in boxes.items()}


def _affine(node: Affine, edges: list[tuple[LinearMap, Range]], boxes: int) -> Range:
    low = high = magnitude = np.zeros((boxes, *node.shape))
    terms = np.broadcast_to((node.bias != 0).astype(np.int64), node.shape)
    for map_, (lower, upper) in edges:
        largest = np.maximum(np.abs(lower), np.abs(upper))
        if isinstance(map_, Selection):  # only moves entries, so the ends can be moved themselves
            low, high = low + map_.apply(lower), high + map_.apply(upper)
            terms = terms + (map_.index >= 0)
        else:
            centre = lower + (upper - lower) / 2
            middle, spread = map_.apply(centre), map_.magnitude(np.maximum(upper - centre, centre - lower))
            low, high = low + (middle - spread), high + (middle + spread)
            terms = terms + (map_.fan_in + 1)
        magnitude = magnitude + map_.magnitude(largest)
    gamma = np.where(terms > 1, (terms + 3) * _EPS, 0.0)  # a single term is a copy
    error = gamma * (magnitude + np.abs(node.bias))
    return low + node.bias - error, high + node.bias + error


def _max(node: Max, before: Range) -> Range:
    present, size = node.index >= 0, len(before[0])
    low, high = (
        np.where(present, end.reshape(size, -1)[:, node.index], -np.inf).max(axis=2).reshape(size, *node.shape)
        for end in before
    )
    return low, high


def _hull_with_zero(ends: Range, gated: NDArray[np.bool_]) -> Range:
    low, high = ends
    labels = gated.reshape(low.shape[1:])
    return np.where(labels, np.minimum(low, 0.0), low), np.where(labels, np.maximum(high, 0.0), high)
