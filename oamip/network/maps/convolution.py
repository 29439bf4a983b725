"""Convolution in any number of dimensions, computed as one matrix product per kernel position."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from oamip.network.maps.base import Array, Shape

__all__ = ["Convolution"]


@dataclass(frozen=True, eq=False)
class Convolution:
    """Cross-correlation as torch defines it, with zero padding.

    Args:
        weight: (out_channels, in_channels / groups, *kernel).
        in_shape: (in_channels, *spatial).
        stride, dilation: one number per spatial axis.
        padding: (before, after) per spatial axis.
        groups: in- and out-channels are split into this many independent parts.
    """

    weight: Array
    in_shape: Shape
    stride: Shape
    padding: tuple[tuple[int, int], ...]
    dilation: Shape
    groups: int = 1

    @property
    def rows(self) -> Array:
        """The weights by output channel."""
        return self.weight

    @property
    def kernel(self) -> Shape:
        """Kernel size per spatial axis."""
        return self.weight.shape[2:]

    @property
    def out_shape(self) -> Shape:  # noqa: D102
        spatial = tuple(
            (size + sum(pad) - dilation * (kernel - 1) - 1) // stride + 1
            for size, pad, dilation, kernel, stride in zip(
                self.in_shape[1:], self.padding, self.dilation, self.kernel, self.stride, strict=True
            )
        )
        return (self.weight.shape[0], *spatial)

    @property
    def fan_in(self) -> int:  # noqa: D102
        return math.prod(self.weight.shape[1:])

    @property
    def nonzeros(self) -> int:  # noqa: D102
        inside = np.pad(np.ones(self.in_shape[1:], dtype=np.bool_), self.padding)
        return sum(
            int(np.count_nonzero(self.weight[(..., *offset)]) * np.count_nonzero(inside[window]))
            for offset, window in self._windows()
        )

    @property
    def positions(self) -> int:
        """Number of spatial positions of the output."""
        return math.prod(self.out_shape[1:])

    def apply(self, x: Array) -> Array:  # noqa: D102
        return self._correlate(x, self.weight)

    def magnitude(self, x: Array) -> Array:  # noqa: D102
        return self._correlate(x, np.abs(self.weight))

    def _correlate(self, x: Array, weight: Array) -> Array:
        n, g = len(x), self.groups
        out = self.out_shape
        padded = np.pad(x, ((0, 0), (0, 0), *self.padding))
        grouped = weight.reshape(g, out[0] // g, -1, *self.kernel)
        total = np.zeros((n, g, out[0] // g, self.positions))
        for offset, window in self._windows():
            part = padded[(..., *window)].reshape(n, g, self.in_shape[0] // g, self.positions)
            total += grouped[(..., *offset)] @ part
        return total.reshape(n, *out)

    def adjoint(self, y: Array) -> Array:  # noqa: D102
        n, g = len(y), self.groups
        channels, *spatial = self.in_shape
        padded = np.zeros((n, channels, *(s + sum(p) for s, p in zip(spatial, self.padding, strict=True))))
        grouped = self.weight.reshape(g, self.out_shape[0] // g, -1, *self.kernel)
        parts = y.reshape(n, g, self.out_shape[0] // g, self.positions)
        for offset, window in self._windows():
            back = grouped[(..., *offset)].swapaxes(1, 2) @ parts
            padded[(..., *window)] += back.reshape(n, channels, *self.out_shape[1:])
        inner = (slice(before, before + s) for s, (before, _) in zip(spatial, self.padding, strict=True))
        return padded[(slice(None), slice(None), *inner)]

    def _windows(self) -> Iterator[tuple[Any, Any]]:
        """Each kernel position with the strided window of the padded input that it multiplies."""
        for offset in itertools.product(*(range(k) for k in self.kernel)):
            window = tuple(
                slice(o * d, o * d + s * (length - 1) + 1, s)
                for o, d, s, length in zip(offset, self.dilation, self.stride, self.out_shape[1:], strict=True)
            )
            yield offset, window

    def matrix(self) -> sp.csr_array:  # noqa: D102
        channels, *spatial = self.in_shape
        out, g = self.out_shape, self.groups
        numbers = np.pad(np.arange(math.prod(spatial)).reshape(spatial), self.padding, constant_values=-1)
        rows, columns, data = [], [], []
        per_in, per_out = channels // g, out[0] // g
        in_channel = (np.arange(out[0]) // per_out * per_in)[:, None] + np.arange(per_in)  # (out_channels, in / groups)
        for offset, window in self._windows():
            source = numbers[window].ravel()
            inside = np.flatnonzero(source >= 0)
            row = np.arange(out[0])[:, None, None] * self.positions + inside
            column = in_channel[:, :, None] * math.prod(spatial) + source[inside]
            shape = np.broadcast_shapes(row.shape, column.shape)
            rows.append(np.broadcast_to(row, shape).ravel())
            columns.append(np.broadcast_to(column, shape).ravel())
            data.append(np.broadcast_to(self.weight[(..., *offset)][:, :, None], shape).ravel())
        entries = (np.concatenate(data), (np.concatenate(rows), np.concatenate(columns)))
        return sp.csr_array(entries, shape=(math.prod(out), math.prod(self.in_shape)))
