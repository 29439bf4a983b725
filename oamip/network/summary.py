"""A network as a table: one line for each node, and what it all adds up to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from oamip.errors import InputError
from oamip.network.cost import cost_of
from oamip.network.groups import without_units
from oamip.network.maps import LinearMap, Sum, Weighted
from oamip.network.nodes import Affine, Max, Node, ReLU

if TYPE_CHECKING:
    from oamip.network.network import Network

__all__ = ["Stable", "map_kind", "parameters", "shape_text", "stable_counts", "summary"]


class Stable(Protocol):
    """Bounds that can tell stable ReLUs from unstable ones, as `oamip.bounds.Bounds` do."""

    def stability(self, network: Network) -> Mapping[str, tuple[int, int, int]]:
        """ReLU name → how many of its entries are always on, always off, or neither."""
        ...


def summary(network: Network, bounds: Stable | None = None) -> str:
    """A table of the nodes.

    Columns: name, kind, shape of one sample, kind of the incoming maps, parameters of the layer, non-zeros of the maps
    (an upper bound where maps are added), with bounds also how many entries of a ReLU are always on, always off or
    unstable, over all boxes; and the place in the source. A module that is called again has its parameters counted
    once. The last line adds up.

    Args:
        network: any.
        bounds: of this network.

    Raises:
        InputError: the bounds belong to another network.
    """
    stability = stable_counts(network, bounds)
    header = ["node", "kind", "shape", "map", "parameters", "non-zeros"]
    header += ["on", "off", "unstable"] * (bounds is not None)
    counts = parameters(network)
    rows = [[*header, "source"]]
    nonzeros = 0
    for name in network.order:
        node = network[name]
        maps = [map_ for _, map_ in network.edges(name)] if isinstance(node, Affine) else []
        here = sum(map_.nonzeros for map_ in maps)
        nonzeros += here
        cells = [name, type(node).__name__, shape_text(node), map_kind(maps)]
        cells += [f"{counts[name]:,}" if name in counts else "", f"{here:,}" if maps else ""]
        if bounds is not None:
            cells += [f"{count:,}" for count in stability[name]] if name in stability else [""] * 3
        rows.append([*cells, node.module])
    return "\n".join([*_aligned(rows, left={0, 1, 2, 3, len(rows[0]) - 1}), _totals(network, nonzeros, stability)])


def stable_counts(network: Network, bounds: Stable | None) -> Mapping[str, tuple[int, int, int]]:
    """ReLU name → entries always on, always off, unstable; empty without bounds.

    Raises:
        InputError: the bounds belong to another network.
    """
    try:
        return {} if bounds is None else bounds.stability(network)
    except KeyError as error:
        raise InputError(f"these bounds know no node {error}; compute them for this very network") from None


def _totals(network: Network, nonzeros: int, stability: Mapping[str, tuple[int, int, int]]) -> str:
    entries = sum(node_size(node) for node in network.nodes(ReLU))
    parts = [
        f"{len(network.order):,} nodes",
        f"{_total_parameters(network):,} parameters",
        f"{nonzeros:,} non-zeros",
        f"{entries:,} ReLUs",
        f"{sum(len(node.index) for node in network.nodes(Max)):,} maxima",
    ]
    if stability:
        on, off, unstable = (sum(column) for column in zip(*stability.values(), strict=True))
        parts.append(f"{on:,} always on, {off:,} always off, {unstable:,} unstable")
    return "total: " + ", ".join(parts)


def _aligned(rows: Sequence[Sequence[str]], left: set[int]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place in left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def shape_text(node: Node) -> str:
    """The shape of one sample, as in 3×32×32."""
    return "×".join(map(str, node.shape)) or "1"


def node_size(node: Node) -> int:
    """Number of entries of one sample."""
    size = 1
    for length in node.shape:
        size *= length
    return size


def map_kind(maps: Sequence[LinearMap]) -> str:
    """The kinds of the incoming maps of a node."""
    parts = [part for map_ in maps for part in (map_.parts if isinstance(map_, Sum) else (map_,))]
    kinds = [type(part).__name__ for part in parts]
    counts = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
    return " + ".join(kind if count == 1 else f"{count} {kind}" for kind, count in counts.items())


def parameters(network: Network) -> dict[str, int]:
    """Affine node of a layer → how many parameters the layer has; 0 where they were counted before."""
    counts: dict[str, int] = {}
    seen: set[str] = set()
    for node in network.nodes(Affine):
        if node.layer is None:
            continue
        edges = network.edges(node.name)
        rows = edges[0][1].rows if len(edges) == 1 and isinstance(edges[0][1], Weighted) else None
        channels = node.shape[0] if rows is None else len(rows)
        whole = channels * node.layer.per_channel + (0 if rows is None else rows.size)
        counts[node.name] = 0 if node.layer.path in seen else whole
        seen.add(node.layer.path)
    return counts


def _total_parameters(network: Network) -> int:
    return cost_of(without_units(network)).count()[0]
