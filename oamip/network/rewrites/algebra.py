"""Products and sums of linear maps that are again one map of a known kind."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.network.labels import Labels, input_slots, output_slots
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
)

__all__ = ["is_identity", "per_slot", "product", "total"]

Array: TypeAlias = NDArray[np.float64]


def is_identity(map_: LinearMap) -> bool:
    """Whether every entry stays where it is, as it is."""
    if isinstance(map_, Scale):
        return bool((map_.factor == 1).all())
    if not isinstance(map_, Selection) or map_.in_shape != map_.out_shape:
        return False
    return bool((map_.index.ravel() == np.arange(map_.index.size)).all())


def per_slot(entries: Array, slots: Labels, tolerance: float = 0.0) -> Array | None:
    """One number for each slot of an array (flat) whose entries of a slot are all equal; None if they are not."""
    values = np.zeros(int(slots.max(initial=-1)) + 1)
    values[slots] = entries
    same = np.abs(values[slots] - entries) <= tolerance * np.abs(entries)
    return values if same.all() else None


# ── products ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def product(outer: LinearMap, inner: LinearMap) -> LinearMap | None:
    """``outer · inner`` as one map, or None if no kind of map holds it."""
    if is_identity(inner):
        return outer
    if is_identity(outer):
        return inner
    if isinstance(outer, Sum) or isinstance(inner, Sum):
        outers = outer.parts if isinstance(outer, Sum) else (outer,)
        inners = inner.parts if isinstance(inner, Sum) else (inner,)
        parts = [product(left, right) for left in outers for right in inners]
        whole = [part for part in parts if part is not None]
        return _added(whole) if len(whole) == len(parts) else None
    rule: Callable[[Any, Any], LinearMap | None] | None = _PRODUCTS.get((type(outer), type(inner)))
    return None if rule is None else rule(outer, inner)


def _moved_twice(outer: Selection, inner: Selection) -> Selection:
    index = inner.index.ravel()[outer.index]
    return Selection(np.where(outer.index >= 0, index, -1), inner.in_shape)


def _scaled_twice(outer: Scale, inner: Scale) -> Scale:
    return Scale(outer.factor * inner.factor, inner.in_shape)


def _dense_twice(outer: Dense, inner: Dense) -> Dense:
    return Dense(outer.weight @ inner.weight, inner.in_shape)


def _averaged_twice(outer: Channelwise, inner: Channelwise) -> Channelwise:
    return Channelwise((outer.weights @ inner.weights).tocsr(), inner.in_shape, outer.out_spatial)


def _scaled_columns(outer: Weighted, inner: Scale) -> LinearMap | None:
    entries = np.broadcast_to(inner.factor, inner.in_shape).ravel()
    factors = per_slot(entries, input_slots(outer))
    return None if factors is None else _scaled(outer, columns=factors)


def _scaled_rows(outer: Scale, inner: Weighted) -> LinearMap | None:
    entries = np.broadcast_to(outer.factor, outer.in_shape).ravel()
    factors = per_slot(entries, output_slots(inner))
    return None if factors is None else _scaled(inner, rows=factors)


def _scaled(map_: Weighted, rows: Array | None = None, columns: Array | None = None) -> LinearMap:
    """A map with weights, each row and each column times a number."""
    if isinstance(map_, TransposedConvolution):
        convolution = _scaled(map_.convolution, rows=columns, columns=rows)
        assert isinstance(convolution, Convolution)
        return TransposedConvolution(convolution)
    weight = map_.weight
    if rows is not None:
        weight = weight * rows.reshape(-1, *(1,) * (weight.ndim - 1))
    if columns is not None:
        groups = map_.groups if isinstance(map_, Convolution) else 1
        grouped = weight.reshape(groups, -1, *weight.shape[1:])
        weight = (grouped * columns.reshape(groups, 1, -1, *(1,) * (weight.ndim - 2))).reshape(weight.shape)
    return replace(map_, weight=weight)


def _dense_selected(outer: Dense, inner: Selection) -> LinearMap | None:
    if len(inner.in_shape) != 1 or len(inner.out_shape) != 1:
        return None
    weight = np.zeros((len(outer.weight), *inner.in_shape))
    present = inner.index >= 0
    np.add.at(weight.T, inner.index[present], outer.weight.T[present])
    return Dense(weight, inner.in_shape)


def _padded_convolution(outer: Convolution, inner: Selection) -> LinearMap | None:
    """Zero padding of the positions becomes the convolution's own."""
    if len(inner.in_shape) != len(inner.out_shape):
        return None
    present = np.argwhere(inner.index >= 0)
    if not present.size:
        return None
    ends = zip(present.min(axis=0), inner.out_shape, inner.in_shape, strict=True)
    frame = [(int(first), out - size - int(first)) for first, out, size in ends]
    if min(map(min, frame)) < 0 or frame[0] != (0, 0):
        return None
    numbers = np.arange(math.prod(inner.in_shape)).reshape(inner.in_shape)
    if (inner.index != np.pad(numbers, frame, constant_values=-1)).any():
        return None
    padding = tuple((a + c, b + d) for (a, b), (c, d) in zip(outer.padding, frame[1:], strict=True))
    return replace(outer, in_shape=inner.in_shape, padding=padding)


