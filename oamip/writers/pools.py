"""What windows a maximum or an average is taken over, from the positions that each entry looks at.

    largest(index, in_shape, out_shape)      a max node as MaxPool or maxima over whole axes
    averaged(weights, in_shape, spatial)     a Channelwise map as AveragePool or means over whole axes

Along each axis the k-th window is k · stride − before + {0, dilation, …}, cut to the array. Candidates for the numbers
are read off the first and last positions of the windows, and each is then checked against all of them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from oamip.writers.moves import reshaped
from oamip.writers.steps import AveragePool, Channels, Index, Largest, MaxPool, Mean, Scaled, Shape, Window

__all__ = ["averaged", "largest", "weights_of"]

Spans: TypeAlias = list[tuple[Index, Index, int]]
"""For each axis: first and last position that each output sees, and the distance between positions."""


def largest(index: Index, in_shape: Shape, out_shape: Shape) -> tuple[Any, ...] | None:
    """Operators that take the maxima ``index`` (outputs, k; −1 absent); ``None`` if no windows give them."""
    found = _whole_axes(index, in_shape)
    if found is not None:
        axes, kept = found
        keep = out_shape != _without(kept, axes)
        return (Largest(axes, keep), *(reshaped(kept, out_shape) if keep else ()))
    if not 2 <= len(in_shape) == len(out_shape) or in_shape[0] != out_shape[0]:
        return None
    rows = index.reshape(in_shape[0], -1, index.shape[1])
    shift = np.arange(in_shape[0])[:, None, None] * math.prod(in_shape[1:])
    if not np.array_equal(np.where(rows >= 0, rows - shift, -1), np.broadcast_to(rows[0], rows.shape)):
        return None
    spans = _spans(rows[0], in_shape[1:], out_shape[1:])
    windows = None if spans is None else next(_windows(spans, in_shape[1:]), None)
    return None if windows is None else (MaxPool(windows),)


def averaged(weights: sp.csr_array, in_shape: Shape, spatial: Shape) -> tuple[Any, ...]:
    """Operators that compute ``weights · x[c]`` for every channel c."""
    otherwise = (Channels(weights, spatial),)
    counts = np.diff(weights.indptr)
    if not counts.all():
        return otherwise
    inside = np.arange(counts.max()) < counts[:, None]
    index = np.full(inside.shape, -1, dtype=np.intp)
    index[inside] = weights.indices
    values = weights.data[weights.indptr[:-1]]
    if not np.array_equal(weights.data, np.repeat(values, counts)):
        return otherwise
    found = _whole_axes(index, in_shape[1:])
    if found is not None and (values == values[0]).all():
        axes, kept = found
        keep = spatial != _without(kept, axes)
        rest = reshaped((in_shape[0], *kept), (in_shape[0], *spatial)) if keep else ()
        return (Mean(tuple(axis + 1 for axis in axes), keep), *_scaled(values[0] * counts[0]), *rest)
    spans = _spans(index, in_shape[1:], spatial) if len(spatial) == len(in_shape) - 1 else None
    for windows in _windows(spans, in_shape[1:]) if spans is not None else ():
        if np.allclose(values * counts, 1.0, rtol=1e-12):
            return (AveragePool(windows, counted=False),)
        ratio = values * _counted(windows)
        if np.allclose(ratio, ratio[0], rtol=1e-12):
            return (AveragePool(windows, counted=True), *_scaled(ratio[0]))
    return otherwise


def _without(shape: Shape, axes: tuple[int, ...]) -> Shape:
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def _scaled(factor: float) -> tuple[Scaled, ...]:
    return () if math.isclose(factor, 1.0, rel_tol=1e-12) else (Scaled(np.array(factor)),)


def _counted(windows: tuple[Window, ...]) -> NDArray[np.float64]:
    """For each output the entries of its window, with the padding."""
    counts = np.ones(1)
    for w in windows:
        starts = np.arange(w.length) * w.stride - w.before
        stops = np.minimum(starts + w.kernel, w.size + w.before)
        counts = np.multiply.outer(counts, stops - starts).ravel()
    return counts


def _whole_axes(index: Index, shape: Shape) -> tuple[tuple[int, ...], Shape] | None:
    """The axes that every row of ``index`` runs over whole, standing still on the others; and what is left."""
    if (index < 0).any():
        return None
    places = np.unravel_index(index, shape)
    axes = tuple(axis for axis, place in enumerate(places) if (place != place[:, :1]).any())
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    if not axes or math.prod(kept) != len(index):
        return None
    numbers = np.arange(math.prod(shape)).reshape(shape)
    rest = [axis for axis in range(len(shape)) if axis not in axes]
    expected = numbers.transpose([*rest, *axes]).reshape(len(index), -1)
    return (axes, kept) if np.array_equal(np.sort(index, axis=1), expected) else None


def _spans(index: Index, spatial: Shape, out: Shape) -> Spans | None:
    """What each axis of the windows looks like, if every window is a product of progressions along the axes."""
    present = index >= 0
    ordered = np.sort(index, axis=1)
    if len(index) != math.prod(out) or ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any():
        return None
    total = np.ones(len(index), dtype=np.intp)
    spans: Spans = []
    for axis, place in enumerate(np.unravel_index(np.maximum(index, 0), spatial)):
        low = np.where(present, place, spatial[axis]).min(axis=1)
        high = np.where(present, place, -1).max(axis=1)
        gap = int(np.gcd.reduce(np.where(present, place - low[:, None], 0), axis=None)) or 1
        total *= (high - low) // gap + 1
        lines = [_along(line, axis, out) for line in (low, high)]
        if any(line is None for line in lines):
            return None
        spans.append((*lines, gap))  # type: ignore[arg-type]  # none of them is None
    return spans if np.array_equal(total, present.sum(axis=1)) else None


def _along(line: Index, axis: int, out: Shape) -> Index | None:
    """Values that depend on one axis of the output only, as a function of it."""
    grid = np.moveaxis(line.reshape(out), axis, 0).reshape(out[axis], -1)
    return grid[:, 0] if (grid == grid[:, :1]).all() else None


def _windows(spans: Spans, spatial: Shape) -> Iterator[tuple[Window, ...]]:
    """All windows that look at these positions, the smallest kernels first."""
    return itertools.product(*(_fits(*span, size) for span, size in zip(spans, spatial, strict=True)))


def _fits(low: Index, high: Index, gap: int, size: int) -> list[Window]:
    found = []
    length, steps = len(low), np.arange(len(low))
    widest = int(((high - low) // gap).max()) + 1
    strides = {int(s) for s in (*np.diff(low), *np.diff(high)) if s > 0} or {widest * gap}
    for kernel in (widest, widest + 1, widest + 2):
        extent = gap * (kernel - 1)
        for stride in sorted(strides):
            fronts = {int(p) for p in (*(steps * stride - low), *(steps * stride + extent - high)) if p >= 0}
            for before in sorted(fronts):
                entries = (steps * stride - before)[:, None] + gap * np.arange(kernel)
                inside = (entries >= 0) & (entries < size)
                first = np.where(inside, entries, size).min(axis=1)
                last = np.where(inside, entries, -1).max(axis=1)
                if np.array_equal(first, low) and np.array_equal(last, high):
                    found.append(Window(size, length, kernel, stride, before, gap))
    return found


def weights_of(pool: AveragePool) -> sp.csr_array:
    """An average over windows as weights of the positions, (outputs, inputs)."""
    total = sp.csr_array(np.ones((1, 1)))
    for w in pool.windows:
        entries = (np.arange(w.length) * w.stride - w.before)[:, None] + np.arange(w.kernel) * w.dilation
        rows, columns = np.nonzero((entries >= 0) & (entries < w.size))
        ones = sp.csr_array((np.ones(len(rows)), (rows, entries[rows, columns])), shape=(w.length, w.size))
        total = sp.csr_array(sp.kron(total, ones, format="csr"))
    counts = _counted(pool.windows) if pool.counted else np.diff(total.indptr)
    return sp.csr_array(sp.diags_array(1.0 / counts) @ total)
