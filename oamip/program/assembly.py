"""From per-block matrices to one matrix: columns side by side, rows one below the other, filled in place."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from oamip.program.expression import Expression
from oamip.program.form import Span

__all__ = ["flatten", "interval_product", "join", "spans", "stack"]

Vector: TypeAlias = NDArray[np.float64]


def interval_product(matrix: sp.csr_array, lower: Vector, upper: Vector) -> tuple[Vector, Vector]:
    """Row sums of the least and largest products; 0 · inf does not occur, since stored zeros are skipped."""
    data, columns = matrix.data, matrix.indices
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    used = data != 0
    data, columns, rows = data[used], columns[used], rows[used]
    at_low, at_high = data * lower[columns], data * upper[columns]
    size = matrix.shape[0]
    lowest: Vector = np.bincount(rows, np.minimum(at_low, at_high), size).astype(np.float64)
    highest: Vector = np.bincount(rows, np.maximum(at_low, at_high), size).astype(np.float64)
    return lowest, highest


def spans(shapes: list[tuple[str, tuple[int, ...]]]) -> tuple[Span, ...]:
    """Named runs one behind the other."""
    found, start = [], 0
    for name, shape in shapes:
        span = Span(name, start, shape)
        found.append(span)
        start += span.size
    return tuple(found)


def flatten(expression: Expression, starts: dict[str, int], width: int) -> sp.csr_array:
    """Put the per-block matrices side by side; a single block only shifts its column numbers."""
    ordered = sorted(expression.terms, key=starts.__getitem__)
    if not ordered:
        return sp.csr_array((expression.size, width))
    if len(ordered) == 1:
        matrix = expression.terms[ordered[0]]
        indices = matrix.indices + starts[ordered[0]]
        return sp.csr_array((matrix.data, indices, matrix.indptr), shape=(expression.size, width))
    shifted = [
        sp.csr_array((m.data, m.indices + starts[name], m.indptr), shape=(expression.size, width))
        for name, m in ((name, expression.terms[name]) for name in ordered)
    ]
    total: sp.csr_array = sum(shifted[1:], start=shifted[0])
    return total


def stack(parts: list[sp.csr_array], width: int) -> sp.csr_array:
    """Rows one below the other, filled in place (scipy's vstack goes through COO)."""
    lengths = join([np.diff(part.indptr) for part in parts]).astype(np.int64)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    stacked = sp.csr_array(
        (
            np.concatenate([part.data for part in parts]) if parts else np.empty(0),
            np.concatenate([part.indices for part in parts]) if parts else np.empty(0, dtype=np.int32),
            indptr,
        ),
        shape=(len(lengths), width),
    )
    stacked.eliminate_zeros()
    return stacked


def join(parts: list[Vector]) -> Vector:
    """Vectors one behind the other; none gives the empty one."""
    return np.concatenate(parts).astype(np.float64) if parts else np.empty(0)
