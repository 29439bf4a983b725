"""ReLU and max nodes that change nothing, by the structure of what stands before them."""

from __future__ import annotations

import numpy as np

from oamip.network.maps import Selection, identity
from oamip.network.network import Network
from oamip.network.nodes import Affine, Max, ReLU
from oamip.network.ranges import ranges
from oamip.network.rewrites.sketch import Sketch

__all__ = ["drop_idle"]


def drop_idle(network: Network) -> Network:
    """A ReLU of what is never negative (a ReLU, an average of ReLUs) and a max of one candidate are affine."""
    known, sketch = ranges(network), Sketch(network)
    changed = False
    for name in network.order:
        node = network[name]
        if isinstance(node, ReLU) and (known[network.predecessor(name)][0] >= 0).all():
            map_ = identity(node.shape)
        elif isinstance(node, Max) and (np.count_nonzero(node.index >= 0, axis=1) == 1).all():
            source = network[network.predecessor(name)]
            map_ = Selection(node.index.max(axis=1).reshape(node.shape), source.shape)
        else:
            continue
        sketch.put(Affine(name, node.shape, node.module, np.zeros(node.shape)), {network.predecessor(name): map_})
        changed = True
    return sketch.network() if changed else network
