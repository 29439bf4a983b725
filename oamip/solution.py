"""What came back from a solve, checked.

Two questions are kept apart: why the solver stopped (`Reason`) and what we hold (`Held`). Formulations receive a
`Solution` from a callable ``solve(program, options)`` and know no solver.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from oamip.errors import InfeasibleProgram, SolveError
from oamip.options import Options
from oamip.program import Expression, Program, Verdict
from oamip.program.bridges import Step

__all__ = ["Held", "Reason", "Seconds", "Solution", "Solve", "SolveMany", "relative_gap", "solve_all"]

Vector: TypeAlias = NDArray[np.float64]
Reason: TypeAlias = Literal[
    "optimal",
    "gap_limit",
    "objective_limit",
    "time_limit",
    "node_limit",
    "memory_limit",
    "infeasible",
    "unbounded",
    "interrupted",
    "licence",
    "error",
]
Held: TypeAlias = Literal["proven", "feasible", "none"]


def relative_gap(objective: float, bound: float, unit: float = 1.0) -> float:
    """``|p − d| / max(|p|, |d|)``; 1 if the signs differ, ``inf`` when either is missing.

    Values that differ by 1e-9 units are equal, so that an optimum of 0 has gap 0 and not 1; the unit of an objective
    is that of its costs (`oamip.solving.scale`).
    """
    if not (math.isfinite(objective) and math.isfinite(bound)):
        return math.inf
    if abs(objective - bound) <= 1e-9 * unit:
        return 0.0
    if objective * bound < 0:
        return 1.0
    return abs(objective - bound) / max(abs(objective), abs(bound))


@dataclass(frozen=True)
class Seconds:
    """Wall seconds of each stage, apart."""

    build: float = 0.0
    compile: float = 0.0
    solve: float = 0.0

    @property
    def total(self) -> float:
        """All three together."""
        return self.build + self.compile + self.solve


@dataclass(frozen=True)
class Solution:
    """The checked answer of one solve.

    Args:
        reason: why the solver stopped.
        held: ``proven`` (optimal within the asked gap), ``feasible`` (a checked point) or ``none``.
        values: block name to array of the block's shape; empty when nothing is held.
        objective: recomputed by us in the program's sense, constant included; NaN when nothing is held.
        bound: best proven bound in the program's sense, ``±inf`` when there is none.
        verdict: our check of the point, ``None`` when nothing is held.
        bridges: how each atom of the program reached the solver, and what that added.
        clash: when infeasible, names of row blocks that cannot hold together (may be empty).
        warnings: what the solver could not do, by name; never silence.
        unit: of the objective, a power of two near its costs where these are far from 1; tolerances are in it.
    """

    reason: Reason
    held: Held
    objective: float
    bound: float
    values: Mapping[str, Vector] = field(repr=False)
    backend: str
    solver: str
    version: str
    seconds: Seconds = field(default_factory=Seconds)
    nodes: int = 0
    rounds: int = 0
    rows: int = 0
    columns: int = 0
    nonzeros: int = 0
    verdict: Verdict | None = None
    bridges: tuple[Step, ...] = ()
    clash: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    log: str = field(default="", repr=False)
    unit: float = 1.0

    @property
    def gap(self) -> float:
        """`relative_gap` of objective and bound."""
        return relative_gap(self.objective, self.bound, self.unit)

    @property
    def verified(self) -> bool:
        """True when a point is held and passed our check."""
        return self.verdict is not None and self.verdict.accepted

    def __getitem__(self, block: str) -> Vector:
        """The values of one block, in its shape.

        Raises:
            InfeasibleProgram: the program has no feasible point; names the rows that clash.
            SolveError: no point is held, or there is no such block.
        """
        if self.reason == "infeasible":
            clash = (
                f"these cannot hold together within the bounds of the variables: {', '.join(self.clash)}"
                if self.clash
                else "which rows clash is not known"
            )
            raise InfeasibleProgram(
                f"the program is infeasible ({self.solver} through {self.backend}): {clash}", self.clash
            )
        if self.held == "none":
            notes = "".join(f"; {warning}" for warning in self.warnings)
            raise SolveError(
                f"{self.solver} stopped with '{self.reason}' after {self.seconds.total:.1f} s and holds no point; "
                f"raise the time limit, or ask for less{notes}"
            )
        if block not in self.values:
            raise SolveError(f"no block '{block}' in this solution; it has {', '.join(self.values)}")
        return self.values[block]

    def value(self, expression: Expression) -> Vector:
        """An expression's entries at the solution."""
        return expression.value({name: self[name] for name in expression.terms})


class Solve(Protocol):
    """What formulations and procedures are given instead of a solver."""

    def __call__(self, program: Program, options: Options | None = None, /) -> Solution:
        """Solve a program and return its checked solution."""
        ...


@runtime_checkable
class SolveMany(Protocol):
    """A `Solve` that can solve independent programs side by side."""

    def many(self, programs: Iterable[Program], options: Options | None = None, /) -> Iterator[Solution]:
        """The solutions, in the order of the programs."""
        ...


def solve_all(solve: Solve, programs: Iterable[Program], options: Options | None = None) -> Iterator[Solution]:
    """Solve independent programs, side by side where ``solve`` can; solutions come in the order of the programs."""
    if isinstance(solve, SolveMany):
        yield from solve.many(programs, options)
        return
    for program in programs:
        yield solve(program, options)
