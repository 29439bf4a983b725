"""Convex epigraphs, indicators and SOS1 sets as constraints of SCIP.

Every argument of an epigraph is a variable of its own, tied by a linear row, so that nonlinear constraints stay short:

    log Σ_c exp(u_c) ≤ t     Σ_c exp(v_c) ≤ 1       v = u − t ≤ 0
    Σ_c u_c² ≤ t             Σ_c v_c² ≤ s           v = u, s = t
    ‖w‖² / y ≤ t             Σ_c v_c² ≤ s·z         v = w, s = t ≥ 0, z = y ≥ 0

A member of a SOS1 set that may be negative is split into ``x = p − q``, ``p, q ≥ 0``, and both parts stand in the set:
SCIP 10 calls wrong points of about one in two hundred random programs with signed members optimal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from pyscipopt import exp, quicksum
from pyscipopt.scip import ExprCons

from oamip.program import CompiledEpigraph, CompiledIndicator, CompiledSOS1, StandardForm
from oamip.solving.drivers.scip.model import ScipModel
from oamip.solving.drivers.scip.settings import INFINITE

__all__ = ["Auxiliary", "embed"]

Vector: TypeAlias = NDArray[np.float64]

STEEP = 1e4  # steepness of tangents to perspectives; that of our own function, unless the user chose another


@dataclass(frozen=True)
class Auxiliary:
    """Variables that SCIP has and the form has not; ``max(M x + m, floor)`` are values for them at a point."""

    variables: list[Any]
    M: sp.csr_array
    m: Vector
    floor: float = -np.inf

    def values(self, x: Vector) -> Vector:
        """The values that go with a point; NaN where an entry that counts is NaN."""
        result: Vector = np.maximum(self.M @ x + self.m, self.floor)
        return result


def embed(model: ScipModel, form: StandardForm) -> list[Auxiliary]:
    """Add the atoms of a form to the model of its linear part, and tell what else that brought in."""
    found: list[Auxiliary] = []
    for epigraph in form.epigraphs:
        found += _EPIGRAPHS[epigraph.function.name](model, epigraph)
    for indicator in form.indicators:
        found += _switch(model, indicator)
    parts = _signed_parts(model, form, found)
    for sos1 in form.sos1:
        _choose(model, sos1, parts)
    return found


# ── epigraphs ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _log_sum_exp(model: ScipModel, epigraph: CompiledEpigraph) -> list[Auxiliary]:
    k = epigraph.B.shape[0] // max(epigraph.rows, 1)
    each = np.repeat(np.arange(epigraph.rows), k)
    v = _tied(model, (epigraph.B - epigraph.T[each]).tocsr(), epigraph.b - epigraph.t[each], upper=0.0)
    for row in _by_row(v, epigraph):
        model.scip.addCons(quicksum(exp(entry) for entry in row) <= 1.0)
    return [v]


def _sum_squares(model: ScipModel, epigraph: CompiledEpigraph) -> list[Auxiliary]:
    v, s = _tied(model, epigraph.B, epigraph.b), _tied(model, epigraph.T, epigraph.t, lower=0.0)
    for row, bound in zip(_by_row(v, epigraph), s.variables, strict=True):
        model.scip.addCons(quicksum(entry * entry for entry in row) - bound <= 0.0)
    return [v, s]


def _perspective(model: ScipModel, epigraph: CompiledEpigraph) -> list[Auxiliary]:
    v, s = _tied(model, epigraph.B, epigraph.b), _tied(model, epigraph.T, epigraph.t, lower=0.0)
    for (*row, scale), bound in zip(_by_row(v, epigraph), s.variables, strict=True):
        model.scip.chgVarLb(scale, 0.0)
        model.scip.addCons(quicksum(entry * entry for entry in row) - bound * scale <= 0.0)
    _add_steep_tangents(model, epigraph)
    return [v, s]


def _add_steep_tangents(model: ScipModel, epigraph: CompiledEpigraph) -> None:
    """Tangents ``±2r·w_c − r²·y ≤ t``: at y = 0 the cone lets w be as large as the root of SCIP's tolerance."""
    k = epigraph.B.shape[0] // max(epigraph.rows, 1)
    directions = np.hstack([STEEP * np.vstack([np.eye(k - 1), -np.eye(k - 1)]), np.ones((2 * (k - 1), 1))])
    which = np.repeat(np.arange(epigraph.rows), len(directions))
    R, r = epigraph.cuts(np.tile(directions, (epigraph.rows, 1)), which)
    for expression, side in zip(model.expressions(R), r.tolist(), strict=True):
        model.add_row(expression, -INFINITE, side)


