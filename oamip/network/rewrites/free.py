"""What the source's own code fixed does not bind a network that is changed anyway."""

from __future__ import annotations

from dataclasses import replace

from oamip.network.network import Network
from oamip.network.nodes import Affine
from oamip.network.rewrites.sketch import Sketch

__all__ = ["forget_source"]


def forget_source(network: Network) -> Network:
    """Drop the reasons (`Affine.rigid`) why entries cannot be removed one by one from the source's own code."""
    bound = [node for node in network.nodes(Affine) if node.rigid]
    if not bound:
        return network
    sketch = Sketch(network)
    for node in bound:
        sketch.put(replace(node, rigid="", along=None), sketch.edges[node.name])
    return sketch.network()
