"""Atoms in a model of Gurobi: indicators, SOS1 sets, and epigraphs that are convex quadratic constraints.

``Σ u_c² ≤ t`` and ``Σ w_c² ≤ t y`` with t, y ≥ 0 are second-order cones, and Gurobi sees them as such when every u, w,
t and y is one column. What is no plain column of the form gets a column of its own, tied by a row.
"""

from __future__ import annotations

from typing import TypeAlias

import gurobipy as gp
import numpy as np
import scipy.sparse as sp
from gurobipy import GRB
from numpy.typing import NDArray

from oamip.errors import InputError
from oamip.program import CompiledEpigraph, StandardForm
from oamip.program.logic import CompiledIndicator, CompiledSOS1

__all__ = ["add_atoms"]

Vector: TypeAlias = NDArray[np.float64]


def add_atoms(model: gp.Model, columns: gp.MVar, form: StandardForm) -> None:
    """Add every atom of a form whose columns are ``columns``.

    Raises:
        InputError: an epigraph of a function that is not quadratic.
    """
    plain: list[gp.Var] = columns.tolist()
    for indicator in form.indicators:
        _add_indicator(model, plain, indicator)
    for sets in form.sos1:
        _add_sos1(model, plain, sets)
    for epigraph in form.epigraphs:
        if epigraph.function.name not in ("sum_squares", "perspective"):
            raise InputError(f"epigraph '{epigraph.name}': Gurobi has no function '{epigraph.function.name}'")
        _add_epigraph(model, columns, form, epigraph)


def _add_indicator(model: gp.Model, columns: list[gp.Var], indicator: CompiledIndicator) -> None:
    """One indicator for each side; Gurobi takes a switch for binary even where the form has relaxed it."""
    R = indicator.R
    for i, (low, high) in enumerate(zip(indicator.lower, indicator.upper, strict=True)):
        entries = slice(R.indptr[i], R.indptr[i + 1])
        row = gp.LinExpr(R.data[entries].tolist(), [columns[j] for j in R.indices[entries]])
        sides = [(GRB.EQUAL, low)] if low == high else [(GRB.GREATER_EQUAL, low), (GRB.LESS_EQUAL, high)]
        for sense, side in sides:
            if np.isfinite(side):
                switch = columns[indicator.switch[i]]
                model.addGenConstrIndicator(switch, bool(indicator.on[i]), row, sense, float(side))


def _add_sos1(model: gp.Model, columns: list[gp.Var], sets: CompiledSOS1) -> None:
    order = list(range(1, sets.members.shape[1] + 1))
    for members in sets.members:
        model.addSOS(GRB.SOS_TYPE1, [columns[j] for j in members], order)


def _add_epigraph(model: gp.Model, columns: gp.MVar, form: StandardForm, epigraph: CompiledEpigraph) -> None:
    """``Σ w² ≤ t·y``: the last argument of a perspective is y; in a sum of squares y is 1 and t may have any sign."""
    perspective = epigraph.function.name == "perspective"
    size, rows = epigraph.B.shape[0], epigraph.rows
    k = size // max(rows, 1)
    ends = np.arange(size) % max(k, 1) == k - 1
    of_argument = np.where(ends & perspective, 0.0, -np.inf)
    of_right = np.full(rows, 0.0 if perspective else -np.inf)
    arguments = _as_columns(model, columns, form, epigraph.B, epigraph.b, of_argument)
    right = _as_columns(model, columns, form, epigraph.T, epigraph.t, of_right)
    for i, t in enumerate(right):
        u = arguments[i * k : (i + 1) * k]
        if perspective:
            model.addQConstr(gp.quicksum(w * w for w in u[:-1]) <= t * u[-1])
        else:
            model.addQConstr(gp.quicksum(w * w for w in u) <= t)


def _as_columns(
    model: gp.Model, columns: gp.MVar, form: StandardForm, B: sp.csr_array, b: Vector, least: Vector
) -> list[gp.Var]:
    """A column for each entry of ``B x + b``, at least ``least``: one of the form where the entry is just that."""
    B = B.copy()
    B.eliminate_zeros()
    lone = (np.diff(B.indptr) == 1) & (b == 0)
    picked = np.zeros(b.size, dtype=np.intp)
    picked[lone] = B.indices[B.indptr[:-1][lone]]
    lone[lone] = B.data[B.indptr[:-1][lone]] == 1
    lone &= form.column_lower[picked] >= least
    rest = np.flatnonzero(~lone)
    own = model.addMVar(rest.size, lb=least[rest])
    if rest.size:
        tie = sp.hstack([B[rest], -sp.eye_array(rest.size)], format="csr")
        model.addMConstr(tie, gp.concatenate((columns, own)), np.full(rest.size, GRB.EQUAL), -b[rest])
    result: list[gp.Var] = [columns[int(j)].item() for j in picked]
    for position, column in zip(rest, own.tolist(), strict=True):
        result[position] = column
    return result
