"""Boxes of entries in an array: what padding surrounds, and what a concatenation puts side by side."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.writers.steps import Shape

__all__ = ["Box", "box_of", "extent_of", "side_by_side", "value_around"]

Box: TypeAlias = tuple[tuple[int, int], ...]
"""(start, stop) along each axis."""


def box_of(index: NDArray[np.intp]) -> Box | None:
    """(start, stop) along each axis of the entries that are not −1; ``None`` where they fill no box.

    Example:
        >>> box_of(np.array([[-1, -1, -1], [-1, 4, 5]]))
        ((1, 2), (1, 3))
    """
    present = index >= 0
    if not present.any():
        return None
    box = []
    for axis in range(index.ndim):
        hit = np.flatnonzero(present.any(axis=tuple(other for other in range(index.ndim) if other != axis)))
        box.append((int(hit[0]), int(hit[-1]) + 1))
    inside = present[tuple(slice(*side) for side in box)]
    return tuple(box) if inside.all() else None


def extent_of(box: Box) -> Shape:
    """Its size along each axis."""
    return tuple(stop - start for start, stop in box)


def side_by_side(boxes: Sequence[Box], shape: Shape) -> int | None:
    """The axis along which boxes fill an array without gap or overlap."""
    if len(boxes) < 2:
        return None
    for axis, size in enumerate(shape):
        others = {tuple(side for at, side in enumerate(box) if at != axis) for box in boxes}
        sides = sorted(box[axis] for box in boxes)
        whole = {tuple((0, n) for at, n in enumerate(shape) if at != axis)}
        joints = all(one[1] == other[0] for one, other in itertools.pairwise(sides))
        if others == whole and joints and sides[0][0] == 0 and sides[-1][1] == size:
            return axis
    return None


def value_around(bias: NDArray[np.float64], inside: tuple[slice, ...]) -> float | None:
    """The one value of a bias outside of a box, where it is 0 inside."""
    outside = np.ones(bias.shape, dtype=np.bool_)
    outside[inside] = False
    values = np.unique(bias[outside])
    if bias[inside].any() or values.size > 1:
        return None
    return float(values[0]) if values.size else 0.0
