"""Piecewise-linear functions as affine and ReLU nodes; every reader writes them through here.

    max(x, b) = b + relu(x − b)        min(x, b) = b − relu(b − x)        max(a, b) = a + relu(b − a)
    x < 0 ? s x : x  = s x + (1 − s) relu(x)  for s ≤ 1,   x + (1 − s) relu(−x)  for s > 1

One ReLU, so one binary variable, for each kink, and the triangle relaxation of that ReLU is the convex hull of the
whole function. Where the function is monotone (all but V shapes, s < 0) interval arithmetic is exact on these forms:
every term grows with x, or x enters once. That is why a clamp is nested, and not relu(x − low) − relu(x − high), whose
interval forgets the upper bound.

A function that does not map 0 to 0 wakes a removed unit; the bias of its last node says so, and `Groups.sites` puts a
gate there. A lower bound of 0 comes last in a clamp, as a plain ReLU, so that ReLU6 needs no such gate.

Nothing here knows torch or ONNX: a reader's draft is anything that can write three kinds of node.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oamip.network import Layer, LinearMap, Scale, Selection, identity

__all__ = [
    "Value",
    "Writer",
    "absolute",
    "clamp",
    "hard_sigmoid",
    "largest",
    "leaky",
    "maximum",
    "minimum",
    "soft_shrink",
    "stretch",
]

Array: TypeAlias = NDArray[np.float64]
Shape: TypeAlias = tuple[int, ...]

_FAR = 2.0**20
"""Beyond this a bound would cost digits: b − (b − x) is x only to eps·|b|. Then x + relu(b − x) stands for the same."""


class Value(Protocol):
    """The value of a node, as a reader holds it."""

    @property
    def shape(self) -> Shape:
        """Shape of the node."""
        ...


V = TypeVar("V", bound=Value)


class Writer(Protocol[V]):
    """The network under construction."""

    def affine(
        self,
        shape: Shape,
        *edges: tuple[V, LinearMap],
        bias: ArrayLike = 0.0,
        layer: Layer | None = None,
        rigid: str = "",
    ) -> V:
        """A node ``Σ A_e x_e + bias``, with the arguments of `oamip.network.Affine`."""
        ...

    def relu(self, x: V) -> V:
        """A node ``max(0, x)``."""
        ...

    def maximum(self, x: V, shape: Shape, index: NDArray[np.intp]) -> V:
        """A node of maxima over the candidates ``index`` (outputs, k) of ``x``."""
        ...


# ── one argument ─────────────────────────────────────────────────────────────────────────────────────────────────────


def leaky(draft: Writer[V], x: V, slope: ArrayLike, rigid: str = "", layer: Layer | None = None) -> V:
    """``x`` where it is positive and ``slope · x`` elsewhere: leaky ReLU, PReLU, and with −1 the absolute value.

    Args:
        draft: gets the nodes.
        x: any value.
        slope: broadcastable to its shape, any sign.
        rigid: why the entries cannot be removed one by one, where the slope has a fixed number of entries.
        layer: whose parameter the slope is, if each channel has its own.
    """
    s = np.asarray(slope, dtype=np.float64)
    steep = s > 1
    turned = _scaled(draft, x, np.where(steep, -1.0, 1.0)) if steep.any() else x
    bent = draft.relu(turned)
    if not s.any() and layer is None:
        return bent
    edges = (x, Scale(np.where(steep, 1.0, s), x.shape)), (bent, Scale(1.0 - s, x.shape))
    return draft.affine(x.shape, *edges, layer=layer, rigid=rigid)


def absolute(draft: Writer[V], x: V) -> V:
    """``|x|``."""
    return leaky(draft, x, -1.0)


def clamp(draft: Writer[V], x: V, low: ArrayLike | None = None, high: ArrayLike | None = None, rigid: str = "") -> V:
    """``min(max(x, low), high)``; a bound that is None or infinite does not bind, and ``high`` wins over ``low``.

    Args:
        draft: gets the nodes.
        x: any value.
        low: broadcastable to its shape.
        high: broadcastable to its shape.
        rigid: why the entries cannot be removed one by one, where a bound has a fixed number of entries.
    """
    ceiling = np.asarray(np.inf if high is None else high, dtype=np.float64)
    floor = np.minimum(np.asarray(-np.inf if low is None else low, dtype=np.float64), ceiling)
    if not (ceiling == np.inf).all():
        x = _bounded(draft, x, ceiling, -1.0, rigid)
    return x if (floor == -np.inf).all() else _bounded(draft, x, floor, 1.0, rigid)


def _bounded(draft: Writer[V], x: V, bound: Array, sign: float, rigid: str) -> V:
    """``max(x, bound)`` for sign 1 and ``min(x, bound)`` for sign −1."""
    if not bound.any() and sign > 0:
        return draft.relu(x)
    if np.abs(bound).max() > _FAR:
        beyond = draft.relu(_scaled(draft, x, -sign, sign * bound, rigid))
        return draft.affine(x.shape, (x, identity(x.shape)), (beyond, Scale(np.array(sign), x.shape)), rigid=rigid)
    inside = draft.relu(_scaled(draft, x, sign, -sign * bound, rigid))
    return _scaled(draft, inside, sign, bound, rigid)


def hard_sigmoid(draft: Writer[V], x: V, alpha: float = 1 / 6, beta: float = 0.5) -> V:
    """``min(max(alpha x + beta, 0), 1)``; torch's values are the defaults."""
    return clamp(draft, _scaled(draft, x, alpha, beta), 0.0, 1.0)


