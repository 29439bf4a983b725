"""Duals of a linear program from those of SCIP's LP, given out only if they prove the optimum."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.program import StandardForm

__all__ = ["proven_duals"]

Vector: TypeAlias = NDArray[np.float64]

ZERO = 1e-9  # duals and reduced costs below it are zero
TIGHT = 1e-6  # a side that the point comes so near to holds it; the two objectives may differ by as much


def proven_duals(form: StandardForm, y: Vector, x: Vector) -> Vector | None:
    """Duals ``y``, one for each row, completed; ``None`` unless their dual objective is that of ``x``.

    SCIP makes bounds of rows that hold a single column. What those rows are worth is found in the reduced cost of the
    column, where a side of such a row holds it and no bound of its own.
    """
    completed = _with_single_rows(form, y, x)
    reduced = form.cost - completed @ form.A
    proven = _value(form, completed, form.row_lower, form.row_upper)
    proven += _value(form, reduced, form.column_lower, form.column_upper)
    primal = float(form.cost @ x)
    return completed if abs(proven - primal) <= TIGHT * max(1.0, abs(primal)) else None


def _value(form: StandardForm, weights: Vector, lower: Vector, upper: Vector) -> float:
    """The best that ``weights`` times a vector between two sides can be, infinite if a side is."""
    sign = 1.0 if form.sense == "min" else -1.0
    used = np.abs(weights) > ZERO
    sides = np.where(sign * weights > 0, lower, upper)
    return float(weights[used] @ sides[used])


def _with_single_rows(form: StandardForm, y: Vector, x: Vector) -> Vector:
    sign, result = (1.0 if form.sense == "min" else -1.0), y.copy()
    reduced = form.cost - y @ form.A
    for i in np.flatnonzero(np.diff(form.A.indptr) == 1).tolist():
        entry = form.A.indptr[i]
        j, factor = form.A.indices[entry], form.A.data[entry]
        if abs(reduced[j]) <= ZERO or factor == 0:
            continue
        own = form.column_lower[j] if sign * reduced[j] > 0 else form.column_upper[j]
        side = form.row_lower[i] if sign * reduced[j] * factor > 0 else form.row_upper[i]
        if abs(x[j] - own) > TIGHT and abs(x[j] - side / factor) <= TIGHT * max(1.0, abs(x[j])):
            result[i] += reduced[j] / factor
            reduced[j] = 0.0
    return result
