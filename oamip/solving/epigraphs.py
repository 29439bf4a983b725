"""The epigraphs of a form at a point: how far they are violated, their tangents, and the point raised onto them.

A column *carries* an epigraph row ``f(Bx + b) ≤ Tx + t`` when raising it can only help: it is continuous, its entry in
T is positive wherever it occurs, and it is no argument of any f. Raising the carriers to the true function values turns
a solution of the tangent relaxation into a point of the program itself, whose objective is an honest one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from oamip.program import CompiledEpigraph, StandardForm

__all__ = ["Epigraphs", "Point"]

Vector: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.intp]

NEGLIGIBLE = 1e-9  # solvers drop matrix entries below this one


@dataclass(frozen=True)
class Point:
    """A point with what is affine in it, per epigraph: arguments (n, k) and right sides ``Tx + t`` (n,)."""

    x: Vector
    arguments: tuple[NDArray[np.float64], ...]
    right: tuple[Vector, ...]

    def towards(self, other: Point, share: float) -> Point:
        """The point ``share`` of the way to ``other``; costs no product with a matrix."""
        return Point(
            self.x + share * (other.x - self.x),
            tuple(u + share * (v - u) for u, v in zip(self.arguments, other.arguments, strict=True)),
            tuple(r + share * (s - r) for r, s in zip(self.right, other.right, strict=True)),
        )


class Epigraphs:
    """All epigraphs of one form."""

    def __init__(self, form: StandardForm) -> None:
        self.form = form
        self.all = form.epigraphs
        may_carry = self._may_carry()
        self._carriers = [_carriers(epigraph, may_carry) for epigraph in self.all]
        self._loose = self._may_be_lowered()

    def _may_carry(self) -> NDArray[np.bool_]:
        allowed = ~self.form.integer
        for epigraph in self.all:
            allowed[_columns(epigraph.B)] = False
            negative = epigraph.T.data < 0
            allowed[epigraph.T.indices[negative]] = False
        return allowed

    def _may_be_lowered(self) -> NDArray[np.bool_]:
        """Carriers in no row, in no right side that another column carries, and whose low values are good ones."""
        width = self.form.shape[1]
        occurs, carries = np.zeros(width, dtype=np.intp), np.zeros(width, dtype=np.intp)
        for epigraph, (_, columns, _) in zip(self.all, self._carriers, strict=True):
            occurs += np.bincount(epigraph.T.indices, minlength=width)
            carries += np.bincount(columns, minlength=width)
        free = (carries > 0) & (occurs == carries)
        free[_columns(self.form.A)] = False
        result: NDArray[np.bool_] = free & (self.form.cost >= 0 if self.form.sense == "min" else self.form.cost <= 0)
        return result

    @property
    def carriers(self) -> Indices:
        """Columns that carry an epigraph row."""
        return np.unique(np.concatenate([np.empty(0, dtype=np.intp), *(columns for _, columns, _ in self._carriers)]))

    def at(self, x: Vector) -> Point:
        """A point with its arguments."""
        return Point(x, tuple(e.arguments(x) for e in self.all), tuple(e.T @ x + e.t for e in self.all))

    def excess(self, point: Point) -> list[Vector]:
        """``f(u) − (Tx + t)`` per epigraph: positive where violated."""
        return [e.function.value(u) - r for e, u, r in zip(self.all, point.arguments, point.right, strict=True)]

    def unreached(self, point: Point, tolerance: float) -> bool:
        """True when some row is violated at the point and no carrier can be raised far enough to mend it."""
        for excess, (rows, columns, factors) in zip(self.excess(point), self._carriers, strict=True):
            room = np.zeros_like(excess)
            room[rows] = factors * np.maximum(self.form.column_upper[columns] - point.x[columns], 0.0)
            if (excess - room > tolerance).any():
                return True
        return False

    def raised(self, point: Point) -> Vector:
        """The point with every carrier at what the epigraphs demand of it, at most at its upper bound.

        A carrier that nothing else holds up is lowered as well, so that it holds the exact value.
        """
        x = point.x.copy()
        demanded = np.full(x.size, -np.inf)
        for excess, (rows, columns, factors) in zip(self.excess(point), self._carriers, strict=True):
            np.maximum.at(demanded, columns, x[columns] + excess[rows] / factors)
        lowered = self._loose & np.isfinite(demanded)
        x[lowered] = self.form.column_lower[lowered]
        wanted = np.maximum(x, demanded)
        raised: Vector = np.where(np.isfinite(demanded), np.minimum(wanted, self.form.column_upper), x)
        return raised

    def tangents(self, point: Point, tolerance: float) -> tuple[sp.csr_array, Vector]:
        """Tangents ``R x ≤ r`` at the point for every epigraph row that it violates by more than ``tolerance``."""
        parts = []
        for epigraph, u, excess in zip(self.all, point.arguments, self.excess(point), strict=True):
            which = np.flatnonzero(excess > tolerance)
            if which.size:
                parts.append(epigraph.cuts(u[which], which))
        return self._joined(parts)

    def deep_tangents(
        self, point: Point, between: Point, tolerance: float, depth: float
    ) -> tuple[sp.csr_array, Vector]:
        """For every row violated at ``point``, its tangent at ``between`` if that cuts ``point`` off deeply enough.

        Deeply: by more than ``depth`` of the row's violation; the others get the tangent at ``point``.
        """
        parts = []
        for number, (epigraph, excess) in enumerate(zip(self.all, self.excess(point), strict=True)):
            which = np.flatnonzero(excess > tolerance)
            if not which.size:
                continue
            u, v = point.arguments[number][which], between.arguments[number][which]
            model = epigraph.function.value(v) + (epigraph.function.gradient(v) * (u - v)).sum(axis=1)
            deep = model - point.right[number][which] > depth * excess[which]
            parts.append(epigraph.cuts(np.where(deep[:, None], v, u), which))
        return self._joined(parts)

    def anchors(self, *, first: bool) -> tuple[sp.csr_array, Vector]:
        """Tangents at the functions' anchors: the first anchor of each, or all the others."""
        parts = []
        for epigraph in self.all:
            points = epigraph.function.anchors(epigraph.B.shape[0] // max(epigraph.rows, 1))
            for anchor in points[:1] if first else points[1:]:
                which = np.arange(epigraph.rows)
                parts.append(epigraph.cuts(np.tile(anchor, (which.size, 1)), which))
        return self._joined(parts)

    def _joined(self, parts: Iterable[tuple[sp.csr_array, Vector]]) -> tuple[sp.csr_array, Vector]:
        cleaned = [self._without_dust(R, r) for R, r in parts]
        if not cleaned:
            return sp.csr_array((0, self.form.shape[1])), np.empty(0)
        return sp.vstack([R for R, _ in cleaned], format="csr"), np.concatenate([r for _, r in cleaned])

    def _without_dust(self, R: sp.csr_array, r: Vector) -> tuple[sp.csr_array, Vector]:
        """Take out entries that solvers would drop, replacing each term by its least value: the cut stays valid."""
        at_low, at_high = R.data * self.form.column_lower[R.indices], R.data * self.form.column_upper[R.indices]
        least = np.minimum(at_low, at_high)
        dust = (np.abs(R.data) < NEGLIGIBLE) & np.isfinite(least)
        if not dust.any():
            return R, r
        rows = np.repeat(np.arange(R.shape[0]), np.diff(R.indptr))
        relaxed = r - np.bincount(rows[dust], least[dust], R.shape[0])
        data = np.where(dust, 0.0, R.data)
        thinner = sp.csr_array((data, R.indices.copy(), R.indptr.copy()), shape=R.shape)
        thinner.eliminate_zeros()
        return thinner, relaxed


def _columns(matrix: sp.csr_array) -> Indices:
    columns: Indices = np.unique(matrix.indices[matrix.data != 0])
    return columns


def _carriers(epigraph: CompiledEpigraph, allowed: NDArray[np.bool_]) -> tuple[Indices, Indices, Vector]:
    """For each row that has one: the row, its first column that may carry it, and that column's entry in T."""
    T = epigraph.T
    rows = np.repeat(np.arange(T.shape[0]), np.diff(T.indptr))
    fit = np.flatnonzero(allowed[T.indices] & (T.data > 0))
    carried, first = np.unique(rows[fit], return_index=True)
    return carried, T.indices[fit[first]].astype(np.intp), T.data[fit[first]]
