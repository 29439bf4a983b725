"""A network that is being changed."""

from __future__ import annotations

from typing import TypeAlias

import networkx as nx

from oamip.network.maps import LinearMap
from oamip.network.network import Network
from oamip.network.nodes import Affine, Node
from oamip.network.rewrites.algebra import total

__all__ = ["Sketch"]

Edges: TypeAlias = dict[str, LinearMap | None]


class Sketch:
    """Nodes with their incoming edges, which may be replaced one by one.

    Args:
        network: where it starts; it is not changed.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self.nodes: dict[str, Node] = {name: network[name] for name in network.order}
        self.edges: dict[str, Edges] = {
            name: {source: network.graph.edges[source, name]["map"] for source in network.graph.predecessors(name)}
            for name in network.order
        }
        self.outputs = frozenset(network.outputs)

    def readers(self, name: str) -> list[str]:
        """The nodes that read this one."""
        return [reader for reader, edges in self.edges.items() if name in edges]

    def maps(self, name: str) -> dict[str, LinearMap]:
        """The incoming maps of an affine node."""
        return {source: map_ for source, map_ in self.edges[name].items() if map_ is not None}

    def put(self, node: Node, edges: Edges) -> None:
        """A node in place of the one of its name."""
        self.nodes[node.name], self.edges[node.name] = node, edges

    def redirect(self, old: str, new: str) -> None:
        """Whoever reads ``old`` reads ``new`` instead, which has the same shape; nobody reads ``old`` any more."""
        for reader in self.readers(old):
            edges = self.edges[reader]
            map_, other = edges.pop(old), edges.get(new)
            edges[new] = map_ if map_ is None or other is None else total(other, map_)

    def network(self) -> Network:
        """The network as it is now, without the nodes from which no output can be reached; its inputs all stay."""
        graph = nx.DiGraph([(source, name) for name, edges in self.edges.items() for source in edges])
        graph.add_nodes_from(self.nodes)
        place = {name: number for number, name in enumerate(self.nodes)}
        needed = set(self.outputs).union(*(nx.ancestors(graph, name) for name in self.outputs))
        result = Network()
        for name in (*self._network.inputs, *nx.lexicographical_topological_sort(graph, place.__getitem__)):
            if name not in result.graph and (name in needed or name in self._network.inputs):
                result.add(self.nodes[name], *self.edges[name].items())
        result.outputs, result.extra_parameters = self._network.outputs, self._network.extra_parameters
        return result

    def affine(self) -> list[str]:
        """Names of the affine nodes, every one after its predecessors in the network that it started from."""
        return [name for name in self._network.order if isinstance(self.nodes[name], Affine)]