def soft_shrink(draft: Writer[V], x: V, width: float = 0.5) -> V:
    """``x`` moved towards 0 by ``width``, and 0 where it is nearer than that; ``width ≥ 0``."""
    above, below = (draft.relu(_scaled(draft, x, sign, -width)) for sign in (1.0, -1.0))
    return draft.affine(x.shape, (above, identity(x.shape)), (below, Scale(np.array(-1.0), x.shape)))


def _scaled(draft: Writer[V], x: V, factor: ArrayLike, shift: ArrayLike = 0.0, rigid: str = "") -> V:
    """``factor · x + shift``."""
    map_ = Scale(np.asarray(factor, dtype=np.float64), x.shape)
    return draft.affine(x.shape, (x, map_), bias=shift, rigid=rigid)


# ── several arguments ────────────────────────────────────────────────────────────────────────────────────────────────


def maximum(draft: Writer[V], a: V, b: V) -> V:
    """The larger of two values, entry by entry; they are broadcast against each other.

    A ReLU of the difference, not a max node: the channels of both sides stay removable, together.
    """
    return _extreme(draft, a, b, 1.0)


def minimum(draft: Writer[V], a: V, b: V) -> V:
    """The smaller of two values, entry by entry; they are broadcast against each other."""
    return _extreme(draft, a, b, -1.0)


def _extreme(draft: Writer[V], a: V, b: V, sign: float) -> V:
    shape = np.broadcast_shapes(a.shape, b.shape)
    a, b = stretch(draft, a, shape), stretch(draft, b, shape)
    plus, minus = Scale(np.array(sign), shape), Scale(np.array(-sign), shape)
    ahead = draft.relu(draft.affine(shape, (b, plus), (a, minus)))
    return draft.affine(shape, (a, identity(shape)), (ahead, plus))


def stretch(draft: Writer[V], x: V, shape: Shape) -> V:
    """``x`` broadcast to a shape; itself if it has that shape."""
    if x.shape == shape:
        return x
    index = np.broadcast_to(np.arange(math.prod(x.shape)).reshape(x.shape), shape)
    return draft.affine(shape, (x, Selection(index, x.shape)))


def largest(draft: Writer[V], x: V, axes: Collection[int], keepdims: bool = False, sign: float = 1.0) -> V:
    """The maximum over some axes of the node's array; with ``sign`` −1 the minimum."""
    entries = np.arange(math.prod(x.shape)).reshape(x.shape)
    kept = [axis for axis in range(len(x.shape)) if axis not in axes]
    rows = entries.transpose([*kept, *axes]).reshape(math.prod(x.shape[axis] for axis in kept), -1)
    shape = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape) if keepdims or axis not in axes)
    if sign > 0:
        return draft.maximum(x, shape, rows)
    return _scaled(draft, draft.maximum(_scaled(draft, x, -1.0), shape, rows), -1.0)
