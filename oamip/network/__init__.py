"""What the net is: a graph of affine, ReLU and max nodes in float64, with its removable units.

`Network` holds and evaluates the graph; `pullback` gives gradients by adjoint maps; `find_groups` tells which channels
live and die together; `Cost` counts parameters and multiply-adds for any set of surviving units; `shrink` cuts the
others out. Readers (`oamip.readers`) make networks; nothing here knows torch, programs or solvers.
"""

from oamip.network.cost import Cost, cost_of
from oamip.network.groups import Channel, Group, Groups
from oamip.network.labels import ABSENT, FIXED, OUTPUT
from oamip.network.maps import (
    Channelwise,
    Convolution,
    Dense,
    LinearMap,
    Scale,
    Selection,
    Sum,
    TransposedConvolution,
    Weighted,
    average_pool,
    flatten,
    identity,
)
from oamip.network.network import Network, Values, pullback
from oamip.network.nodes import Affine, Input, Layer, Max, Node, ReLU
from oamip.network.rewrites import simplify
from oamip.network.search import find_groups
from oamip.network.shrink import shrink

__all__ = [
    "ABSENT",
    "FIXED",
    "OUTPUT",
    "Affine",
    "Channel",
    "Channelwise",
    "Convolution",
    "Cost",
    "Dense",
    "Group",
    "Groups",
    "Input",
    "Layer",
    "LinearMap",
    "Max",
    "Network",
    "Node",
    "ReLU",
    "Scale",
    "Selection",
    "Sum",
    "TransposedConvolution",
    "Values",
    "Weighted",
    "average_pool",
    "cost_of",
    "find_groups",
    "flatten",
    "identity",
    "pullback",
    "shrink",
    "simplify",
]
