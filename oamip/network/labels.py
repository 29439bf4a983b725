"""How the numbers of units travel through linear maps.

Every entry of every node carries a label: the number of its unit, or `FIXED` or `ABSENT`. A map either *carries*
labels, when each output entry reads entries of one unit only, or it has weights, whose columns and rows are *slots*
for the channels that it reads and makes.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.network.maps import (
    Channelwise,
    Convolution,
    Dense,
    LinearMap,
    Scale,
    Selection,
    Sum,
    TransposedConvolution,
)

__all__ = [
    "ABSENT",
    "FIXED",
    "OUTPUT",
    "Labels",
    "axis_of_units",
    "blocks_of",
    "carries",
    "input_slots",
    "is_depthwise",
    "output_slots",
]

Labels: TypeAlias = NDArray[np.intp]

FIXED = -1
"""Label of an entry that belongs to no removable unit."""
ABSENT = -2
"""Label of an entry that is zero by construction (padding, the other part of a concatenation)."""

OUTPUT = "its channels are outputs of the network"
"""Why the last layer stays whole, always."""


def is_depthwise(map_: LinearMap) -> bool:
    """A convolution, transposed or not, with one output channel per input channel."""
    return blocks_of(map_) > 1 and blocks_of(map_) == map_.in_shape[0] == map_.out_shape[0]


def blocks_of(map_: LinearMap) -> int:
    """Into how many independent parts a map splits its channels."""
    return map_.groups if isinstance(map_, Convolution | TransposedConvolution) else 1


def carries(map_: LinearMap) -> bool:
    """Whether each output entry of the map reads entries of one unit only, by construction of the map."""
    if isinstance(map_, Sum):
        return all(carries(part) for part in map_.parts)
    return isinstance(map_, Scale | Selection | Channelwise) or is_depthwise(map_)


def input_slots(map_: LinearMap) -> Labels:
    """For a map with weights: the input column (feature or channel) that each flat input entry goes into."""
    if isinstance(map_, Dense):
        return np.tile(np.arange(map_.in_shape[-1]), map_.positions)
    channels = map_.in_shape[0]
    return np.repeat(np.arange(channels), int(np.prod(map_.in_shape[1:])))


def output_slots(map_: LinearMap) -> Labels:
    """For a map with weights: the output row (feature or channel) that each flat output entry comes from."""
    if isinstance(map_, Dense):
        return np.tile(np.arange(map_.out_shape[-1]), map_.positions)
    return np.repeat(np.arange(map_.out_shape[0]), int(np.prod(map_.out_shape[1:])))


def axis_of_units(grid: Labels) -> int | None:
    """The axis along which the units of an array lie, one or none at each place; None if there is no such axis."""
    for axis, size in enumerate(grid.shape):
        lines = np.moveaxis(grid, axis, 0).reshape(size, -1)
        if ((lines == lines.max(axis=1, keepdims=True)) | (lines == ABSENT)).all():
            return axis
    return None
