"""What bounds an objective: the bounds of the variables alone, or duals of a linear program as well."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from oamip.program import StandardForm
from oamip.program.intervals import interval_product
from oamip.solving.scale import unit_of

__all__ = ["bounded", "bounded_by", "duality_gap"]

Vector: TypeAlias = NDArray[np.float64]

# Of duals and reduced costs of what has no side to hold it, in units of the objective:
SLACK = 1e-5  # beyond it, there is no optimum
FINE = 1e-10  # up to it, the optimum is proven
ROUNDING = 1e-13  # of a reduced cost, relative to its terms


def bounded(form: StandardForm, cost: Vector | None = None) -> bool:
    """Whether the bounds of the variables bound the objective, or one of other costs in the same sense."""
    costs = sp.csr_array((form.cost if cost is None else cost)[None])
    low, high = interval_product(costs, form.column_lower, form.column_upper)
    return math.isfinite(low[0] if form.sense == "min" else high[0])


def bounded_by(form: StandardForm, duals: Vector) -> bool:
    """Whether ``yᵀ(Ax) + (c − Aᵀy)ᵀx`` is bounded term by term, by the sides of rows and the bounds of variables.

    The duals of an optimum of a linear program see to that, so without it there is none.
    """
    return math.isfinite(duality_gap(form, np.zeros(form.cost.size), duals, nothing=SLACK))


def duality_gap(form: StandardForm, x: Vector, duals: Vector, *, nothing: float = FINE) -> float:
    """How far the objective of a point is from the bound that duals prove; ``inf`` where they prove none.

    By weak duality any y proves ``yᵀ(Ax) + (c − Aᵀy)ᵀx`` at the sides and bounds that hold each term, whoever gives it.
    At an optimum with its duals every term stands where it is held, so nothing is missing.

    Args:
        form: a linear program.
        x: a feasible point.
        duals: one per row.
        nothing: up to which a dual or reduced cost without a side to hold it is none, in units of the objective.
    """
    slack, sign = nothing * unit_of(form.cost), 1.0 if form.sense == "min" else -1.0
    cost, missing = form.cost - form.A.T @ duals, 0.0
    cost[np.abs(cost) <= ROUNDING * (np.abs(form.cost) + abs(form.A).T @ np.abs(duals))] = 0.0
    rows = (duals, form.row_lower, form.row_upper, form.A @ x)
    columns = (cost, form.column_lower, form.column_upper, x)
    for weights, lower, upper, values in (rows, columns):
        ends = np.where(sign * weights > 0, lower, upper)
        held = np.isfinite(ends)
        if (np.abs(weights[~held]) > slack).any():
            return math.inf
        missing += float(np.abs(weights[held]) @ np.abs(values[held] - ends[held]))
    return missing
