"""The constraints of a model as rows: the program's in block order, then the user's own."""

from __future__ import annotations

from array import array
from typing import Any, TypeAlias

import numpy as np
import pyomo.environ as pyo
import scipy.sparse as sp
from numpy.typing import NDArray

from oamip.errors import InputError
from oamip.program import Span
from oamip.solving.backend import Built
from oamip_pyomo.linear import Linear, LinearReader
from oamip_pyomo.naming import labelled_runs
from oamip_pyomo.untouched import SeenByNobody

__all__ = ["RowReader"]

Vector: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.intp]


class RowReader:
    """Collects rows ``lower ≤ A x ≤ upper``; a ranged constraint is one row, one without variables an empty row."""

    def __init__(self, read: LinearReader, variables: list[Any]) -> None:
        self._read, self._width = read, len(variables)
        self._seen = SeenByNobody(variables)
        self._spans: list[Span] = []
        self._columns: list[Indices] = []
        self._coefficients: list[Vector] = []
        self._lower, self._upper, self._constants = array("d"), array("d"), array("d")

    def collect(self, built: Built) -> None:
        """Read every active constraint.

        Raises:
            InputError: one is not linear, or has a bound that is not a number; the message names it.
        """
        for run in labelled_runs(built.model, pyo.Constraint, built.rows):
            self._spans.append(Span(run.name, len(self._lower), run.shape))
            for constraint in run.entries:
                self._append(constraint)

    @property
    def spans(self) -> tuple[Span, ...]:
        """Names of the rows."""
        return tuple(self._spans)

    @property
    def constants(self) -> Vector:
        """What fixed variables and constants add up to in each row: they seldom add up to the last digit."""
        return np.array(self._constants)

    def arrays(self) -> tuple[sp.csr_array, Vector, Vector]:
        """``(A, lower, upper)``."""
        ends = np.cumsum([0, *(columns.size for columns in self._columns)])
        columns = np.concatenate([np.empty(0, dtype=np.intp), *self._columns])
        triple = np.concatenate([np.empty(0), *self._coefficients]), columns, ends
        A = sp.csr_array(triple, shape=(len(self._lower), self._width))
        A.eliminate_zeros()
        A.sort_indices()
        return A, np.array(self._lower), np.array(self._upper)

    def _append(self, constraint: Any) -> None:
        low, row, high = self._seen(constraint.expr) or self._bounded(constraint)
        lower, upper = low - row.constant, high - row.constant
        self._columns.append(row.columns)
        self._coefficients.append(row.coefficients)
        self._constants.append(row.constant)
        self._lower.append(lower)
        self._upper.append(upper)

    def _bounded(self, constraint: Any) -> tuple[float, Linear, float]:
        try:
            low, body, high = constraint.to_bounded_expression(evaluate_bounds=True)
        except ValueError as error:  # a bound that is no number, or that depends on variables
            raise InputError(f"constraint '{constraint.name}' cannot be read: {error}") from None
        row = self._read(body, constraint)
        return -np.inf if low is None else low, row, np.inf if high is None else high
