"""From per-block matrices to one matrix: columns side by side, rows one below the other, filled in place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.lib.stride_tricks import as_strided
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
    terms = [
        [(starts[name], _canonical(e.terms[name])) for name in sorted(e.terms, key=starts.__getitem__)]
        for e in expressions
    ]
    lengths = [
        sum((np.diff(m.indptr) for _, m in blocks), np.zeros(e.size, dtype=np.int64))
        for e, blocks in zip(expressions, terms, strict=True)
    ]
    indptr = np.concatenate([[0], np.cumsum(np.concatenate([*lengths, np.zeros(0, dtype=np.int64)]))])
    kind = np.int32 if max(indptr[-1], width) < 2**31 else np.int64
    data, indices = np.empty(indptr[-1]), np.empty(indptr[-1], dtype=kind)
    row = 0
    for expression, blocks in zip(expressions, terms, strict=True):
        begin = indptr[row : row + expression.size]
        for start, matrix in blocks:
            _fill(data, indices, begin, matrix, start)
            begin = begin + np.diff(matrix.indptr)
        row += expression.size
    whole = sp.csr_array((data, indices, indptr.astype(kind)), shape=(row, width))
    if not data.all():
        whole.eliminate_zeros()
    return whole


def _canonical(matrix: sp.csr_array) -> sp.csr_array:
    """Sorted, without duplicates; the flags of scipy remember it."""
    if not matrix.has_canonical_format:
        matrix.sum_duplicates()
    return matrix


def _fill(data: Vector, indices: NDArray[Any], begin: NDArray[np.int64], matrix: sp.csr_array, start: int) -> None:
    """Copy the rows of a matrix to the places where they begin."""
    if not matrix.nnz:
        return
    lengths = np.diff(matrix.indptr)
    per_row, apart = lengths[0], np.diff(begin)
    if (lengths == per_row).all() and (apart[1:] == apart[:-1]).all():
        # Rows of one length at equal distances, as a dense layer has them: two strided copies.
        stride = int(apart[0]) if apart.size else int(per_row)
        into = data[begin[0] :], indices[begin[0] :]
        shape = lengths.size, per_row
        values, columns = (as_strided(part, shape, (stride * part.itemsize, part.itemsize)) for part in into)
        values[...] = matrix.data.reshape(shape)
        np.add(matrix.indices.reshape(shape), start, out=columns, casting="unsafe")  # as wide as the matrix needs
        return
    places = np.repeat(begin - matrix.indptr[:-1], lengths) + np.arange(matrix.nnz)
    data[places], indices[places] = matrix.data, matrix.indices + start


def join(parts: list[Vector]) -> Vector:
    """Vectors one behind the other; none gives the empty one."""
    return np.concatenate(parts).astype(np.float64) if parts else np.empty(0)
