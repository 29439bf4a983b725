"""What an array of indices does, said in operators that people write: flatten, permute, slice, pad, expand.

    moves(index, in_shape)      operators that bring an array of ``in_shape`` to ``x[index]``
    reshaped(before, after)     a reshape as merged and inserted axes, so that it states no width

Four patterns are tried, from plain to rich: a reshape; each axis of the result walks along one axis of the source
(slices, picks, permutations, repetitions); all axes split into digits that are permuted (pixel shuffles, transpositions
that are flattened); both together. Whatever else there is becomes one `Gather`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.writers.steps import (
    Expand,
    Gather,
    Index,
    Merge,
    Move,
    Permute,
    Pick,
    Reshape,
    Shape,
    Squeeze,
    Take,
    Unsqueeze,
)

__all__ = ["moves", "reshaped"]

Digit: TypeAlias = tuple[int, int]
"""(size, stride): so many positions of the source, so far apart."""


def moves(index: Index, in_shape: Shape) -> tuple[Move, ...]:
    """Operators that bring an array of ``in_shape`` to ``x.ravel()[index]``; no operator if they are the same.

    Args:
        index: positions in the flattened source, in the shape of the result; −1 only makes a `Gather`.
        in_shape: shape of the source.

    Example:
        >>> moves(np.arange(6).reshape(2, 3).T, (2, 3))
        (Permute(axes=(1, 0)),)
        >>> moves(np.arange(12).reshape(3, 4)[:, ::2], (3, 4))
        (Take(slices=(None, (0, 4, 2))),)
        >>> moves(np.arange(12), (3, 2, 2))
        (Merge(start=0, stop=2),)
    """
    if (index < 0).any():
        return (Gather(index),)
    if index.size == math.prod(in_shape) and np.array_equal(index.ravel(), np.arange(index.size)):
        return reshaped(in_shape, index.shape)
    for pattern in (_separable, _permuted_digits, _separable_digits):
        found = pattern(index, in_shape)
        if found is not None:
            return found
    return (Gather(index),)


# ── reshapes ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def reshaped(before: Shape, after: Shape) -> tuple[Move, ...]:
    """A reshape by merging neighbouring axes and inserting axes of length 1, or by numbers where that is not enough.

    Example:
        >>> reshaped((2, 3, 4), (2, 12))
        (Merge(start=1, stop=2),)
        >>> reshaped((5,), (1, 5))
        (Unsqueeze(axis=0),)
        >>> reshaped((12,), (3, 4))
        (Reshape(shape=(3, 4)),)
    """
    if before == after:
        return ()
    if not before:
        return (Unsqueeze(0), *reshaped((1,), after))
    groups = _groups(before, [size for size in after if size > 1])
    if groups is None:
        return (Reshape(after),)
    result: list[Move] = [Merge(start, stop) for start, stop in reversed(groups) if stop > start]
    if not after:
        return (*result, Squeeze(0))
    ones = [axis for axis, size in enumerate(after) if size == 1]
    if all(size == 1 for size in after):
        ones = ones[1:]  # one of them is what all axes were merged to
    return (*result, *(Unsqueeze(axis) for axis in ones))


def _groups(before: Shape, targets: Sequence[int]) -> list[tuple[int, int]] | None:
    """(first, last) of the axes that make each target; ones go with a neighbour. ``None`` if an axis must be split."""
    if not targets:
        return [(0, len(before) - 1)] if math.prod(before) == 1 else None
    groups, axis = [], 0
    for number, target in enumerate(targets):
        start, size = axis, 1
        while axis < len(before) and (size < target or before[axis] == 1 or number == len(targets) - 1):
            size *= before[axis]
            axis += 1
        if size != target:
            return None
        groups.append((start, axis - 1))
    return groups if axis == len(before) else None


# ── each axis of the result along one axis of the source ─────────────────────────────────────────────────────────────


def _separable(index: Index, in_shape: Shape) -> tuple[Move, ...] | None:
    """Slices and picks of the source's axes, a permutation, and repetitions."""
    places = np.unravel_index(index, in_shape)
    driver: dict[int, int] = {}  # axis of the source → axis of the result
    for axis, place in enumerate(places):
        varying = [out for out, size in enumerate(index.shape) if size > 1 and _varies(place, out)]
        if len(varying) > 1 or any(out in driver.values() for out in varying):
            return None
        if varying:
            driver[axis] = varying[0]
    chain: list[Move] = []
    slices: list[tuple[int, int, int] | None] = []
    shape = list(in_shape)
    for axis, place in enumerate(places):
        line = place[(0,) * index.ndim] if axis not in driver else _line(place, driver[axis])
        positions = np.atleast_1d(line).astype(np.intp)
        shape[axis] = len(positions)
        if np.array_equal(positions, np.arange(in_shape[axis])):
            slices.append(None)
        elif (step := _step(positions)) > 0:
            slices.append((int(positions[0]), min(int(positions[-1]) + step, in_shape[axis]), step))
        else:
            slices.append(None)
            chain.append(Pick(axis, positions))
    if any(slices):
        chain.insert(0, Take(tuple(slices)))
    order = sorted(range(len(shape)), key=lambda axis: driver.get(axis, -1))
    walked = [axis for axis in range(len(shape)) if axis in driver]
    if walked != sorted(walked, key=driver.__getitem__):
        chain.append(Permute(tuple(order)))
        shape = [shape[axis] for axis in order]
    narrow = tuple(size if out in driver.values() else 1 for out, size in enumerate(index.shape))
    chain += reshaped(tuple(shape), narrow)
    if narrow != index.shape:
        chain.append(Expand(index.shape))
    return tuple(chain)


