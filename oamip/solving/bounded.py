"""Is an objective bounded: by the bounds of the variables alone, or by duals of a linear program as well?"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from oamip.program import StandardForm
from oamip.program.intervals import interval_product
from oamip.solving.scale import unit_of

__all__ = ["bounded", "bounded_by"]

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
    reduced, slack = form.cost - form.A.T @ duals, SLACK * unit_of(form.cost)
    rising = duals if form.sense == "min" else -duals  # then held by a lower side where positive
    sides = np.where(rising > 0, form.row_lower, form.row_upper)[np.abs(duals) > slack]
    return bool(np.isfinite(sides).all()) and bounded(form, np.where(np.abs(reduced) > slack, reduced, 0.0))
