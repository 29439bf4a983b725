"""The standard form: what every backend compiles to and every driver takes.

min or max  cᵀx + c₀
s.t.        row_lower ≤ A x ≤ row_upper,   column_lower ≤ x ≤ column_upper,   x_j integer for j in `integer`
            f(B x + b) ≤ T x + t                for every compiled epigraph
            x_j = 1 ⇒ lower ≤ R x ≤ upper       for every compiled indicator (or x_j = 0)
            one of x_S at most is not zero      for every compiled SOS1 set
"""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias, TypedDict

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from oamip.program.functions import Confined, ConvexFunction
from oamip.program.logic import CompiledIndicator, CompiledSOS1

__all__ = ["Atoms", "CompiledEpigraph", "Span", "StandardForm"]

Vector: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Span:
    """A named run of columns or rows: entries ``start … start + prod(shape) − 1``."""

    name: str
    start: int
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of entries."""
        return math.prod(self.shape)

    @property
    def slice(self) -> slice:
        """The entries as a slice."""
        return slice(self.start, self.start + self.size)

    def entry(self, position: int) -> str:
        """Name of one entry, ``block[2,5]``; a scalar is just ``block``."""
        if not self.shape:
            return self.name
        index = np.unravel_index(position - self.start, self.shape)
        return f"{self.name}[{','.join(str(int(i)) for i in index)}]"


@dataclass(frozen=True)
class CompiledEpigraph:
    """``f(B x + b) ≤ T x + t`` for n rows of k arguments: B is (n·k, columns), T is (n, columns)."""

    name: str
    function: ConvexFunction
    B: sp.csr_array
    b: Vector
    T: sp.csr_array
    t: Vector

    @property
    def rows(self) -> int:
        """Number n of epigraph rows."""
        return int(self.T.shape[0])

    def arguments(self, x: Vector) -> NDArray[np.float64]:
        """The arguments (n, k) at a point."""
        result: NDArray[np.float64] = (self.B @ x + self.b).reshape(self.rows, -1)
        return result

    def excess(self, x: Vector) -> Vector:
        """``f(Bx + b) − (Tx + t)``: how far each row is violated (positive) or slack."""
        result: Vector = self.function.value(self.arguments(x)) - (self.T @ x + self.t)
        return result

    def cuts(self, u: NDArray[np.float64], which: NDArray[np.intp]) -> tuple[sp.csr_array, Vector]:
        """Tangents at arguments ``u`` (len(which), k) for the epigraph rows ``which``, as ``R x ≤ r``."""
        u = self.function.nearest(u) if isinstance(self.function, Confined) else u
        gradient, value = self.function.gradient(u), self.function.value(u)
        k = u.shape[1]
        columns = (which[:, None] * k + np.arange(k)).ravel()
        weights = sp.csr_array(
            (gradient.ravel(), columns, np.arange(len(which) + 1) * k), shape=(len(which), self.B.shape[0])
        )
        rows = (weights @ self.B - self.T[which]).tocsr()
        right = self.t[which] - weights @ self.b + (gradient * u).sum(axis=1) - value
        return rows, right


class Atoms(TypedDict):
    """The fields of a standard form that are no rows: ``StandardForm(..., **program.atoms(width))``."""

    epigraphs: tuple[CompiledEpigraph, ...]
    indicators: tuple[CompiledIndicator, ...]
    sos1: tuple[CompiledSOS1, ...]


@dataclass(frozen=True)
class StandardForm:
    """A mixed-integer program with convex and logical atoms, in arrays. Infinite bounds are ``±inf``; A is CSR.

    ``columns`` and ``rows`` name runs of columns and rows, so that a message can say ``score[3]`` and not ``x17``.
    """

    A: sp.csr_array
    row_lower: Vector
    row_upper: Vector
    column_lower: Vector
    column_upper: Vector
    integer: NDArray[np.bool_]
    cost: Vector
    constant: float
    sense: Literal["min", "max"]
    columns: tuple[Span, ...]
    rows: tuple[Span, ...]
    epigraphs: tuple[CompiledEpigraph, ...] = ()
    indicators: tuple[CompiledIndicator, ...] = ()
    sos1: tuple[CompiledSOS1, ...] = ()

    @property
    def kinds(self) -> frozenset[str]:
        """Kinds of the atoms that it has: ``indicator``, ``sos1``, and names of convex functions."""
        logical = {kind for kind, atoms in (("indicator", self.indicators), ("sos1", self.sos1)) if atoms}
        return self.curves | logical

    @property
    def curves(self) -> frozenset[str]:
        """Names of the convex functions in it."""
        return frozenset(epigraph.function.name for epigraph in self.epigraphs)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return int(self.A.shape[0]), int(self.A.shape[1])

    def signed_members(self) -> NDArray[np.intp]:
        """Members of SOS1 sets that may be negative, each once: some solvers are right on the others only."""
        none = np.zeros(0, dtype=np.intp)
        members = np.unique(np.concatenate([none, *(sets.members.ravel() for sets in self.sos1)]))
        negative: NDArray[np.intp] = members[self.column_lower[members] < 0.0]
        return negative

    def objective(self, x: Vector) -> float:
        """The objective at a point, in the program's sense, constant included."""
        return float(self.cost @ x + self.constant)

    def column_name(self, j: int) -> str:
        """Name of column ``j``."""
        return self.columns[bisect.bisect_right(self._column_starts, j) - 1].entry(j)

    def row_name(self, i: int) -> str:
        """Name of row ``i``."""
        return self.rows[bisect.bisect_right(self._row_starts, i) - 1].entry(i)

    @cached_property
    def _column_starts(self) -> list[int]:
        return [span.start for span in self.columns]

    @cached_property
    def _row_starts(self) -> list[int]:
        return [span.start for span in self.rows]
