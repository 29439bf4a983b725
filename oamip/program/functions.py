"""Convex functions whose epigraphs ``f(u) ≤ t`` a program may contain.

A function acts on rows: it takes an array (n, k) and gives n values and n gradients. Value and gradient alone let every
MILP solver handle it, by tangent cuts ``f(u⁰) + ∇f(u⁰)ᵀ(u − u⁰) ≤ t``; a solver that knows the cone takes it as it is.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Confined", "ConvexFunction", "LogSumExp", "Perspective", "SumSquares"]

Matrix: TypeAlias = NDArray[np.float64]
Vector: TypeAlias = NDArray[np.float64]


@runtime_checkable
class ConvexFunction(Protocol):
    """A convex function of k numbers, evaluated row by row."""

    @property
    def name(self) -> str:
        """Its kind, as drivers and backends know it."""
        ...

    def value(self, u: Matrix) -> Vector:
        """``f`` of every row of ``u`` (n, k): n values."""
        ...

    def gradient(self, u: Matrix) -> Matrix:
        """``∇f`` at every row of ``u``: (n, k)."""
        ...

    def anchors(self, k: int) -> Matrix:
        """Points (j, k) whose tangents bound ``f`` from below everywhere it matters, to begin the cut loop with."""
        ...


@runtime_checkable
class Confined(ConvexFunction, Protocol):
    """A convex function that is not defined everywhere, but where linear inequalities of its arguments hold."""

    def domain(self, k: int) -> Matrix:
        """``D`` (j, k): it is defined where ``D u ≤ 0``."""
        ...

    def nearest(self, u: Matrix) -> Matrix:
        """Points of the domain for points (n, k) that tolerances may have put outside; its own for those inside."""
        ...


class LogSumExp:
    """``f(u) = log Σ_c exp(u_c)``, the log-partition of a softmax; its gradient is the softmax."""

    name = "log_sum_exp"

    def value(self, u: Matrix) -> Vector:  # noqa: D102
        top = u.max(axis=1)
        result: Vector = top + np.log(np.exp(u - top[:, None]).sum(axis=1))
        return result

    def gradient(self, u: Matrix) -> Matrix:  # noqa: D102
        shifted = np.exp(u - u.max(axis=1)[:, None])
        result: Matrix = shifted / shifted.sum(axis=1)[:, None]
        return result

    def anchors(self, k: int) -> Matrix:
        """All equal, and one far ahead of the rest: those tangents are ``t ≥ u_c`` to double precision."""
        return np.vstack([np.zeros((1, k)), 1e3 * np.eye(k)])


class SumSquares:
    """``f(u) = Σ_c u_c²``."""

    name = "sum_squares"

    def value(self, u: Matrix) -> Vector:  # noqa: D102
        result: Vector = np.einsum("nk,nk->n", u, u)
        return result

    def gradient(self, u: Matrix) -> Matrix:  # noqa: D102
        return 2.0 * u

    def anchors(self, k: int) -> Matrix:
        """The origin: ``t ≥ 0``."""
        return np.zeros((1, k))


class Perspective:
    """``f(w, y) = ‖w‖² / y``, the last argument being y, and f(0, 0) = 0: a square that a switch turns off.

    It is defined where ``|w_c| ≤ steepest · y`` for every c, and nowhere else. `Program.epigraph` adds that as rows
    ``NAME_domain``, so that tangents, cones and our check know the same points: where y is 0, so is w.

    Source: Frangioni and Gentile 2006; used by structured perspective regularisation (arXiv 2206.14056).

    Args:
        steepest: the largest ``|w_c| / y``. A program that has a big-M of its own between w and y gives it here, and
            leaves its rows out.
    """

    name = "perspective"

    def __init__(self, steepest: float = 1e4) -> None:
        self.steepest = steepest

    def value(self, u: Matrix) -> Vector:  # noqa: D102
        w, y = self._split(self.nearest(u))
        result: Vector = (self._ratio(w, y) * w).sum(axis=1)
        return result

    def gradient(self, u: Matrix) -> Matrix:  # noqa: D102
        ratio = self._ratio(*self._split(self.nearest(u)))
        return np.column_stack([2.0 * ratio, -np.einsum("nk,nk->n", ratio, ratio)])

    def anchors(self, k: int) -> Matrix:
        """The point w = 0, y = 1, whose tangent says ``t ≥ 0``."""
        return np.eye(k)[-1:]

    def domain(self, k: int) -> Matrix:
        """``w_c ≤ steepest · y`` and ``−w_c ≤ steepest · y``."""
        w, y = np.eye(k)[:-1], self.steepest * np.eye(k)[-1]
        return np.vstack([w - y, -w - y])

    def nearest(self, u: Matrix) -> Matrix:
        """Points of the domain: y at least 0, and w no longer than y allows."""
        y = np.maximum(u[:, -1:], 0.0)
        return np.hstack([np.clip(u[:, :-1], -self.steepest * y, self.steepest * y), y])

    @staticmethod
    def _split(u: Matrix) -> tuple[Matrix, Matrix]:
        return u[:, :-1], u[:, -1:]

    @staticmethod
    def _ratio(w: Matrix, y: Matrix) -> Matrix:
        """``w / y``, and 0 where y is 0 and w with it."""
        return np.divide(w, y, out=np.zeros_like(w), where=y > 0)
