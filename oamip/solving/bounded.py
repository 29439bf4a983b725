"""What bounds an objective: the bounds of the variables alone, or duals of a linear program as well."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from oamip.program import StandardForm
from oamip.program.intervals import interval_product
from oamip.solving.scale import unit_of

__all__ = ["bounded", "bounded_by", "missing"]

Vector: TypeAlias = NDArray[np.float64]

SLACK = 1e-5  # of duals and reduced costs, in units of the objective


def bounded(form: StandardForm, cost: Vector | None = None) -> bool:
    """Whether the bounds of the variables bound the objective, or one of other costs in the same sense."""
    costs = sp.csr_array((form.cost if cost is None else cost)[None])
    low, high = interval_product(costs, form.column_lower, form.column_upper)
    return math.isfinite(low[0] if form.sense == "min" else high[0])


def bounded_by(form: StandardForm, duals: Vector) -> bool:
    """Whether ``yᵀ(Ax) + (c − Aᵀy)ᵀx`` is bounded term by term, by the sides of rows and the bounds of variables.

    The duals of an optimum of a linear program see to that, so without it there is none.
    """
    return all(bool(np.isfinite(ends).all()) for _, ends, _ in _terms(form, np.zeros(form.cost.size), duals))


def missing(form: StandardForm, x: Vector, duals: Vector, feasibility: float) -> float:
    """By how much, beyond what tolerances explain, a point's objective differs from the bound that duals prove.

    By weak duality any y proves ``yᵀ(Ax) + (c − Aᵀy)ᵀx`` at the sides and bounds that hold each term; nobody who gives
    one can make a false bound of it. At an optimum with its duals every term stands at its end, so nothing is missing.

    Args:
        form: a linear program.
        x: a feasible point.
        duals: one per row; ``inf`` is missing where a term has no end.
        feasibility: by which a point may miss sides and bounds.
    """
    far = allowed = 0.0
    for weights, ends, values in _terms(form, x, duals):
        far += float(np.abs(weights) @ np.abs(values - ends))
        allowed += feasibility * float(np.abs(weights) @ np.maximum(1.0, np.abs(values)))
    return max(0.0, far - allowed)


def _terms(form: StandardForm, x: Vector, duals: Vector) -> Iterator[tuple[Vector, Vector, Vector]]:
    """Duals, the sides that hold their rows, and the rows at x; then so of reduced costs, bounds and columns.

    What is within the tolerances of solvers is no dual and no reduced cost.
    """
    slack, sign = SLACK * unit_of(form.cost), 1.0 if form.sense == "min" else -1.0
    rows = (duals, form.row_lower, form.row_upper, form.A @ x)
    columns = (form.cost - form.A.T @ duals, form.column_lower, form.column_upper, x)
    for weights, lower, upper, values in (rows, columns):
        some = np.abs(weights) > slack
        yield weights[some], np.where(sign * weights > 0, lower, upper)[some], values[some]
