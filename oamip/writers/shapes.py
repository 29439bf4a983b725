"""The shape that a step makes of the shape of its one input."""

from __future__ import annotations

from typing import Any

import numpy as np

from oamip.writers.steps import (
    AveragePool,
    Channels,
    Expand,
    Gather,
    Largest,
    MaxPool,
    Mean,
    Merge,
    Permute,
    Pick,
    Reshape,
    Shape,
    Squeeze,
    Take,
    Unsqueeze,
)

__all__ = ["result_of"]


def result_of(operator: Any, shape: Shape) -> Shape:
    """The shape that an operator of one input, other than a layer, makes of a shape."""
    if isinstance(operator, Merge):
        size = int(np.prod(shape[operator.start : operator.stop + 1]))
        return (*shape[: operator.start], size, *shape[operator.stop + 1 :])
    if isinstance(operator, Squeeze):
        return (*shape[: operator.axis], *shape[operator.axis + 1 :])
    if isinstance(operator, Unsqueeze):
        return (*shape[: operator.axis], 1, *shape[operator.axis :])
    if isinstance(operator, Reshape | Expand):
        return operator.shape
    if isinstance(operator, Permute):
        return tuple(shape[axis] for axis in operator.axes)
    if isinstance(operator, Take):
        cuts = zip(operator.slices, shape, strict=True)
        return tuple(size if cut is None else len(range(*cut)) for cut, size in cuts)
    if isinstance(operator, Pick):
        return tuple(len(operator.positions) if at == operator.axis else size for at, size in enumerate(shape))
    if isinstance(operator, Gather):
        return operator.index.shape
    if isinstance(operator, Mean | Largest):
        left = (1,) if operator.keep else ()
        reduced = (left if axis in operator.axes else (size,) for axis, size in enumerate(shape))
        return tuple(size for sizes in reduced for size in sizes)
    if isinstance(operator, Channels):
        return (shape[0], *operator.spatial)
    if isinstance(operator, MaxPool | AveragePool):
        return (shape[0], *(window.length for window in operator.windows))
    return shape
