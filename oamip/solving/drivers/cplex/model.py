"""A standard form as a model of CPLEX, passed in bulk."""

from __future__ import annotations

import itertools
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from oamip.program import StandardForm
from oamip.solving.drivers.cplex.lifting import Cone, lift

__all__ = ["add_rows", "bounds", "build", "set_types", "switches"]

Vector: TypeAlias = NDArray[np.float64]

INFINITE = 1e20  # what CPLEX takes for infinite, in rows and columns
ROUNDING = 1e-9  # sides of a row that have crossed by no more than this are equal


def build(cplex: Any, form: StandardForm) -> int:
    """Pass the model and give its number of rows, which are those of the form and then our own.

    One call for everything linear: half the time of adding columns and then rows.
    """
    lifted = lift(form)
    R, senses, rhs, ranges = _rows(lifted.A, lifted.row_lower, lifted.row_upper)
    rows, columns = int(R.shape[0]), int(R.shape[1])
    C = R.tocsc()
    cplex.copylp(
        columns,
        rows if C.nnz else 0,
        objsense=1 if form.sense == "min" else -1,
        obj=lifted.cost.tolist(),
        rhs=rhs if C.nnz else [],
        senses=senses if C.nnz else "",
        matbeg=C.indptr[:-1].tolist(),
        matcnt=np.diff(C.indptr).tolist(),
        matind=C.indices.tolist(),
        matval=C.data.tolist(),
        lb=bounds(lifted.column_lower),
        ub=bounds(lifted.column_upper),
        range_values=ranges if C.nnz else [],
    )
    if not C.nnz and rows:  # copylp refuses a matrix without entries
        cplex.linear_constraints.add(rhs=rhs, senses=senses, range_values=ranges)
    cplex.objective.set_offset(form.constant)
    for cone in lifted.cones:
        _add_cone(cplex, cone)
    _add_indicators(cplex, form)
    for members in lifted.sets:
        cplex.SOS.add("1", [members, list(range(1, 1 + len(members)))])
    set_types(cplex, form)
    return rows


def bounds(side: Vector) -> list[float]:
    """Bounds as CPLEX takes them."""
    clipped: list[float] = np.clip(side, -INFINITE, INFINITE).tolist()
    return clipped


def add_rows(cplex: Any, R: sp.csr_array, lower: Vector, upper: Vector) -> None:
    """Add rows at the end."""
    R, senses, rhs, ranges = _rows(R, lower, upper)
    indices, values, starts = R.indices.tolist(), R.data.tolist(), R.indptr.tolist()
    pairs = [(indices[i:j], values[i:j]) for i, j in itertools.pairwise(starts)]
    cplex.linear_constraints.add(lin_expr=pairs, senses=senses, rhs=rhs, range_values=ranges)


def _rows(R: sp.csr_array, lower: Vector, upper: Vector) -> tuple[sp.csr_array, str, list[float], list[float]]:
    """Rows in the four senses of CPLEX, with right-hand sides and ranges.

    A ranged row is ``[rhs, rhs + range]`` or, when range is negative, ``[rhs + range, rhs]``: the side nearer to zero
    becomes rhs, so that a huge other side rounds nothing away. By that rule crossed sides would be swapped and not
    empty: such a row becomes ``0 ≤ −1``.
    """
    slack = ROUNDING * np.clip(np.minimum(np.abs(lower), np.abs(upper)), 1.0, INFINITE)
    impossible = (lower > upper + slack) | (lower >= INFINITE) | (upper <= -INFINITE)
    if impossible.any():
        R = sp.csr_array(sp.diags_array(np.where(impossible, 0.0, 1.0)) @ R)
        lower, upper = np.where(impossible, -np.inf, lower), np.where(impossible, -1.0, upper)
    low, high = lower > -INFINITE, upper < INFINITE
    equal, ranged = low & high & (lower >= upper), low & high & (lower < upper)
    senses = np.select([equal, ranged, low], ["E", "R", "G"], "L")
    from_below = low & (~high | (np.abs(lower) <= np.abs(upper)))
    width = np.where(ranged, upper, 0.0) - np.where(ranged, lower, 0.0)
    rhs = bounds(np.where(from_below, lower, upper))
    return R, "".join(senses.tolist()), rhs, np.where(from_below, width, -width).tolist()


def _add_cone(cplex: Any, cone: Cone) -> None:
    ones = [1.0] * len(cone.squares)
    if cone.product is None:
        quadratic = [cone.squares, cone.squares, ones]
    else:
        one, other = cone.product
        quadratic = [[*cone.squares, one], [*cone.squares, other], [*ones, -1.0]]
    indices, values = cone.linear
    cplex.quadratic_constraints.add(
        lin_expr=[indices, [-value for value in values]], quad_expr=quadratic, sense="L", rhs=cone.right
    )


def _add_indicators(cplex: Any, form: StandardForm) -> None:
    for block in form.indicators:
        R, starts = block.R, block.R.indptr
        for i in range(block.rows):
            indices = R.indices[starts[i] : starts[i + 1]].tolist()
            values = R.data[starts[i] : starts[i + 1]].tolist()
            # An indicator of CPLEX has one side only.
            for sense, side in (("G", block.lower[i]), ("L", block.upper[i])):
                if np.isfinite(side):
                    cplex.indicator_constraints.add(
                        lin_expr=[indices, values],
                        sense=sense,
                        rhs=float(side),
                        indvar=int(block.switch[i]),
                        complemented=int(not block.on[i]),
                    )


def switches(form: StandardForm) -> NDArray[np.bool_]:
    """Columns that CPLEX wants integer whatever the form says: the switches of indicators."""
    result = np.zeros(form.shape[1], dtype=bool)
    for block in form.indicators:
        result[block.switch] = True
    return result


def set_types(cplex: Any, form: StandardForm) -> bool:
    """Tell which columns are integer; True when there is a tree to search, else the problem is a continuous one.

    Only a continuous type has duals and a basis to go on from; to change to it would also discard indicators and sets.
    """
    integer = form.integer | switches(form)
    if integer.any() or form.sos1:
        kinds = np.where(integer, "I", "C").tolist()
        cplex.variables.set_types(list(enumerate(kinds)))
        return True
    kind = cplex.problem_type
    cplex.set_problem_type(kind.QCP if form.epigraphs else kind.LP)
    return False
