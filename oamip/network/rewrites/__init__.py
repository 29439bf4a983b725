"""Rewrites that keep the normal form small and compute the same.

Each is a function from a network to a network, and returns the network it was given where it finds nothing to do:

* `drop_unread`: nodes from which no output can be reached vanish (every other rewrite drops them too);
* `forget_source`: what only the source's own code fixed is free;
* `fold_constants`: nodes that depend on no input become biases;
* `drop_idle`: ReLUs of what is never negative, and maxima of one candidate, become affine;
* `merge_affine`: affine nodes go into their readers where non-zeros do not grow; copies disappear;
* `drop_silent_units`: units that are constant, or that nobody reads, are removed.

`simplify` repeats them all until none finds anything. A node that is left has the name and the values that it had, but
for entries of units that went. A simplified network is one of its own: its layers keep the paths of the source's, so
that units and messages have names, but their weights are merged. Units and costs found in it are about it; to cut the
source's own module, find them in the network that was read.

    >>> import numpy as np
    >>> from oamip.network import Affine, Dense, Input, Layer, Network, Scale, simplify
    >>> net = Network()
    >>> x = net.add(Input("x", (2,), "x"))
    >>> a = net.add(Affine("a", (2,), "fc", np.ones(2), Layer("fc", "linear", bias=True)), (x, Dense(np.eye(2), (2,))))
    >>> scale = Scale(np.array([2.0, 3.0]), (2,))
    >>> y = net.add(Affine("y", (2,), "norm", np.zeros(2), Layer("norm", "norm", bias=True)), (a, scale))
    >>> net.outputs = (y,)
    >>> small = simplify(net)
    >>> small.order, small["y"].layer.path, small.edges("y")[0][1].weight.tolist()
    (('x', 'y'), 'fc', [[2.0, 0.0], [0.0, 3.0]])
"""

from __future__ import annotations

from collections.abc import Callable

from oamip.network.network import Network
from oamip.network.rewrites.constants import fold_constants
from oamip.network.rewrites.free import forget_source
from oamip.network.rewrites.merge import merge_affine
from oamip.network.rewrites.stable import drop_idle
from oamip.network.rewrites.units import drop_silent_units
from oamip.network.rewrites.unread import drop_unread

__all__ = [
    "REWRITES",
    "drop_idle",
    "drop_silent_units",
    "drop_unread",
    "fold_constants",
    "forget_source",
    "merge_affine",
    "simplify",
]

REWRITES: tuple[Callable[[Network], Network], ...] = (
    drop_unread,
    forget_source,
    fold_constants,
    drop_idle,
    merge_affine,
    drop_silent_units,
)
"""In the order in which they are tried."""


def simplify(network: Network) -> Network:
    """An equal network with fewer nodes, edges and entries, where one is found; else the network itself.

    Returns:
        A network with the same inputs, outputs and names; ``extra_parameters`` is that of the source.
    """
    while True:
        before = network
        for rewrite in REWRITES:
            network = rewrite(network)
        if network is before:
            return network
