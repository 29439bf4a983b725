"""A standard form inside SCIP, and the changes that a session makes to it between two solves.

Rows are built from dictionaries of SCIP's own terms, one for each column: summing expressions takes twice as long.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from pyscipopt import Expr, Model
from pyscipopt.scip import ExprCons, Term

from oamip.program import StandardForm
from oamip.solving.drivers.scip.settings import INFINITE

__all__ = ["Domains", "ScipModel"]

Vector: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.intp]

NEAR = 1e-7  # bounds that cross by no more meet; an integer bound so near to an integer is one


@dataclass(frozen=True)
class Domains:
    """What SCIP is told of the columns: bounds, rounded where they are integer, and kinds ``C``, ``I`` or ``B``."""

    lower: Vector
    upper: Vector
    kind: NDArray[np.str_]

    @classmethod
    def of(cls, form: StandardForm) -> Domains:
        """The domains of a form. Switches stay binary in a relaxation, since nothing else can switch rows on."""
        switches = [indicator.switch for indicator in form.indicators]
        integer = form.integer.copy()
        integer[np.concatenate([np.zeros(0, dtype=np.intp), *switches])] = True
        lower, upper = form.column_lower, form.column_upper
        lower, upper = np.clip(lower, -INFINITE, INFINITE), np.clip(upper, -INFINITE, INFINITE)
        lower = np.where(integer, np.ceil(lower - NEAR), lower)
        upper = np.where(integer, np.floor(upper + NEAR), upper)
        upper = np.where((upper < lower) & (lower - upper <= NEAR), lower, upper)
        binary = integer & (lower >= 0) & (upper <= 1)
        return cls(lower, upper, np.where(binary, "B", np.where(integer, "I", "C")))

    @property
    def empty(self) -> bool:
        """True when nothing lies between the bounds of some column."""
        return bool((self.lower > self.upper).any())

    def changed(self, other: Domains) -> Indices:
        """The columns that differ."""
        different = (self.lower != other.lower) | (self.upper != other.upper) | (self.kind != other.kind)
        return np.flatnonzero(different)


class ScipModel:
    """The linear part of a form in SCIP.

    Args:
        scip: a SCIP without a problem of its own yet.
        form: whose columns and rows are taken; atoms are added by `atoms.embed`.

    Attributes:
        columns: the variables of the form's columns.
        rows: the constraints of its rows, and then of those that were added.
    """

    def __init__(self, scip: Model, form: StandardForm) -> None:
        self.scip = scip
        self._domains = Domains.of(form)
        limits = zip(*(field.tolist() for field in vars(self._domains).values()), strict=True)
        self.columns = [scip.addVar(lb=low, ub=high, vtype=kind) for low, high, kind in limits]
        self._terms = _terms(self.columns)
        self._cost, self._constant = form.cost, np.nan  # equal to nothing: none is set yet
        self._sense: Literal["minimize", "maximize"] = "minimize" if form.sense == "min" else "maximize"
        self.rows: list[Any] = []
        self.add_rows(form.A, form.row_lower, form.row_upper)
        self._fixed = len(self.rows)
        self.match(form)

    def match(self, form: StandardForm) -> None:
        """Change bounds, kinds and objective into those of a form with the same rows."""
        domains = Domains.of(form)
        for j in domains.changed(self._domains).tolist():
            self._change(j, float(domains.lower[j]), float(domains.upper[j]), str(domains.kind[j]))
        self._domains = domains
        self.set_objective(form.cost, form.constant)

    def _change(self, j: int, lower: float, upper: float, kind: str) -> None:
        column, before = self.columns[j], str(self._domains.kind[j])
        if before != kind:
            self.scip.chgVarType(column, "C")  # an integer column rounds new bounds, and a binary one stays in [0, 1]
        self.scip.chgVarLb(column, lower)
        self.scip.chgVarUb(column, upper)
        if kind not in (before, "C"):
            self.scip.chgVarType(column, kind)

    def set_objective(self, cost: Vector, constant: float) -> None:
        """A new objective in the same sense."""
        if constant == self._constant and np.array_equal(cost, self._cost):
            return
        used = np.flatnonzero(cost)
        self.scip.setObjective(self.expression(used, cost[used]), self._sense)
        self.scip.addObjoffset(constant)
        self._cost, self._constant = cost.copy(), constant

    def expression(self, columns: Indices, weights: Vector) -> Any:
        """A weighted sum of columns."""
        return Expr(dict(zip(self._terms[columns].tolist(), weights.tolist(), strict=True)))

    # ── rows ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def add_rows(self, R: sp.csr_array, lower: Vector, upper: Vector) -> None:
        """Add rows ``lower ≤ R x ≤ upper``."""
        for expression, low, high in zip(self.expressions(R), lower.tolist(), upper.tolist(), strict=True):
            self.rows.append(self.add_row(expression, low, high))

    def drop_rows(self, which: Indices) -> None:
        """Take added rows out again; ``which`` counts added rows only."""
        gone = set((which + self._fixed).tolist())
        for i in gone:
            self.scip.delCons(self.rows[i])
        self.rows = [row for i, row in enumerate(self.rows) if i not in gone]

    def add_row(self, expression: Any, lower: float, upper: float) -> Any:
        """One row. SCIP takes no sides that cross: if that is by a rounding they meet, else the row is ``0 ≥ 1``."""
        if lower > upper and lower - upper <= NEAR:
            lower = upper
        if lower > upper or lower >= INFINITE or upper <= -INFINITE:
            return self.scip.addCons(ExprCons(Expr({}), 1.0, INFINITE))
        return self.scip.addCons(ExprCons(expression, max(lower, -INFINITE), min(upper, INFINITE)))

    def expressions(self, R: sp.csr_array) -> Iterable[Any]:
        """The rows of a matrix over the columns as expressions of SCIP."""
        if not R.has_canonical_format:
            R = R.copy()
            R.sum_duplicates()
        starts, terms, data = R.indptr.tolist(), self._terms[R.indices].tolist(), R.data.tolist()
        for first, last in pairwise(starts):
            yield Expr(dict(zip(terms[first:last], data[first:last], strict=True)))


def _terms(variables: list[Any]) -> NDArray[np.object_]:
    terms = np.empty(len(variables), dtype=object)
    terms[:] = [Term(variable) for variable in variables]
    return terms