_EPIGRAPHS: dict[str, Callable[[ScipModel, CompiledEpigraph], list[Auxiliary]]] = {
    "log_sum_exp": _log_sum_exp,
    "sum_squares": _sum_squares,
    "perspective": _perspective,
}


def _tied(
    model: ScipModel, M: sp.csr_array, m: Vector, *, lower: float = -INFINITE, upper: float = INFINITE
) -> Auxiliary:
    """New variables ``v = M x + m``."""
    variables = [model.scip.addVar(lb=lower, ub=upper) for _ in range(m.size)]
    for expression, variable, shift in zip(model.expressions(M), variables, m.tolist(), strict=True):
        model.add_row(expression - variable, -shift, -shift)
    return Auxiliary(variables, M, m)


def _by_row(v: Auxiliary, epigraph: CompiledEpigraph) -> list[list[Any]]:
    k = len(v.variables) // max(epigraph.rows, 1)
    return [v.variables[i * k : (i + 1) * k] for i in range(epigraph.rows)]


# ── logic ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _switch(model: ScipModel, indicator: CompiledIndicator) -> list[Auxiliary]:
    """Each side that can be violated at all becomes an indicator; SCIP measures how far in a slack of its own."""
    R = indicator.R.tocsr()
    above = _one_side(model, indicator, R, indicator.upper, indicator.highest)
    below = _one_side(model, indicator, (-R).tocsr(), -indicator.lower, -indicator.lowest)
    return [*above, *below]


def _one_side(
    model: ScipModel, indicator: CompiledIndicator, R: sp.csr_array, side: Vector, most: Vector
) -> list[Auxiliary]:
    scip, needed = model.scip, np.flatnonzero(most > side)
    slacks = []
    for i, expression in zip(needed.tolist(), model.expressions(R[needed]), strict=True):
        switch = model.columns[indicator.switch[i]]
        constraint = scip.addConsIndicator(ExprCons(expression, None, float(side[i])), switch, bool(indicator.on[i]))
        slack = scip.getSlackVarIndicator(constraint)
        scip.chgVarUb(slack, min(float(most[i] - side[i]), INFINITE))
        slacks.append(slack)
    return [Auxiliary(slacks, R[needed], -side[needed], floor=0.0)]


def _signed_parts(model: ScipModel, form: StandardForm, found: list[Auxiliary]) -> dict[int, tuple[Any, Any]]:
    """For each member of a set that may be negative, its positive and its negative part, which are told as found."""
    signed = form.signed_members()
    if not signed.size:
        return {}
    picks = sp.csr_array((np.ones(signed.size), signed, np.arange(signed.size + 1)), shape=(signed.size, form.shape[1]))
    parts = [
        Auxiliary([model.scip.addVar(lb=0.0, ub=None) for _ in signed], sign * picks, np.zeros(signed.size), 0.0)
        for sign in (1.0, -1.0)
    ]
    found += parts
    pairs = {}
    for j, p, q in zip(signed.tolist(), parts[0].variables, parts[1].variables, strict=True):
        model.add_row(model.columns[j] - p + q, 0.0, 0.0)
        pairs[j] = p, q
    return pairs


def _choose(model: ScipModel, sos1: CompiledSOS1, parts: dict[int, tuple[Any, Any]]) -> None:
    for members in sos1.members.tolist():
        entries = [entry for j in members for entry in parts.get(j, (model.columns[j],))]
        model.scip.addConsSOS1(entries)
