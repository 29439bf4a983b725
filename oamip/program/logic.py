"""Logical atoms in a standard form: rows that a binary switches on, and sets of which one member at most is not zero.

Both are piecewise linear, so that a solver that does not know them is given rows and columns instead
(`oamip.program.bridges`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from oamip.program.intervals import interval_product

__all__ = ["CompiledIndicator", "CompiledSOS1"]

Vector: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.intp]


@dataclass(frozen=True)
class CompiledIndicator:
    """``x[switch[i]] = on[i]  ⇒  lower[i] ≤ (R x)[i] ≤ upper[i]`` for n rows.

    Args:
        name: of the block.
        switch: (n,) numbers of binary columns.
        on: (n,) the value, true for 1, at which the row must hold.
        R: (n, columns).
        lower, upper: (n,) the sides of the rows.
        lowest, highest: (n,) what ``R x`` can be at all, where more is known than the bounds of the columns say
            (`reach` joins both); infinite otherwise.
    """

    name: str
    switch: Indices
    on: NDArray[np.bool_]
    R: sp.csr_array
    lower: Vector
    upper: Vector
    lowest: Vector
    highest: Vector

    @property
    def rows(self) -> int:
        """Number n of switched rows."""
        return int(self.switch.size)

    def reach(self, column_lower: Vector, column_upper: Vector) -> tuple[Vector, Vector]:
        """Least and largest value of ``R x``, from what is known and from the bounds of the columns as they now are."""
        lowest, highest = interval_product(self.R, column_lower, column_upper)
        return np.maximum(lowest, self.lowest), np.minimum(highest, self.highest)

    def excess(self, x: Vector) -> Vector:
        """How far each row that is switched on is violated, 0 where it holds or is off."""
        activity = self.R @ x
        beyond = np.maximum(np.maximum(self.lower - activity, activity - self.upper), 0.0)
        result: Vector = np.where((x[self.switch] > 0.5) == self.on, beyond, 0.0)
        return result


@dataclass(frozen=True)
class CompiledSOS1:
    """Of the columns in each row of ``members`` (n, k), one at most is not zero; they are ordered as there."""

    name: str
    members: Indices

    @property
    def rows(self) -> int:
        """Number n of sets."""
        return int(self.members.shape[0])

    def excess(self, x: Vector) -> Vector:
        """The second largest absolute value of each set, which must be 0."""
        if self.members.shape[1] < 2:
            return np.zeros(self.rows)
        second: Vector = np.sort(np.abs(x[self.members]), axis=1)[:, -2]
        return second
