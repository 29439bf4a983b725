"""Several maps between the same two arrays, added up."""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass

import scipy.sparse as sp

from oamip.network.maps.base import Array, LinearMap, Shape

__all__ = ["Sum"]


@dataclass(frozen=True, eq=False)
class Sum:
    """``A x = Σ_k A_k x``, for parallel contributions such as ``x + pool(x)``."""

    parts: tuple[LinearMap, ...]

    @property
    def in_shape(self) -> Shape:  # noqa: D102
        return self.parts[0].in_shape

    @property
    def out_shape(self) -> Shape:  # noqa: D102
        return self.parts[0].out_shape

    @property
    def fan_in(self) -> int:  # noqa: D102
        return sum(part.fan_in for part in self.parts)

    @property
    def nonzeros(self) -> int:
        """Those of all parts: an upper bound, as they may meet."""
        return sum(part.nonzeros for part in self.parts)

    def apply(self, x: Array) -> Array:  # noqa: D102
        return functools.reduce(operator.add, (part.apply(x) for part in self.parts))

    def magnitude(self, x: Array) -> Array:
        """An upper bound on |A| x: cancellation between the parts is not seen."""
        return functools.reduce(operator.add, (part.magnitude(x) for part in self.parts))

    def adjoint(self, y: Array) -> Array:  # noqa: D102
        return functools.reduce(operator.add, (part.adjoint(y) for part in self.parts))

    def matrix(self) -> sp.csr_array:  # noqa: D102
        total: sp.csr_array = functools.reduce(operator.add, (part.matrix() for part in self.parts))
        return total
