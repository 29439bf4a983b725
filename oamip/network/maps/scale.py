"""Multiplication of every entry by its own number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from oamip.network.maps.base import Array, Shape

__all__ = ["Scale"]


@dataclass(frozen=True, eq=False)
class Scale:
    """``y = factor · x``, entry by entry: batch normalisation in evaluation, multiplication by constants.

    Args:
        factor: broadcastable to ``in_shape``.
        in_shape: shape of input and output.
    """

    factor: Array
    in_shape: Shape

    @property
    def out_shape(self) -> Shape:  # noqa: D102
        return self.in_shape

    @property
    def fan_in(self) -> int:  # noqa: D102
        return 1

    @property
    def nonzeros(self) -> int:  # noqa: D102
        return int(np.count_nonzero(np.broadcast_to(self.factor, self.in_shape)))

    def apply(self, x: Array) -> Array:  # noqa: D102
        return x * self.factor

    def magnitude(self, x: Array) -> Array:  # noqa: D102
        return x * np.abs(self.factor)

    def adjoint(self, y: Array) -> Array:  # noqa: D102
        return y * self.factor

    def matrix(self) -> sp.csr_array:  # noqa: D102
        return sp.diags_array(np.broadcast_to(self.factor, self.in_shape).ravel(), format="csr")
