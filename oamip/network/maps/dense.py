"""A dense matrix acting on the last axis."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from oamip.network.maps.base import Array, Shape

__all__ = ["Dense"]


@dataclass(frozen=True, eq=False)
class Dense:
    """``y[..., i] = Σ_j weight[i, j] x[..., j]``: a linear layer, at every leading position alike.

    Args:
        weight: (out_features, in_features).
        in_shape: (..., in_features).
    """

    weight: Array
    in_shape: Shape

    @property
    def out_shape(self) -> Shape:  # noqa: D102
        return (*self.in_shape[:-1], self.weight.shape[0])

    @property
    def fan_in(self) -> int:  # noqa: D102
        return int(self.weight.shape[1])

    @property
    def nonzeros(self) -> int:  # noqa: D102
        return self.positions * int(np.count_nonzero(self.weight))

    @property
    def positions(self) -> int:
        """Number of leading positions at which the matrix is applied."""
        return math.prod(self.in_shape[:-1])

    @property
    def rows(self) -> Array:
        """The weights by output feature."""
        return self.weight

    def apply(self, x: Array) -> Array:  # noqa: D102
        return x @ self.weight.T

    def magnitude(self, x: Array) -> Array:  # noqa: D102
        return x @ np.abs(self.weight).T

    def adjoint(self, y: Array) -> Array:  # noqa: D102
        return y @ self.weight

    def matrix(self) -> sp.csr_array:  # noqa: D102
        outputs, inputs = self.weight.shape
        if self.positions == 1 and self.weight.all():  # every entry is stored: no search for zeros, no copy
            columns, starts = np.arange(inputs, dtype=np.int32), np.arange(outputs + 1, dtype=np.int32) * inputs
            triple = self.weight.ravel(), np.tile(columns, outputs), starts
            return sp.csr_array(triple, shape=(outputs, inputs))
        return sp.csr_array(sp.kron(sp.eye_array(self.positions), sp.csr_array(self.weight), format="csr"))
