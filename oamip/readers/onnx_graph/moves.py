"""Operators that move entries about: the same numpy function moves a constant, or the positions of a signal."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.readers.onnx_graph.batch import moved
from oamip.readers.onnx_graph.draft import Draft, Shape, Signal

__all__ = ["MOVES", "pad", "pad_constant"]

Moved: TypeAlias = NDArray[Any]


def _flatten(_: Draft, a: Moved, *, axis: int) -> Moved:
    at = axis + a.ndim if axis < 0 else axis
    if not 0 <= at <= a.ndim:
        raise ValueError(f"axis {axis} does not exist in a tensor of sizes {a.shape}")
    return a.reshape(math.prod(a.shape[:at]), math.prod(a.shape[at:]))


def _reshape(draft: Draft, a: Moved, shape: Any, *, allowzero: int = 0) -> Moved:
    wanted = draft.integers(shape)
    if not allowzero:
        wanted = tuple(a.shape[at] if size == 0 else size for at, size in enumerate(wanted))
    return a.reshape(wanted)


def _transpose(_: Draft, a: Moved, *, perm: Any = None) -> Moved:
    return a.transpose(perm)


def _squeeze(draft: Draft, a: Moved, axes: Any = None) -> Moved:
    return np.squeeze(a, axis=None if axes is None else draft.integers(axes))


def _unsqueeze(draft: Draft, a: Moved, axes: Any) -> Moved:
    return np.expand_dims(a, draft.integers(axes))


def _slice(draft: Draft, a: Moved, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Moved:
    first, last = draft.integers(starts), draft.integers(ends)
    along = range(len(first)) if axes is None else draft.integers(axes)
    strides = (1,) * len(first) if steps is None else draft.integers(steps)
    if len({range(a.ndim)[axis] for axis in along}) < len(along):
        draft.refuse(f"it cuts one axis twice, among {tuple(along)}; export the network again")
    for axis, start, end, step in zip(along, first, last, strides, strict=True):
        size = a.shape[axis]
        # Downwards, an end before the first entry means all of them, which a slice of Python writes as None.
        stop = None if step < 0 and end < -size else end
        cut = [slice(None)] * a.ndim
        cut[axis] = slice(start, stop, step)
        a = a[tuple(cut)]
    return a


def _gather(draft: Draft, a: Moved, indices: Any, *, axis: int) -> Moved:
    places = np.asarray(indices)
    along = range(a.ndim)[axis]
    draft.reserve((*a.shape[:along], *places.shape, *a.shape[along + 1 :]))
    return np.take(a, places, axis=along)


def _split(draft: Draft, a: Moved, split: Any = None, *, axis: int, num_outputs: int = 0) -> tuple[Moved, ...]:
    along, parts = range(a.ndim)[axis], len(draft.call.outputs)
    size = a.shape[along]
    if num_outputs not in (0, parts):
        draft.refuse(f"it has {parts} outputs and splits into {num_outputs}; export the network again")
    if split is None:
        part = -(-size // parts)
        widths: Shape = (part,) * (parts - 1) + (size - part * (parts - 1),)
    else:
        widths = draft.integers(split)
    if sum(widths) != size or min(widths, default=0) < 0 or len(widths) != len(draft.call.outputs):
        draft.refuse(f"it splits {size} entries into {widths} for {len(draft.call.outputs)} outputs; export it again")
    return tuple(np.split(a, np.cumsum(widths)[:-1], axis=along))


def _expand(draft: Draft, a: Moved, shape: Any) -> Moved:
    sizes = np.broadcast_shapes(a.shape, draft.integers(shape))
    draft.reserve(sizes)
    return np.broadcast_to(a, sizes)


def _tile(draft: Draft, a: Moved, repeats: Any) -> Moved:
    times = draft.integers(repeats)
    if len(times) != a.ndim:
        raise ValueError(f"it repeats {len(times)} axes of a tensor with {a.ndim}")
    draft.reserve([size * count for size, count in zip(a.shape, times, strict=True)])
    return np.tile(a, times)


def _depth_to_space(_: Draft, a: Moved, *, blocksize: int, mode: str = "DCR") -> Moved:
    n, c, h, w = a.shape
    inner = c // blocksize**2
    if mode == "DCR":
        parts = a.reshape(n, blocksize, blocksize, inner, h, w).transpose(0, 3, 4, 1, 5, 2)
    else:
        parts = a.reshape(n, inner, blocksize, blocksize, h, w).transpose(0, 1, 4, 2, 5, 3)
    return parts.reshape(n, inner, h * blocksize, w * blocksize)


def _space_to_depth(_: Draft, a: Moved, *, blocksize: int) -> Moved:
    n, c, h, w = a.shape
    parts = a.reshape(n, c, h // blocksize, blocksize, w // blocksize, blocksize).transpose(0, 3, 5, 1, 2, 4)
    return parts.reshape(n, c * blocksize**2, h // blocksize, w // blocksize)


def _same(_: Draft, a: Moved) -> Moved:
    return a


MOVES: dict[str, Callable[..., Any]] = {
    "DepthToSpace": _depth_to_space,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "Identity": _same,
    "Reshape": _reshape,
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
"""Operator to a function that takes the draft, an array, and the operator's other inputs and attributes."""


def pad(
    draft: Draft, x: Signal, pads: Any, constant_value: Any = None, axes: Any = None, *, mode: str, value: float = 0.0
) -> Signal:
    """``Pad`` of a tensor that depends on the input; a constant other than 0 goes into the bias."""
    index = moved(draft, x, lambda a, widths, along: _padded(draft, a, widths, along, mode, -1), pads, axes)
    fill = draft.numbers(value if constant_value is None else constant_value).reshape(())
    return draft.move(x, index, bias=np.where(index < 0, fill, 0.0) if fill else 0.0)


def pad_constant(
    draft: Draft, a: Moved, pads: Any, constant_value: Any = None, axes: Any = None, *, mode: str, value: float = 0.0
) -> Moved:
    """``Pad`` of a constant."""
    fill = np.asarray(value if constant_value is None else constant_value).reshape(())
    return _padded(draft, a, pads, axes, mode, fill)


def _padded(draft: Draft, a: Moved, pads: Any, axes: Any, mode: str, fill: Any) -> Moved:
    widths = draft.integers(pads)
    given = range(a.ndim) if axes is None else draft.integers(axes)
    along = [range(a.ndim)[axis] for axis in given]
    fitting = len(widths) == 2 * len(along) and len({*along}) == len(along)
    if not fitting or mode not in ("constant", "reflect", "edge", "wrap"):
        draft.refuse(f"its pads {widths} and mode '{mode}' do not fit a tensor of sizes {a.shape}")
    ends = [(0, 0)] * a.ndim
    for axis, before, after in zip(along, widths[: len(along)], widths[len(along) :], strict=True):
        ends[axis] = before, after
    inner = tuple(slice(max(-low, 0), size - max(-high, 0)) for (low, high), size in zip(ends, a.shape, strict=True))
    grown = [(max(low, 0), max(high, 0)) for low, high in ends]
    draft.reserve([size + low + high for size, (low, high) in zip(a.shape, ends, strict=True)])
    if mode == "constant":
        return np.pad(a[inner], grown, constant_values=fill)
    padded: Moved = np.pad(a[inner], grown, mode=mode)  # type: ignore[call-overload]  # its modes are literals
    return padded
