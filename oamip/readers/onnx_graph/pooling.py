"""Pools, and reductions over whole axes."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from oamip.network import Channelwise
from oamip.readers.onnx_graph.draft import Array, Draft, Shape, Signal
from oamip.readers.onnx_graph.windows import Options, axes_of, channels_first, positions
from oamip.readers.piecewise import largest

__all__ = [
    "average_pool",
    "global_average",
    "global_max",
    "max_pool",
    "reduce_max",
    "reduce_mean",
    "reduce_min",
    "reduce_sum",
]

Ints: TypeAlias = Sequence[int] | None


def max_pool(
    draft: Draft,
    x: Signal,
    *,
    auto_pad: str,
    kernel_shape: Sequence[int],
    ceil_mode: int = 0,
    dilations: Ints = None,
    pads: Ints = None,
    storage_order: int = 0,  # noqa: ARG001  # of the indices, which are not read
    strides: Ints = None,
) -> Signal:
    """``MaxPool``; padding is absent, not zero."""
    shape = channels_first(draft, x)
    options = Options(auto_pad, pads, strides, dilations, ceil_mode)
    axes = axes_of(draft, shape[1:], kernel_shape, options)
    index = positions(draft, axes)
    if (index < 0).all(axis=1).any():
        draft.refuse("a window covers nothing but padding; choose a smaller padding or dilation")
    draft.reserve((shape[0], *index.shape))
    shift = np.arange(shape[0])[:, None, None] * math.prod(shape[1:])
    every = np.where(index >= 0, index + shift, -1).reshape(-1, index.shape[1])
    out = (shape[0], *(axis.length for axis in axes))
    return replace(draft.maximum(x, out, every), sizes=(1, *out))


def average_pool(
    draft: Draft,
    x: Signal,
    *,
    auto_pad: str,
    kernel_shape: Sequence[int],
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: Ints = None,
    pads: Ints = None,
    strides: Ints = None,
) -> Signal:
    """``AveragePool``; what ``ceil_mode`` adds behind the padding never counts."""
    shape = channels_first(draft, x)
    options = Options(auto_pad, pads, strides, dilations, ceil_mode)
    axes = axes_of(draft, shape[1:], kernel_shape, options)
    index = positions(draft, axes)
    divisors = np.ones(1)
    for axis in axes:  # the divisor of a box is the product of those of its sides
        before, after = (axis.before, axis.after) if count_include_pad else (0, 0)
        entries = axis.entries()
        counted = ((entries >= -before) & (entries < axis.size + after)).sum(axis=1)
        divisors = np.multiply.outer(divisors, counted).ravel()
    if not divisors.all():
        draft.refuse("a window covers nothing but padding; choose a smaller padding or dilation")
    return _averaged(draft, x, index, 1 / divisors, tuple(axis.length for axis in axes))


def _averaged(draft: Draft, x: Signal, index: NDArray[np.intp], factors: Array, spatial: Shape) -> Signal:
    """``factor · Σ`` over the positions in each row of ``index``, in every channel."""
    inside = index >= 0
    starts = np.concatenate([[0], np.cumsum(inside.sum(axis=1))])
    data = np.broadcast_to(factors[:, None], index.shape)[inside]
    weights = sp.csr_array((data, index[inside], starts), shape=(len(index), math.prod(x.shape[1:])))
    out = (x.shape[0], *spatial)
    return replace(draft.affine(out, (x, Channelwise(weights, x.shape, spatial))), sizes=(1, *out))


def global_average(draft: Draft, x: Signal) -> Signal:
    """``GlobalAveragePool``."""
    return reduce_mean(draft, x, range(2, len(channels_first(draft, x)) + 1), keepdims=1)


def global_max(draft: Draft, x: Signal) -> Signal:
    """``GlobalMaxPool``."""
    return reduce_max(draft, x, range(2, len(channels_first(draft, x)) + 1), keepdims=1)


def reduce_mean(draft: Draft, x: Signal, axes: Any = None, *, keepdims: int, noop_with_empty_axes: int = 0) -> Signal:
    """``ReduceMean``."""
    over, sizes = _reduced(draft, x, axes, keepdims, noop_with_empty_axes)
    return _summed(draft, x, over, sizes, 1 / max(math.prod(x.sizes[axis] for axis in over), 1))


def reduce_sum(draft: Draft, x: Signal, axes: Any = None, *, keepdims: int, noop_with_empty_axes: int = 0) -> Signal:
    """``ReduceSum``."""
    over, sizes = _reduced(draft, x, axes, keepdims, noop_with_empty_axes)
    return _summed(draft, x, over, sizes, 1.0)


def reduce_max(draft: Draft, x: Signal, axes: Any = None, *, keepdims: int, noop_with_empty_axes: int = 0) -> Signal:
    """``ReduceMax``."""
    return _extreme(draft, x, *_reduced(draft, x, axes, keepdims, noop_with_empty_axes), 1.0)


def reduce_min(draft: Draft, x: Signal, axes: Any = None, *, keepdims: int, noop_with_empty_axes: int = 0) -> Signal:
    """``ReduceMin``."""
    return _extreme(draft, x, *_reduced(draft, x, axes, keepdims, noop_with_empty_axes), -1.0)


def _reduced(draft: Draft, x: Signal, axes: Any, keepdims: int, noop: int) -> tuple[set[int], Shape]:
    """The axes to reduce, and the sizes that are left."""
    given = () if axes is None else draft.integers(axes)
    rank = len(x.sizes)
    over = {range(rank)[axis] for axis in given} if given or noop else set(range(rank))
    return over, tuple(1 if at in over else size for at, size in enumerate(x.sizes) if keepdims or at not in over)


def _inner(x: Signal, over: Collection[int]) -> set[int]:
    """Axes of the tensor as axes of its node, which has no leading 1."""
    dropped = len(x.sizes) - len(x.shape)
    return {axis - dropped for axis in over if axis >= dropped}


def _summed(draft: Draft, x: Signal, over: Collection[int], sizes: Shape, factor: float) -> Signal:
    inner = _inner(x, over)
    spatial: Shape = ()
    if 0 in inner or not inner:  # sums run over positions, the same for every channel: channels to the front
        kept = [axis for axis in range(len(x.sizes)) if axis not in over]
        index = draft.index(x).transpose([*kept, *over])
        x = draft.move(x, index.reshape(1, math.prod(x.sizes[axis] for axis in kept), -1))
        rows = np.arange(x.shape[1])[None]
    else:
        rest = x.shape[1:]
        order = [axis for axis in range(1, len(x.shape)) if axis not in inner]
        places = np.arange(math.prod(rest)).reshape(1, *rest).transpose([0, *order, *sorted(inner)])
        rows = places.reshape(math.prod(x.shape[axis] for axis in order), -1)
        spatial = tuple(x.shape[axis] for axis in order)
    y = _averaged(draft, x, rows, np.full(len(rows), factor), spatial)
    return draft.move(y, draft.index(y).reshape(sizes))


def _extreme(draft: Draft, x: Signal, over: Collection[int], sizes: Shape, sign: float) -> Signal:
    draft.reserve(x.sizes)
    inner = _inner(x, over)
    y = largest(draft, x, inner, keepdims=True, sign=sign) if inner else x
    y = replace(y, sizes=(*(1,) * (len(x.sizes) - len(x.shape)), *y.shape))
    return draft.move(y, draft.index(y).reshape(sizes))
