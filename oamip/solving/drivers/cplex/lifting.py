"""A form over more columns, in which every atom is one of plain columns that CPLEX is good at.

Cones: each argument ``(B x + b)_ic`` of an epigraph gets a column ``u_ic`` and a row ``u_ic − B_ic x = b_ic``. Then
``Σ_c u_c² ≤ t`` is a convex quadratic row over plain squares, and ``‖w‖² ≤ t y`` with ``t, y ≥ 0`` a rotated
second-order cone: CPLEX sees at once that they are convex, which it might fail to see in a dense ``xᵀBᵀBx``.
What confines w beyond the cone is rows of the program.

SOS1 sets: CPLEX 22.2 calls points optimal that are not when a member may be negative; up to a tenth of random programs
of two sets of four ended so, with presolve and without. Such a member is split into ``x = p − q``, ``p, q ≥ 0``, and
both parts stand in the set: none of the same programs went wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from oamip.program import StandardForm
from oamip.program.form import CompiledEpigraph

__all__ = ["Cone", "Lifted", "lift"]

Vector: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Cone:
    """``Σ x_j² for j in squares ≤ right + Σ linear``, or ``≤`` the product of two columns."""

    squares: list[int]
    product: tuple[int, int] | None = None
    linear: tuple[list[int], list[float]] = field(default_factory=lambda: ([], []))
    right: float = 0.0


@dataclass(frozen=True)
class Lifted:
    """The linear part over all columns, those of the form first, with cones and SOS1 sets; as in `StandardForm`."""

    A: sp.csr_array
    row_lower: Vector
    row_upper: Vector
    column_lower: Vector
    column_upper: Vector
    cost: Vector
    cones: tuple[Cone, ...]
    sets: tuple[list[int], ...]


def lift(form: StandardForm) -> Lifted:
    """The form with its epigraphs as cones and its SOS1 sets over columns that are not negative."""
    own = _OwnColumns(form.shape[1])
    cones = [cone for epigraph in form.epigraphs for cone in _cones(epigraph, own)]
    sets = _sets(form, own)
    D, right = own.definitions()
    if own.count:
        A = sp.vstack([sp.hstack([form.A, sp.csr_array((form.shape[0], own.count))]), D], format="csr")
    else:
        A = form.A
    return Lifted(
        A=A,
        row_lower=np.concatenate([form.row_lower, right]),
        row_upper=np.concatenate([form.row_upper, right]),
        column_lower=np.concatenate([form.column_lower, *own.lower]),
        column_upper=np.concatenate([form.column_upper, np.full(own.count, np.inf)]),
        cost=np.concatenate([form.cost, np.zeros(own.count)]),
        cones=tuple(cones),
        sets=tuple(sets),
    )


class _OwnColumns:
    """Columns that we add, each defined by a row."""

    def __init__(self, width: int) -> None:
        self._width, self.count = width, 0
        self.lower: list[Vector] = []
        self._R: list[sp.csr_array] = []
        self._own: list[sp.sparray] = []
        self._right: list[Vector] = []

    def define(self, own: sp.sparray, R: sp.csr_array, right: Vector, lower: Vector) -> int:
        """Add columns v ≥ lower with ``own v − R x = right``; gives the number of the first."""
        first = self._width + self.count
        self.count += lower.size
        self._own.append(own)
        self._R.append(R)
        self._right.append(right)
        self.lower.append(lower)
        return first

    def definitions(self) -> tuple[sp.csr_array, Vector]:
        """All those rows over all columns."""
        if not self.count:
            return sp.csr_array((0, self._width)), np.zeros(0)
        return sp.hstack([-sp.vstack(self._R), sp.block_diag(self._own)]).tocsr(), np.concatenate(self._right)


def _cones(epigraph: CompiledEpigraph, own: _OwnColumns) -> list[Cone]:
    n, size = epigraph.rows, epigraph.b.size
    if epigraph.function.name == "perspective":
        low = np.full((n, size // n), -np.inf)
        low[:, -1] = 0.0
        first = own.define(sp.eye_array(size), epigraph.B, epigraph.b, low.ravel())
        heights = own.define(sp.eye_array(n), epigraph.T, epigraph.t, np.zeros(n)) + np.arange(n)
        rows = (first + np.arange(size).reshape(n, -1)).tolist()
        return [Cone(row[:-1], product=(row[-1], int(height))) for row, height in zip(rows, heights, strict=True)]
    first = own.define(sp.eye_array(size), epigraph.B, epigraph.b, np.full(size, -np.inf))
    rows = (first + np.arange(size).reshape(n, -1)).tolist()
    T, starts = epigraph.T, epigraph.T.indptr
    sides = [
        (T.indices[starts[i] : starts[i + 1]].tolist(), T.data[starts[i] : starts[i + 1]].tolist()) for i in range(n)
    ]
    return [Cone(rows[i], linear=sides[i], right=float(epigraph.t[i])) for i in range(n)]


def _sets(form: StandardForm, own: _OwnColumns) -> list[list[int]]:
    split = form.signed_members()
    parts = {j: [j] for sets in form.sos1 for j in sets.members.ravel().tolist()}
    if split.size:
        one = sp.eye_array(split.size)
        picks = sp.csr_array((np.ones(split.size), split, np.arange(split.size + 1)), shape=(split.size, form.shape[1]))
        first = own.define(sp.hstack([one, -one]), picks, np.zeros(split.size), np.zeros(2 * split.size))
        parts |= {int(j): [first + i, first + split.size + i] for i, j in enumerate(split)}
    return [[part for j in members for part in parts[j]] for sets in form.sos1 for members in sets.members.tolist()]
