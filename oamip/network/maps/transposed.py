"""Transposed convolution: the adjoint of a convolution as a map of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from oamip.network.maps.base import Array, Shape
from oamip.network.maps.convolution import Convolution

__all__ = ["TransposedConvolution"]


@dataclass(frozen=True, eq=False)
class TransposedConvolution:
    """``y = Aᵀ x`` for a convolution A: every input position adds a multiple of the kernel to the output.

    Args:
        convolution: A, from what is the output here to what is the input.
    """

    convolution: Convolution

    @property
    def in_shape(self) -> Shape:  # noqa: D102
        return self.convolution.out_shape

    @property
    def out_shape(self) -> Shape:  # noqa: D102
        return self.convolution.in_shape

    @property
    def weight(self) -> Array:
        """(in_channels, out_channels / groups, *kernel), as torch has it."""
        return self.convolution.weight

    @property
    def rows(self) -> Array:
        """The weights by output channel: (out_channels, in_channels / groups, *kernel)."""
        grouped = self.weight.reshape(self.groups, -1, *self.weight.shape[1:]).swapaxes(1, 2)
        return grouped.reshape(-1, *grouped.shape[2:])

    @property
    def kernel(self) -> Shape:
        """Kernel size per spatial axis."""
        return self.convolution.kernel

    @property
    def groups(self) -> int:
        """In- and out-channels are split into this many independent parts."""
        return self.convolution.groups

    @property
    def positions(self) -> int:
        """Number of spatial positions of the input, at each of which the kernel is applied."""
        return self.convolution.positions

    @property
    def fan_in(self) -> int:
        """At most so many terms make one output; a stride leaves fewer."""
        return len(self.weight) // self.groups * math.prod(self.kernel)

    @property
    def nonzeros(self) -> int:  # noqa: D102
        return self.convolution.nonzeros

    def apply(self, x: Array) -> Array:  # noqa: D102
        return self.convolution.adjoint(x)

    def magnitude(self, x: Array) -> Array:  # noqa: D102
        return replace(self.convolution, weight=np.abs(self.weight)).adjoint(x)

    def adjoint(self, y: Array) -> Array:  # noqa: D102
        return self.convolution.apply(y)

    def matrix(self) -> sp.csr_array:  # noqa: D102
        return sp.csr_array(self.convolution.matrix().T)
