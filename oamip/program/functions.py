"""Convex functions whose epigraphs ``f(u) ≤ t`` a program may contain.

A function acts on rows: it takes an array (n, k) and gives n values and n gradients. Value and gradient alone let every
MILP solver handle it, by tangent cuts ``f(u⁰) + ∇f(u⁰)ᵀ(u − u⁰) ≤ t``; a solver that knows the cone takes it as it is.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["ConvexFunction", "LogSumExp", "Perspective", "SumSquares"]

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
    """``f(w, y) = ‖w‖² / y`` for y > 0 and f(0, 0) = 0, the last argument being y: a square that a switch turns off.

    Source: Frangioni and Gentile 2006; used by structured perspective regularisation (arXiv 2206.14056).

    Args:
        steepest: largest ‖w‖ / y at which f is exact. Beyond it f is continued by its tangents of that steepness,
            ``2·steepest·‖w‖ − steepest²·y``, so that it is finite and convex everywhere and never above the true value.
            A solver that takes the cone as it is knows no such end: where y must be 0 and w must not, tangents give a
            very dear point and the cone none.
    """

    name = "perspective"

    def __init__(self, steepest: float = 1e4) -> None:
        self.steepest = steepest

    def value(self, u: Matrix) -> Vector:  # noqa: D102
        ratio = self._ratio(u)
        result: Vector = 2.0 * np.einsum("nk,nk->n", ratio, u[:, :-1]) - np.einsum("nk,nk->n", ratio, ratio) * u[:, -1]
        return result

    def gradient(self, u: Matrix) -> Matrix:  # noqa: D102
        ratio = self._ratio(u)
        return np.column_stack([2.0 * ratio, -np.einsum("nk,nk->n", ratio, ratio)])

    def anchors(self, k: int) -> Matrix:
        """The point w = 0, y = 1, whose tangent says ``t ≥ 0``."""
        return np.eye(k)[-1:]

    def _ratio(self, u: Matrix) -> Matrix:
        """``w / y``, shortened to the steepest length: the slope of the tangent that touches at (w, y)."""
        w, y = u[:, :-1], u[:, -1]
        length = np.linalg.norm(w, axis=1)
        direction = np.where(length[:, None] > 0, w / np.where(length > 0, length, 1.0)[:, None], np.eye(1, w.shape[1]))
        slope = np.where(length <= self.steepest * y, length / np.where(y > 0, y, 1.0), self.steepest)
        result: Matrix = slope[:, None] * direction
        return result
