"""Where the nodes of a graph go on a page: in layers from top to bottom, in as many columns as it takes.

A node stands one layer below the lowest of its predecessors (topological generations), so every edge goes down. An edge
over several layers gets a turning point in each. Turning points and nodes of a layer are ordered by the barycentres of
their neighbours and moved towards them, without touching (Sugiyama, Tagawa and Toda, 1981). A long graph goes on in the
next column where only one value crosses from layer to layer; there it is shown once more, as a reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

__all__ = ["Place", "arrange"]

Array: TypeAlias = NDArray[np.float64]
Point: TypeAlias = tuple[float, float]

_ORDERING, _SWEEPS = 8, 40
_STRAIGHT = 30.0
"""How much more an edge wants to be straight than a long one wants its turning points near its ends."""


@dataclass(frozen=True)
class Place:
    """A layout.

    Args:
        nodes: name to its centre; columns go to the right from x = 0, layers down from y = 0.
        references: (name, centre) of the nodes shown once more at the top of a column.
        paths: for each edge its points, from the centre of the source (or of its reference) to that of the target.
        width, height: of everything, without a margin.
    """

    nodes: Mapping[str, Point]
    references: Sequence[tuple[str, Point]]
    paths: Mapping[tuple[str, str], Sequence[Point]]
    width: float
    height: float


def arrange(graph: nx.DiGraph, widths: Mapping[str, float], *, step: float, gap: float, tallest: int) -> Place:
    """Lay out an acyclic graph.

    Args:
        graph: its nodes are names.
        widths: of the nodes' boxes.
        step: from layer to layer.
        gap: between boxes, and between columns twice that.
        tallest: there are as many columns as it takes for none to have more layers, if they can be alike.
    """
    number = {name: place for place, name in enumerate(graph)}
    layers = [sorted(layer, key=number.__getitem__) for layer in nx.topological_generations(graph)]
    depth = {name: level for level, layer in enumerate(layers) for name in layer}
    nodes: dict[str, Point] = {}
    references: list[tuple[str, Point]] = []
    paths: dict[tuple[str, str], Sequence[Point]] = {}
    left = height = 0.0
    for first, last in _columns(graph, depth, len(layers), tallest):
        inside = [name for layer in layers[first:last] for name in layer]
        part = nx.DiGraph(graph.subgraph(inside))
        came_in = [(source, target) for source, target in graph.in_edges(inside) if depth[source] < first]
        top = first - 1 if came_in else first
        numbers = {name: depth[name] - top for name in inside}
        for source, target in came_in:
            part.add_edge(source, target)
            numbers[source] = 0
        column = _Column(part, numbers, widths, gap)
        centres = column.solve()
        shift = left - min(x - column.widths[key] / 2 for key, x in centres.items())
        point = {key: (x + shift, -step * column.layer[key]) for key, x in centres.items()}
        references += [(name, point[name]) for name in dict.fromkeys(source for source, _ in came_in)]
        nodes.update({name: point[name] for name in inside})
        paths.update({edge: [point[key] for key in keys] for edge, keys in column.chains.items()})
        left = max(point[key][0] + column.widths[key] / 2 for key in point) + 2 * gap
        height = max(height, step * (len(column.layers) - 1))
    return Place(nodes, references, paths, left - 2 * gap, height)


def _columns(graph: nx.DiGraph, depth: Mapping[str, int], count: int, tallest: int) -> list[tuple[int, int]]:
    """(first, one past the last) layer of each column."""
    crossing: list[set[str]] = [set() for _ in range(count + 1)]  # the values that cross into each layer
    for source, target in graph.edges:
        for number in range(depth[source] + 1, depth[target] + 1):
            crossing[number].add(source)
    wanted = -(-count // tallest)
    places = np.array([number for number in range(1, count) if len(crossing[number]) == 1])
    nearest = [int(places[np.abs(places - k * count / wanted).argmin()]) for k in range(1, wanted) if places.size]
    return list(pairwise([0, *dict.fromkeys(nearest), count]))


class _Column:
    """One column in the making; keys are names of nodes, and (source, target, layer) for turning points."""

    def __init__(self, graph: nx.DiGraph, layer: Mapping[str, int], widths: Mapping[str, float], gap: float) -> None:
        self.gap = gap
        self.layer: dict[object, int] = dict(layer.items())
        self.widths: dict[object, float] = {name: widths[name] for name in layer}
        self.chains: dict[tuple[str, str], list[object]] = {}
        self.near: dict[object, list[tuple[object, float]]] = {name: [] for name in layer}
        for source, target in graph.edges:
            turns = [(source, target, number) for number in range(layer[source] + 1, layer[target])]
            for turn in turns:
                self.layer[turn], self.widths[turn], self.near[turn] = turn[2], gap, []
            chain = [source, *turns, target]
            self.chains[source, target] = chain
            for upper, lower in pairwise(chain):
                weight = _STRAIGHT if not turns else 1.0 if upper is source or lower is target else 6.0
                self.near[upper].append((lower, weight))
                self.near[lower].append((upper, weight))
        self.layers: list[list[object]] = [[] for _ in range(max(self.layer.values()) + 1)]
        for key, number in self.layer.items():
            self.layers[number].append(key)

    def solve(self) -> dict[object, float]:
        """Horizontal centres."""
        x = {key: float(place) for keys in self.layers for place, key in enumerate(keys)}
        for sweep in range(_SWEEPS):
            order = self.layers if sweep % 2 == 0 else self.layers[::-1]
            for keys in order:
                wanted = {key: self._wanted(key, x) for key in keys}
                if sweep < _ORDERING:
                    keys.sort(key=wanted.__getitem__)
                x.update(zip(keys, self._apart(keys, [wanted[key] for key in keys]), strict=True))
        return x

    def _wanted(self, key: object, x: Mapping[object, float]) -> float:
        total = sum(weight for _, weight in self.near[key])
        return sum(weight * x[other] for other, weight in self.near[key]) / total if total else 0.0

    def _apart(self, keys: Sequence[object], wanted: Sequence[float]) -> Array:
        """The nearest places at which boxes of a layer, in this order, do not touch."""
        half = np.array([self.widths[key] / 2 for key in keys])
        offsets = np.concatenate([[0.0], np.cumsum(half[:-1] + half[1:] + self.gap)])
        weights = np.array([sum(weight for _, weight in self.near[key]) + 0.1 for key in keys])
        moved: Array = isotonic_regression(np.array(wanted) - offsets, weights=weights).x + offsets
        return moved
