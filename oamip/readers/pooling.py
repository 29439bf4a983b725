"""Pooling: windows of positions, the same for every channel."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import nn

from oamip.network import average_pool
from oamip.readers.draft import Draft, Shape, Signal

__all__ = [
    "adaptive_avg_pool",
    "adaptive_max_pool",
    "arguments_of",
    "avg_pool",
    "max_pool",
    "per_axis",
    "pooled_length",
]

Size: TypeAlias = int | Sequence[int]
Window: TypeAlias = tuple[int, int, int]


def arguments_of(rule: Callable[..., Signal], names: str) -> Callable[[Draft, nn.Module, Signal], Signal]:
    """A rule for a module from the rule for the function of the same meaning: the arguments stand in attributes."""

    def module_rule(draft: Draft, module: nn.Module, x: Signal) -> Signal:
        return rule(draft, x, **{name: getattr(module, name) for name in names.split()})

    return module_rule


def max_pool(
    draft: Draft,
    x: Signal,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Signal:
    """``max_pool1d`` and ``max_pool2d``; padding is absent, not zero."""
    if return_indices:
        draft.refuse("return_indices=True is not read; leave it out")
    axes = len(x.shape) - 1
    kernel, pads, spread = (per_axis(value, axes) for value in (kernel_size, padding, dilation))
    strides = per_axis(stride or kernel, axes)
    candidates = [
        _candidates(size, k, s, p, d, pooled_length(size, d * (k - 1) + 1, s, p, ceil_mode))
        for size, k, s, p, d in zip(x.shape[1:], kernel, strides, pads, spread, strict=True)
    ]
    index = _every_channel(_product(candidates, x.shape[1:]), x.shape)
    if (index < 0).all(axis=1).any():
        draft.refuse("a window covers nothing but padding; choose a smaller padding or dilation")
    return draft.maximum(x, (x.shape[0], *(len(rows) for rows in candidates)), index)


def _candidates(size: int, kernel: int, stride: int, padding: int, dilation: int, length: int) -> NDArray[np.intp]:
    """(length, kernel): the positions that each output of one axis looks at, −1 outside the input."""
    position = np.arange(length)[:, None] * stride - padding + np.arange(kernel) * dilation
    return np.where((position >= 0) & (position < size), position, -1)


def _product(candidates: Sequence[NDArray[np.intp]], spatial: Shape) -> NDArray[np.intp]:
    """(outputs, k) flat positions from the candidates of each axis; −1 if one axis is outside."""
    flat = np.zeros((1, 1), dtype=np.intp)
    for rows, size in zip(candidates, spatial, strict=True):
        before, after = flat[:, None, :, None], rows[None, :, None, :]
        joined = np.where((before >= 0) & (after >= 0), before * size + after, -1)
        flat = joined.reshape(len(flat) * len(rows), -1)
    return flat


def _every_channel(index: NDArray[np.intp], shape: Shape) -> NDArray[np.intp]:
    """(channels · outputs, k) from the candidates of one channel."""
    shift = np.arange(shape[0])[:, None, None] * math.prod(shape[1:])
    return np.where(index >= 0, index + shift, -1).reshape(-1, index.shape[1])


def avg_pool(
    draft: Draft,
    x: Signal,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Signal:
    """``avg_pool1d`` and ``avg_pool2d``."""
    axes = len(x.shape) - 1
    kernel, pads = per_axis(kernel_size, axes), per_axis(padding, axes)
    strides = per_axis(stride or kernel, axes)
    windows = [
        _windows(size, k, s, p, ceil_mode, count_include_pad)
        for size, k, s, p in zip(x.shape[1:], kernel, strides, pads, strict=True)
    ]
    if divisor_override is not None:  # the divisor of a box is the product of those of its sides
        windows = [[(a, b, divisor_override if i == 0 else 1) for a, b, _ in side] for i, side in enumerate(windows)]
    return _average(draft, x, windows)


def _windows(size: int, kernel: int, stride: int, padding: int, ceil_mode: bool, count_pad: bool) -> list[Window]:
    """(start, stop, divisor) for each output of one axis."""
    windows = []
    for output in range(pooled_length(size, kernel, stride, padding, ceil_mode)):
        start = output * stride - padding
        stop = min(start + kernel, size + padding)  # what ceil_mode adds beyond the padding never counts
        inside = max(start, 0), min(stop, size)
        windows.append((*inside, stop - start if count_pad else inside[1] - inside[0]))
    return windows


def adaptive_avg_pool(draft: Draft, x: Signal, output_size: Any) -> Signal:
    """``adaptive_avg_pool1d`` and ``adaptive_avg_pool2d``; ``None`` keeps an axis."""
    sides = _adaptive(x, output_size)
    return _average(draft, x, [[(start, stop, stop - start) for start, stop in side] for side in sides])


def adaptive_max_pool(draft: Draft, x: Signal, output_size: Any, return_indices: bool = False) -> Signal:
    """``adaptive_max_pool1d`` and ``adaptive_max_pool2d``; ``None`` keeps an axis."""
    if return_indices:
        draft.refuse("return_indices=True is not read; leave it out")
    candidates = []
    for side in _adaptive(x, output_size):
        widest = max(stop - start for start, stop in side)
        position = np.array([start for start, _ in side])[:, None] + np.arange(widest)
        candidates.append(np.where(position < np.array([stop for _, stop in side])[:, None], position, -1))
    index = _every_channel(_product(candidates, x.shape[1:]), x.shape)
    return draft.maximum(x, (x.shape[0], *(len(rows) for rows in candidates)), index)


def _adaptive(x: Signal, output_size: Any) -> list[list[tuple[int, int]]]:
    """(start, stop) for each output of each axis."""
    spatial = x.shape[1:]
    wanted = output_size if isinstance(output_size, Sequence) else (output_size,) * len(spatial)
    counts = (size if given is None else given for size, given in zip(spatial, wanted, strict=True))
    return [
        [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]
        for size, count in zip(spatial, counts, strict=True)
    ]


def _average(draft: Draft, x: Signal, windows: Sequence[Sequence[Window]]) -> Signal:
    map_ = average_pool(x.shape, windows, tuple(len(side) for side in windows))
    return draft.affine(map_.out_shape, (x, map_))


def pooled_length(size: int, extent: int, stride: int, padding: int, ceil_mode: bool) -> int:
    """Number of outputs along one axis, by torch's rule: no window starts in the padding behind the input."""
    span = size + 2 * padding - extent
    length = (-(-span // stride) if ceil_mode else span // stride) + 1
    return length - (ceil_mode and (length - 1) * stride >= size + padding)


def per_axis(value: Size, axes: int) -> tuple[int, ...]:
    """One number per axis; a single one stands for all."""
    numbers = (value,) if isinstance(value, int) else tuple(value)
    return numbers * axes if len(numbers) == 1 else numbers
