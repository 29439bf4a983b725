"""What is left of arrays and linear maps when entries are cut out along one axis.

A `Cut` says which places along which axis of a node's array stay. A map between two cut arrays is the map without the
rows and columns of the entries that went: each kind of map knows how to lose them and stay of its kind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from oamip.errors import MismatchError
from oamip.network.labels import Labels, axis_of_units, is_depthwise
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

__all__ = ["Cut", "cut_map", "cut_of"]

Places: TypeAlias = NDArray[np.intp]
Shape: TypeAlias = tuple[int, ...]
_Number = TypeVar("_Number", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Cut:
    """The places that stay along one axis of an array.

    Args:
        shape: of the whole array.
        axis: along which it is cut; None if all of it stays.
        kept: places that stay along this axis, ascending.
    """

    shape: Shape
    axis: int | None
    kept: Places

    @cached_property
    def left(self) -> Shape:
        """Shape of what stays."""
        return tuple(self.along(axis).size for axis in range(len(self.shape)))

    def along(self, axis: int) -> Places:
        """The places that stay along any axis; negative axes count from the end."""
        axis %= len(self.shape)
        return self.kept if axis == self.axis else np.arange(self.shape[axis])

    def matches(self, other: Cut) -> bool:
        """Whether the other array, which may have other sizes along the other axes, is cut in the same way."""
        return self.axis == other.axis and np.array_equal(self.kept, other.kept)

    def take(self, array: NDArray[_Number]) -> NDArray[_Number]:
        """What stays of an array whose last axes are those of the whole one."""
        return array if self.axis is None else array.take(self.kept, axis=self.axis - len(self.shape))

    @cached_property
    def moved(self) -> Places:
        """Where each entry (flat) of the whole array is in what stays; −1 for those that went."""
        size = int(np.prod(self.shape))
        numbers = np.full(size, -1)
        stays = self.take(np.arange(size).reshape(self.shape)).ravel()
        numbers[stays] = np.arange(stays.size)
        return numbers


def cut_of(name: str, shape: Shape, labels: Labels, keep: NDArray[np.bool_]) -> Cut:
    """What stays of a node when some units go.

    An entry without a unit (padding) that lies in the row of a unit goes with it, since no array has a ragged edge.

    Args:
        name: of the node, for messages.
        shape: of the node.
        labels: of its entries (flat).
        keep: one bool per unit.

    Raises:
        MismatchError: the entries that go are not whole rows along an axis, or none stays.
    """
    alive = np.append(keep, (True, True))  # the negative labels: entries of no unit stay
    if alive[labels].all():
        return Cut(shape, None, np.arange(0))
    grid = labels.reshape(shape)
    axis = axis_of_units(grid)
    if axis is None:
        raise MismatchError(
            f"the units at node '{name}' lie along no axis of its shape {shape}, so none can be cut out"
        )
    rows = np.moveaxis(grid, axis, 0).reshape(shape[axis], -1).max(axis=1)
    kept = np.flatnonzero(alive[rows])
    if not kept.size:
        raise MismatchError(f"without these units nothing is left of node '{name}'; keep at least one of them")
    return Cut(shape, axis, kept)


def cut_map(map_: LinearMap, before: Cut, after: Cut) -> LinearMap:
    """The map between what stays of its input and what stays of its output."""
    if before.axis is None and after.axis is None:
        return map_
    cut: Callable[[Any, Cut, Cut], LinearMap] = _CUTS[type(map_)]
    return cut(map_, before, after)


def _dense(map_: Dense, before: Cut, after: Cut) -> Dense:
    return Dense(map_.weight[np.ix_(after.along(-1), before.along(-1))], before.left)


def _convolution(map_: Convolution, before: Cut, after: Cut) -> Convolution:
    rows, columns = after.along(0), before.along(0)
    if is_depthwise(map_):
        return replace(map_, weight=map_.weight[rows], in_shape=before.left, groups=rows.size)
    parts = map_.groups
    inner_rows, inner_columns = (_within(kept, cut.shape[0], parts) for kept, cut in ((rows, after), (columns, before)))
    grouped = map_.weight.reshape(parts, -1, *map_.weight.shape[1:])[:, inner_rows][:, :, inner_columns]
    return replace(map_, weight=grouped.reshape(-1, *grouped.shape[2:]), in_shape=before.left)


def _within(kept: Places, size: int, parts: int) -> Places:
    """Places within each part of the channels, which must be the same in all."""
    stays = np.isin(np.arange(size), kept).reshape(parts, -1)
    if (stays != stays[0]).any():
        raise MismatchError("the parts of a grouped convolution would lose different channels")
    return np.flatnonzero(stays[0])


def _transposed(map_: TransposedConvolution, before: Cut, after: Cut) -> TransposedConvolution:
    return TransposedConvolution(_convolution(map_.convolution, after, before))


def _channelwise(map_: Channelwise, before: Cut, _after: Cut) -> Channelwise:
    return replace(map_, in_shape=before.left)


def _scale(map_: Scale, before: Cut, _after: Cut) -> Scale:
    factor = map_.factor.reshape((1,) * (len(before.shape) - map_.factor.ndim) + map_.factor.shape)
    if before.axis is not None and factor.shape[before.axis] > 1:
        factor = factor.take(before.kept, axis=before.axis)
    return Scale(factor, before.left)


def _selection(map_: Selection, before: Cut, after: Cut) -> Selection:
    index = after.take(map_.index)
    return Selection(np.where(index >= 0, before.moved[index], -1), before.left)


def _sum(map_: Sum, before: Cut, after: Cut) -> Sum:
    return Sum(tuple(cut_map(part, before, after) for part in map_.parts))


_CUTS: dict[type[Any], Callable[..., LinearMap]] = {
    Dense: _dense,
    Convolution: _convolution,
    TransposedConvolution: _transposed,
    Channelwise: _channelwise,
    Scale: _scale,
    Selection: _selection,
    Sum: _sum,
}
