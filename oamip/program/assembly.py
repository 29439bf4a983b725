"""From per-block matrices to one matrix: columns side by side, rows one below the other, filled in place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from oamip.program.expression import Expression
from oamip.program.form import Span

__all__ = ["assemble", "join", "spans"]

Vector: TypeAlias = NDArray[np.float64]


def spans(shapes: list[tuple[str, tuple[int, ...]]]) -> tuple[Span, ...]:
    """Named runs one behind the other."""
    found, start = [], 0
    for name, shape in shapes:
        span = Span(name, start, shape)
        found.append(span)
        start += span.size
    return tuple(found)


def assemble(expressions: Sequence[Expression], starts: Mapping[str, int], width: int) -> sp.csr_array:
    """One matrix for many expressions, one below the other, their blocks side by side; every entry is copied once.

    (Adding shifted matrices and stacking the sums, as scipy offers it, copies each entry four times.)
    """
    parts = [
        [_Part(starts[name], _canonical(e.terms[name])) for name in sorted(e.terms, key=starts.__getitem__)]
        for e in expressions
    ]
    lengths = [
        sum((part.lengths for part in beside), np.zeros(e.size, dtype=np.int64))
        for e, beside in zip(expressions, parts, strict=True)
    ]
    indptr = np.concatenate([[0], np.cumsum(np.concatenate([*lengths, np.zeros(0, dtype=np.int64)]))])
    kind = np.int32 if max(indptr[-1], width) < 2**31 else np.int64
    data, indices = np.empty(indptr[-1]), np.empty(indptr[-1], dtype=kind)
    row = 0
    for expression, beside in zip(expressions, parts, strict=True):
        _fill(data, indices, indptr[row : row + expression.size + 1], beside)
        row += expression.size
    whole = sp.csr_array((data, indices, indptr.astype(kind)), shape=(row, width))
    if not data.all():
        whole.eliminate_zeros()
    return whole


class _Part:
    """The matrix of one block in one expression: its first column, and how many entries each row has."""

    def __init__(self, start: int, matrix: sp.csr_array) -> None:
        self.start, self.matrix, self.lengths = start, matrix, np.diff(matrix.indptr)


def _canonical(matrix: sp.csr_array) -> sp.csr_array:
    """Sorted, without duplicates; the flags of scipy remember it."""
    if not matrix.has_canonical_format:
        matrix.sum_duplicates()
    return matrix


def _fill(data: Vector, indices: NDArray[Any], indptr: NDArray[np.int64], beside: Sequence[_Part]) -> None:
    """Copy the parts of one expression, side by side, into the rows that ``indptr`` says."""
    rows = indptr.size - 1
    if rows and all((part.lengths == part.lengths[0]).all() for part in beside):
        # Rows of one length, as a dense layer has them: a part is a run of columns of a dense matrix.
        run, at = slice(indptr[0], indptr[-1]), 0
        values, columns = data[run].reshape(rows, -1), indices[run].reshape(rows, -1)
        for part in beside:
            shape = rows, int(part.lengths[0])
            among = slice(at, at + shape[1])
            values[:, among] = part.matrix.data.reshape(shape)
            # "unsafe": as wide as the whole matrix needs
            np.add(part.matrix.indices.reshape(shape), part.start, out=columns[:, among], casting="unsafe")
            at += shape[1]
        return
    begin = indptr[:-1]
    for part in beside:
        places = np.repeat(begin - part.matrix.indptr[:-1], part.lengths) + np.arange(part.matrix.nnz)
        data[places], indices[places] = part.matrix.data, part.matrix.indices + part.start
        begin = begin + part.lengths


def join(parts: list[Vector]) -> Vector:
    """Vectors one behind the other; none gives the empty one."""
    return np.concatenate(parts).astype(np.float64) if parts else np.empty(0)
