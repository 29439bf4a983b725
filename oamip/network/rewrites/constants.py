"""Nodes that depend on no input become numbers: they go into the biases of what reads them."""

from __future__ import annotations

from dataclasses import replace

from oamip.network.network import Network
from oamip.network.nodes import Affine, Input
from oamip.network.ranges import ranges
from oamip.network.rewrites.sketch import Sketch

__all__ = ["fold_constants"]


def fold_constants(network: Network) -> Network:
    """Edges from constant nodes, and edges that carry nothing, leave; a constant output is a node without edges."""
    known = ranges(network)
    constant = {name for name, (low, high) in known.items() if (low == high).all()}
    sketch, changed = Sketch(network), False
    for name in network.order:
        node, edges = network[name], dict(sketch.edges[name])
        if isinstance(node, Input) or not edges:
            continue
        if name in constant:
            sketch.put(Affine(name, node.shape, node.module, known[name][0]), {})
            changed = True
        elif isinstance(node, Affine):
            bias = node.bias
            for source, map_ in network.edges(name):
                if source in constant:
                    bias = bias + map_.apply(known[source][0][None])[0]
                elif map_.nonzeros:
                    continue
                del edges[source]
            if len(edges) < len(network.edges(name)):
                sketch.put(replace(node, bias=bias), edges)
                changed = True
    return sketch.network() if changed else network
