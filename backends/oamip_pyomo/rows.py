"""The constraints of a model as rows: the program's in block order, then the user's own."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import pyomo.environ as pyo
import scipy.sparse as sp
from numpy.typing import NDArray

from oamip.errors import InfeasibleProgram, InputError
from oamip.program import Span
from oamip.solving.backend import Built
from oamip_pyomo.linear import Linear, LinearReader
from oamip_pyomo.naming import Run, runs

__all__ = ["RowReader"]

Vector: TypeAlias = NDArray[np.float64]

TOLERANCE = 1e-6  # as in `oamip.program.check`


class RowReader:
    """Collects rows ``lower ≤ A x ≤ upper``; a ranged constraint is one row, one without variables an empty row."""

    def __init__(self, read: LinearReader, width: int) -> None:
        self._read, self._width = read, width
        self._spans: list[Span] = []
        self._columns, self._coefficients = array("q"), array("d")
        self._ends, self._lower, self._upper = array("q", [0]), array("d"), array("d")

    def collect(self, built: Built) -> None:
        """Read every active constraint.

        Raises:
            InputError: one is not linear, or has a bound that is not a number; the message names it.
            InfeasibleProgram: one without variables does not hold.
        """
        for run in _active_runs(built):
            self._spans.append(Span(run.name, len(self._lower), run.shape))
            for constraint in run.entries:
                self._append(constraint, run.name)

    @property
    def spans(self) -> tuple[Span, ...]:
        """Names of the rows."""
        return tuple(self._spans)

    def arrays(self) -> tuple[sp.csr_array, Vector, Vector]:
        """``(A, lower, upper)``."""
        triple = np.array(self._coefficients), np.array(self._columns), np.array(self._ends)
        A = sp.csr_array(triple, shape=(len(self._lower), self._width))
        A.sort_indices()
        return A, np.array(self._lower), np.array(self._upper)

    def _append(self, constraint: Any, block: str) -> None:
        try:
            low, body, high = constraint.to_bounded_expression(evaluate_bounds=True)
        except ValueError as error:  # a bound that is no number, or that depends on variables
            raise InputError(f"constraint '{constraint.name}' cannot be read: {error}") from None
        row = self._read(body, constraint)
        lower = -np.inf if low is None else low - row.constant
        upper = np.inf if high is None else high - row.constant
        if not row.columns:
            _refuse_false(constraint, block, row, lower, upper)
        self._columns.extend(row.columns)
        self._coefficients.extend(row.coefficients)
        self._ends.append(len(self._columns))
        self._lower.append(lower)
        self._upper.append(upper)


def _active_runs(built: Built) -> Iterator[Run]:
    labels = {id(constraint): name for name, constraint in built.rows.items()}
    order = {identity: position for position, identity in enumerate(labels)}
    active = built.model.component_objects(pyo.Constraint, active=True, descend_into=True)
    for component in sorted(active, key=lambda component: order.get(id(component), len(order))):
        if not component.is_reference():  # its entries stand elsewhere on the model too
            yield from runs(component, labels.get(id(component), component.name), lambda entry: entry.active)


def _refuse_false(constraint: Any, block: str, row: Linear, lower: float, upper: float) -> None:
    # Fixed variables seldom add up to the last digit, so a row of them is judged as the checker would.
    if max(lower, -upper) > TOLERANCE * max(1.0, abs(row.constant)):
        message = f"constraint '{constraint.name}' cannot hold: no free variable is left in it"
        raise InfeasibleProgram(f"{message}, and its body is {row.constant:g}", rows=(block,))
