"""Entries moved to other places, without arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from oamip.network.maps.base import Array, Shape

__all__ = ["Selection", "flatten", "identity"]

Index: TypeAlias = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Selection:
    """``y[i] = x[index[i]]`` on flattened arrays; −1 stands for 0.

    Reshape, transpose, zero padding, slices and one part of a concatenation are all of this kind.

    Args:
        index: one source position per output entry, in the shape of the output.
        in_shape: shape of the input.
    """

    index: Index
    in_shape: Shape

    @property
    def out_shape(self) -> Shape:  # noqa: D102
        return self.index.shape

    @property
    def fan_in(self) -> int:  # noqa: D102
        return 1

    @property
    def nonzeros(self) -> int:  # noqa: D102
        return int(np.count_nonzero(self.index >= 0))

    def apply(self, x: Array) -> Array:  # noqa: D102
        flat = x.reshape(len(x), math.prod(self.in_shape))
        if self.index.size and self.index.min() < 0:
            flat = np.concatenate([flat, np.zeros((len(x), 1))], axis=1)  # −1 picks this last column
        return flat[:, self.index.ravel()].reshape(len(x), *self.out_shape)

    magnitude = apply

    def adjoint(self, y: Array) -> Array:  # noqa: D102
        flat: Array = y.reshape(len(y), self.index.size) @ self.matrix()
        return flat.reshape(len(y), *self.in_shape)

    def matrix(self) -> sp.csr_array:  # noqa: D102
        source = self.index.ravel()
        present = source >= 0
        indptr = np.concatenate([[0], np.cumsum(present)])
        shape = (source.size, math.prod(self.in_shape))
        return sp.csr_array((np.ones(int(present.sum())), source[present], indptr), shape=shape)


def identity(shape: Shape) -> Selection:
    """Every entry stays where it is."""
    return Selection(np.arange(math.prod(shape)).reshape(shape), shape)


def flatten(in_shape: Shape) -> Selection:
    """All entries in one axis."""
    return Selection(np.arange(math.prod(in_shape)), in_shape)
