"""One sparse matrix over positions, the same for every channel: average pooling and means."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from oamip.network.maps.base import Array, Shape

__all__ = ["Channelwise", "average_pool"]


@dataclass(frozen=True, eq=False)
class Channelwise:
    """``y[c, p] = Σ_q weights[p, q] x[c, q]``.

    Args:
        weights: (out positions, in positions), sparse.
        in_shape: (channels, *spatial).
        out_spatial: spatial shape of the output, ``()`` for a mean over all positions.
    """

    weights: sp.csr_array
    in_shape: Shape
    out_spatial: Shape

    @property
    def out_shape(self) -> Shape:  # noqa: D102
        return (self.in_shape[0], *self.out_spatial)

    @property
    def fan_in(self) -> int:  # noqa: D102
        return int(np.diff(self.weights.indptr).max(initial=0))

    @property
    def nonzeros(self) -> int:  # noqa: D102
        return self.in_shape[0] * int(np.count_nonzero(self.weights.data))

    def apply(self, x: Array) -> Array:  # noqa: D102
        return self._product(self.weights, x, self.out_shape)

    def magnitude(self, x: Array) -> Array:  # noqa: D102
        return self._product(abs(self.weights), x, self.out_shape)

    def adjoint(self, y: Array) -> Array:  # noqa: D102
        return self._product(self.weights.T.tocsr(), y, self.in_shape)

    def _product(self, weights: sp.csr_array, x: Array, shape: Shape) -> Array:
        columns = x.reshape(len(x) * self.in_shape[0], weights.shape[1]).T
        result: Array = np.ascontiguousarray((weights @ columns).T).reshape(len(x), *shape)
        return result

    def matrix(self) -> sp.csr_array:  # noqa: D102
        return sp.csr_array(sp.kron(sp.eye_array(self.in_shape[0]), self.weights, format="csr"))


def average_pool(in_shape: Shape, windows: Sequence[Sequence[tuple[int, int, int]]], out_spatial: Shape) -> Channelwise:
    """Averages over boxes of positions.

    Args:
        in_shape: (channels, *spatial).
        windows: per spatial axis, for each output index, (start, stop, divisor): the positions ``start … stop − 1`` of
            that axis, all inside the input, and what to divide by along this axis (padding may count).
        out_spatial: number of output indices per axis.
    """
    spatial = in_shape[1:]
    numbers = np.arange(math.prod(spatial)).reshape(spatial)
    indices, data, lengths = [], [], []
    for box in itertools.product(*windows):
        covered = numbers[tuple(slice(start, stop) for start, stop, _ in box)].ravel()
        indices.append(covered)
        data.append(np.full(covered.size, 1.0 / math.prod(divisor for _, _, divisor in box)))
        lengths.append(covered.size)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    weights = sp.csr_array((np.concatenate(data), np.concatenate(indices), indptr), shape=(len(lengths), numbers.size))
    return Channelwise(weights, in_shape, out_spatial)
