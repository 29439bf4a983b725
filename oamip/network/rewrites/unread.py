"""Nodes from which no output can be reached."""

from __future__ import annotations

import networkx as nx

from oamip.network.network import Network
from oamip.network.rewrites.sketch import Sketch

__all__ = ["drop_unread"]


def drop_unread(network: Network) -> Network:
    """Drop the nodes that nobody needs; the inputs all stay, as they are what a caller gives."""
    needed = {*network.inputs, *network.outputs}.union(*(nx.ancestors(network.graph, name) for name in network.outputs))
    return network if needed.issuperset(network.order) else Sketch(network).network()
