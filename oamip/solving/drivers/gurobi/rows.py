"""The rows of a form in a model of Gurobi, one to one, so that positions and duals are those of the form."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import gurobipy as gp
import numpy as np
import scipy.sparse as sp
from gurobipy import GRB
from numpy.typing import NDArray

__all__ = ["ModelRows"]

Vector: TypeAlias = NDArray[np.float64]


class ModelRows:
    """Rows ``lower ≤ R x ≤ upper``, in the order in which they were added.

    Gurobi has one side per row. A row with two gets a slack column: ``R x + s = upper`` with ``0 ≤ s ≤ upper − lower``,
    or ``R x − s = lower`` where the lower side is nearer to zero, so that a huge other side rounds none of it away. It
    stays one row, whose dual value is that of the row of the form.
    """

    def __init__(self, model: gp.Model, columns: gp.MVar) -> None:
        self._model, self._columns = model, columns
        self._rows: list[gp.Constr] = []
        self._slacks: list[gp.Var | None] = []

    def add(self, R: sp.csr_array, lower: Vector, upper: Vector) -> None:
        """Add rows at the end."""
        if not lower.size:
            return
        equal = (lower == upper) & np.isfinite(upper)
        ranged = np.flatnonzero(np.isfinite(lower) & np.isfinite(upper) & ~equal)
        slacks = self._model.addMVar(ranged.size, ub=upper[ranged] - lower[ranged])  # crossed sides: no slack fits
        below = np.isneginf(lower)
        from_below = (np.abs(lower) < np.abs(upper)) & ~below
        direction = np.where(from_below[ranged], -1.0, 1.0)
        two_sided = equal.copy()
        two_sided[ranged] = True
        sense = np.where(two_sided, GRB.EQUAL, np.where(below, GRB.LESS_EQUAL, GRB.GREATER_EQUAL))
        S = sp.csr_array((direction, (ranged, np.arange(ranged.size))), shape=(lower.size, ranged.size))
        rows = self._model.addMConstr(
            sp.hstack([R, S], format="csr"),
            gp.concatenate((self._columns, slacks)),
            sense,
            np.where(below | (two_sided & ~from_below), upper, lower),
        )
        self._rows += rows.tolist()
        own: list[gp.Var | None] = [None] * int(lower.size)
        for position, slack in zip(ranged, slacks.tolist(), strict=True):
            own[position] = slack
        self._slacks += own

    def drop(self, positions: Iterable[int]) -> None:
        """Take rows out; those behind move up."""
        gone = set(positions)
        for position in gone:
            self._model.remove(self._rows[position])
            slack = self._slacks[position]
            if slack is not None:
                self._model.remove(slack)
        kept = [position for position in range(len(self._rows)) if position not in gone]
        self._rows = [self._rows[position] for position in kept]
        self._slacks = [self._slacks[position] for position in kept]

    def duals(self) -> Vector:
        """``y`` of a linear program solved to the end; reduced costs are ``c − Aᵀy`` in both senses."""
        return np.array(self._model.getAttr(GRB.Attr.Pi, self._rows), dtype=np.float64)
