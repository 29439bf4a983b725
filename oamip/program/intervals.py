"""What a linear function can be over a box."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

__all__ = ["interval_product"]

Vector: TypeAlias = NDArray[np.float64]


def interval_product(matrix: sp.csr_array, lower: Vector, upper: Vector) -> tuple[Vector, Vector]:
    """Row sums of the least and largest products; 0 · inf does not occur, since stored zeros are skipped.

    Least and largest products are summed by themselves: a middle and a radius would lose all digits of the other side
    where one bound is huge.
    """
    data, columns = matrix.data, matrix.indices
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    used = data != 0
    data, columns, rows = data[used], columns[used], rows[used]
    at_low, at_high = data * lower[columns], data * upper[columns]
    size = matrix.shape[0]
    lowest: Vector = np.bincount(rows, np.minimum(at_low, at_high), size).astype(np.float64)
    highest: Vector = np.bincount(rows, np.maximum(at_low, at_high), size).astype(np.float64)
    return lowest, highest