def _averaged_selected(outer: Channelwise, inner: Selection) -> LinearMap | None:
    """Positions picked alike in every channel are picked by the weights."""
    channels = inner.in_shape[0]
    if len(inner.in_shape) < 2 or inner.out_shape[0] != channels:
        return None
    size = math.prod(inner.in_shape[1:])
    index = inner.index.reshape(channels, -1)
    first = index[0]
    alike = np.where(first >= 0, first + size * np.arange(channels)[:, None], -1)
    if (index != alike).any() or (first >= size).any():
        return None
    moved = Selection(first, (size,)).matrix()
    return Channelwise((outer.weights @ moved).tocsr(), inner.in_shape, outer.out_spatial)


_PRODUCTS: dict[tuple[type[Any], type[Any]], Callable[..., LinearMap | None]] = {
    (Selection, Selection): _moved_twice,
    (Scale, Scale): _scaled_twice,
    (Dense, Dense): _dense_twice,
    (Channelwise, Channelwise): _averaged_twice,
    (Dense, Scale): _scaled_columns,
    (Convolution, Scale): _scaled_columns,
    (TransposedConvolution, Scale): _scaled_columns,
    (Scale, Dense): _scaled_rows,
    (Scale, Convolution): _scaled_rows,
    (Scale, TransposedConvolution): _scaled_rows,
    (Dense, Selection): _dense_selected,
    (Convolution, Selection): _padded_convolution,
    (Channelwise, Selection): _averaged_selected,
}


# ── sums ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def total(left: LinearMap, right: LinearMap) -> LinearMap:
    """``left + right``, as one map where a kind of map holds it and as a `Sum` elsewhere."""
    return _added([*_parts(left), *_parts(right)])


def _parts(map_: LinearMap) -> tuple[LinearMap, ...]:
    return map_.parts if isinstance(map_, Sum) else (map_,)


def _added(parts: list[LinearMap]) -> LinearMap:
    found: list[LinearMap] = []
    for part in parts:
        for place, other in enumerate(found):
            joined = _joined(other, part)
            if joined is not None:
                found[place] = joined
                break
        else:
            found.append(part)
    return found[0] if len(found) == 1 else Sum(tuple(found))


def _joined(left: LinearMap, right: LinearMap) -> LinearMap | None:
    left, right = _as_scale(left), _as_scale(right)
    if isinstance(left, Scale) and isinstance(right, Scale):
        return Scale(left.factor + right.factor, left.in_shape)
    if isinstance(left, Dense) and isinstance(right, Dense):
        return Dense(left.weight + right.weight, left.in_shape)
    if isinstance(left, Channelwise) and isinstance(right, Channelwise):
        return replace(left, weights=(left.weights + right.weights).tocsr())
    if isinstance(left, Selection) and isinstance(right, Selection):
        if ((left.index >= 0) & (right.index >= 0)).any():
            return None
        return Selection(np.maximum(left.index, right.index), left.in_shape)
    if isinstance(left, Convolution) and isinstance(right, Convolution) and _geometry(left) == _geometry(right):
        return replace(left, weight=left.weight + right.weight)
    return None


def _as_scale(map_: LinearMap) -> LinearMap:
    return Scale(np.ones(()), map_.in_shape) if isinstance(map_, Selection) and is_identity(map_) else map_


def _geometry(map_: Convolution) -> tuple[Any, ...]:
    return map_.weight.shape, map_.stride, map_.padding, map_.dilation, map_.groups
