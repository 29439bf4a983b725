"""The protocol of a linear map."""

from __future__ import annotations

from typing import Protocol, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

__all__ = ["Array", "LinearMap", "Shape"]

Array: TypeAlias = NDArray[np.float64]
Shape: TypeAlias = tuple[int, ...]


class LinearMap(Protocol):
    """A linear map between arrays of fixed shapes; see the package's page for the meaning of each method."""

    @property
    def in_shape(self) -> Shape:
        """Shape of one input sample."""
        ...

    @property
    def out_shape(self) -> Shape:
        """Shape of one output sample."""
        ...

    @property
    def fan_in(self) -> int:
        """Largest number of terms in one output entry."""
        ...

    @property
    def nonzeros(self) -> int:
        """Number of entries of the matrix that are not zero."""
        ...

    def apply(self, x: Array) -> Array:
        """A x."""
        ...

    def magnitude(self, x: Array) -> Array:
        """|A| x."""
        ...

    def adjoint(self, y: Array) -> Array:
        """Aᵀ y."""
        ...

    def matrix(self) -> sp.csr_array:
        """A as CSR, (out_size, in_size)."""
        ...
