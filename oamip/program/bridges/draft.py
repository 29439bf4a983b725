"""A standard form that bridges add columns, rows and atoms to."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from oamip.program.form import CompiledEpigraph, Span, StandardForm
from oamip.program.logic import CompiledIndicator, CompiledSOS1

__all__ = ["Draft"]

Vector: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.intp]


class Draft:
    """Collects what bridges make; matrices that they hand over may be as narrow as the form was at that time.

    Attributes:
        form: the form that is being lowered.
        width: its columns and those added so far; ``height`` counts rows likewise.
    """

    def __init__(self, form: StandardForm) -> None:
        self.form = form
        self.height, self.width = form.shape
        self._indicators: list[CompiledIndicator] = []
        self._sos1: list[CompiledSOS1] = []
        self._columns: list[tuple[Span, Vector, Vector, bool]] = []
        self._rows: list[tuple[Span, sp.csr_array, Vector, Vector]] = []

    def keep(self, atom: CompiledIndicator | CompiledSOS1) -> None:
        """An atom that the solver takes as it is."""
        if isinstance(atom, CompiledIndicator):
            self._indicators.append(atom)
        else:
            self._sos1.append(atom)

    def binaries(self, name: str, count: int) -> Indices:
        """New binary columns, as column numbers."""
        return self._new(name, np.zeros(count), np.ones(count), integer=True)

    def slacks(self, name: str, count: int) -> Indices:
        """New columns ≥ 0."""
        return self._new(name, np.zeros(count), np.full(count, np.inf), integer=False)

    def _new(self, name: str, lower: Vector, upper: Vector, *, integer: bool) -> Indices:
        start = self.width
        self._columns.append((Span(name, start, lower.shape), lower, upper, integer))
        self.width += lower.size
        return np.arange(start, self.width)

    def rows(self, name: str, R: sp.csr_array, lower: ArrayLike, upper: ArrayLike) -> None:
        """New rows ``lower ≤ R x ≤ upper``."""
        count = R.shape[0]
        if count:
            sides = (np.broadcast_to(np.asarray(side, dtype=np.float64), (count,)) for side in (lower, upper))
            self._rows.append((Span(name, self.height, (count,)), R, *sides))
            self.height += count

    def entries(self, columns: Indices, values: ArrayLike = 1.0) -> sp.csr_array:
        """A matrix of one entry per row: ``values[i]`` in column ``columns[i]``."""
        count = columns.size
        data = np.broadcast_to(np.asarray(values, dtype=np.float64), (count,)).copy()
        return sp.csr_array((data, columns, np.arange(count + 1)), shape=(count, self.width))

    def sums(self, columns: Indices) -> sp.csr_array:
        """A matrix of ones: row i adds up the columns ``columns[i, :]``."""
        count, k = columns.shape
        return sp.csr_array(
            (np.ones(columns.size), columns.ravel(), np.arange(count + 1) * k), shape=(count, self.width)
        )

    def widened(self, matrix: sp.csr_array) -> sp.csr_array:
        """The matrix over all columns that there are now."""
        if matrix.shape[1] == self.width:
            return matrix
        return sp.csr_array((matrix.data, matrix.indices, matrix.indptr), shape=(matrix.shape[0], self.width))

    def finish(self) -> StandardForm:
        """The form with everything added; the old columns and rows come first."""
        form = self.form
        if (self.height, self.width) == form.shape:
            return replace(form, indicators=tuple(self._indicators), sos1=tuple(self._sos1))
        spans, lowers, uppers, integers = zip(*self._columns, strict=True) if self._columns else ((), (), (), ())
        flags = [np.full(lower.size, flag) for lower, flag in zip(lowers, integers, strict=True)]
        added = self.width - form.shape[1]
        return replace(
            form,
            A=sp.vstack([self.widened(part) for part in (form.A, *(R for _, R, _, _ in self._rows))], format="csr"),
            row_lower=np.concatenate([form.row_lower, *(lower for _, _, lower, _ in self._rows)]),
            row_upper=np.concatenate([form.row_upper, *(upper for _, _, _, upper in self._rows)]),
            column_lower=np.concatenate([form.column_lower, *lowers]),
            column_upper=np.concatenate([form.column_upper, *uppers]),
            integer=np.concatenate([form.integer, *flags]),
            cost=np.concatenate([form.cost, np.zeros(added)]),
            columns=(*form.columns, *spans),
            rows=(*form.rows, *(span for span, _, _, _ in self._rows)),
            epigraphs=tuple(self._epigraph(epigraph) for epigraph in form.epigraphs),
            indicators=tuple(replace(i, R=self.widened(i.R)) for i in self._indicators),
            sos1=tuple(self._sos1),
        )

    def _epigraph(self, epigraph: CompiledEpigraph) -> CompiledEpigraph:
        return replace(epigraph, B=self.widened(epigraph.B), T=self.widened(epigraph.T))
