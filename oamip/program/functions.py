"""Convex functions whose epigraphs ``f(u) ≤ t`` a program may contain.

A function acts on rows: it takes an array (n, k) and gives n values and n gradients. Value and gradient alone let every
MILP solver handle it, by tangent cuts ``f(u⁰) + ∇f(u⁰)ᵀ(u − u⁰) ≤ t``; a solver that knows the cone takes it as it is.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["ConvexFunction", "LogSumExp", "SumSquares"]

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