def _varies(place: NDArray[np.intp], axis: int) -> bool:
    return bool((place != place.take([0], axis)).any())


def _line(array: NDArray[np.intp], axis: int) -> NDArray[np.intp]:
    """The entries along one axis, at the start of the others."""
    return array[tuple(slice(None) if other == axis else 0 for other in range(array.ndim))]


def _step(positions: Index) -> int:
    """The distance between neighbours if it is the same for all; 0 otherwise, 1 for a single one."""
    steps = np.unique(np.diff(positions))
    return 1 if len(positions) == 1 else int(steps[0]) if len(steps) == 1 else 0


# ── axes split into digits ───────────────────────────────────────────────────────────────────────────────────────────


def _permuted_digits(index: Index, in_shape: Shape) -> tuple[Move, ...] | None:
    """Reshape, permute, reshape: all digits of the source, in another order."""
    by_axis = _digits_of(index, in_shape)
    if by_axis is None or index.size != math.prod(in_shape) or index.flat[0] != 0:
        return None
    digits = [digit for axis in by_axis for digit in axis]
    order = sorted(range(len(digits)), key=lambda at: -digits[at][1])
    reach = 1
    for size, stride in (digits[at] for at in reversed(order)):
        if stride != reach:
            return None
        reach *= size
    split = tuple(digits[at][0] for at in order)
    axes = tuple(int(at) for at in np.argsort(order))
    moved = tuple(split[axis] for axis in axes)
    return (*reshaped(in_shape, split), Permute(axes), *reshaped(moved, index.shape))


def _separable_digits(index: Index, in_shape: Shape) -> tuple[Move, ...] | None:
    """As `_separable` with the axes of the result split into digits, which are merged afterwards."""
    by_axis = _digits_of(index, in_shape)
    if by_axis is None:
        return None
    split = tuple(size for axis in by_axis for size, _ in axis)
    found = _separable(index.reshape(split), in_shape)
    return None if found is None else (*found, *reshaped(split, index.shape))


def _digits_of(index: Index, in_shape: Shape) -> list[list[Digit]] | None:
    """The digits of each axis, if the position is a sum of one multiple of each."""
    by_axis = []
    for axis in range(index.ndim):
        digits = _digits(_line(index, axis), in_shape)
        if digits is None:
            return None
        by_axis.append(digits)
    split = [digit for axis in by_axis for digit in axis]
    total = np.full([size for size, _ in split], index.flat[0], dtype=np.intp)
    for at, (size, stride) in enumerate(split):
        total += (np.arange(size) * stride).reshape(-1, *(1 for _ in split[at + 1 :]))
    return by_axis if np.array_equal(total.ravel(), index.ravel()) else None


def _digits(line: Index, in_shape: Shape) -> list[Digit] | None:
    """A line as digits, slowest first, none of which runs over the end of an axis of the source."""
    digits: list[Digit] = []
    while len(line) > 1:
        stride = int(line[1] - line[0])
        steps = np.flatnonzero(np.diff(line) != stride)
        longest = int(steps[0]) + 1 if steps.size else len(line)
        size = next((d for d in range(longest, 1, -1) if len(line) % d == 0 and _repeats(line, d, stride)), 0)
        if not size:
            return None
        digits = [*_at_axes(size, stride, in_shape), *digits]
        line = line[::size]
    return digits


def _repeats(line: Index, size: int, stride: int) -> bool:
    blocks = line.reshape(-1, size)
    return bool((blocks - blocks[:, :1] == np.arange(size) * stride).all())


def _at_axes(size: int, stride: int, in_shape: Shape) -> list[Digit]:
    """A digit split where it passes from one axis of the source to the next."""
    digits: list[Digit] = []
    for axis in range(len(in_shape)):
        reach = math.prod(in_shape[axis + 1 :])
        if 0 < stride < reach and reach % stride == 0 and size % (reach // stride) == 0 and size > reach // stride:
            digits.append((size // (reach // stride), reach))
            size = reach // stride
    return [*digits, (size, stride)]
