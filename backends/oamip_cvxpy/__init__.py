"""CVXPY: a program as a ``Problem`` that its users may extend, and back.

    >>> from dataclasses import replace
    >>> import cvxpy as cp
    >>> from oamip.program import Program
    >>> program = Program("blend")
    >>> share = program.variables("share", 3, lower=0)
    >>> program.add("whole", share.sum() == 1)
    >>> backend = CvxpyBackend()
    >>> built = backend.build(program)
    >>> spare, x = cp.Variable(name="spare", bounds=[0, 1]), built.columns["share"]
    >>> limit = (x[0] + spare <= 0.5).set_label("limit")
    >>> larger = cp.Problem(built.model.objective, [*built.model.constraints, limit])
    >>> form = backend.compile(replace(built, model=larger))
    >>> form.column_name(3), form.row_name(0), form.row_name(1)
    ('spare', 'whole', 'limit')

A block is one ``Variable`` of its shape, a row block one to three constraints (its equalities, its lower sides, its
upper sides), and an epigraph of `LogSumExp`, `SumSquares` or `Perspective` one conic constraint, so that
``built.model.solve(solver=cp.CLARABEL)`` solves a continuous program as it is. What CVXPY has no form for, indicators
and SOS1 sets, stands in the problem as a constraint that it refuses to solve, by name, rather than to lose.

Constraints and objectives of CVXPY never change, so a user makes a new ``Problem`` from the parts, and `compile` finds
ours in it by identity: what is left out is gone, what is new is read. New constraints may be all that CVXPY itself
turns into linear rows, ``cp.abs`` and ``cp.max`` included; the columns that this takes are called ``cvxpy1`` and so on.
CVXPY itself is imported on the first call only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.options import Options
from oamip.program import Program, StandardForm
from oamip.solving.backend import Built
from oamip.solving.outcome import Outcome

__all__ = ["CvxpyBackend"]

Vector: TypeAlias = NDArray[np.float64]


class CvxpyBackend:
    """Builds ``Problem``s, reads them back, and lets the conic solvers behind CVXPY solve them."""

    name = "cvxpy"
    language = "cvxpy"
    install = "pip install 'cvxpy>=1.9'"
    proven_by = frozenset({"clarabel", "ecos", "scip"})

    def build(self, program: Program) -> Built:
        """A ``Problem`` of everything; logical atoms stand in it as constraints that CVXPY refuses to solve."""
        from oamip_cvxpy.build import build

        return build(program)

    def compile(self, built: Built) -> StandardForm:
        """The standard form of the problem as it now stands.

        Raises:
            InputError: a user's constraint, objective or variable is not mixed-integer linear, or a parameter has no
                value; the message names it.
            InfeasibleProgram: a constraint without variables does not hold.
        """
        from oamip_cvxpy.compile import compile_model

        return compile_model(built).form

    def load(self, built: Built, values: Mapping[str, Vector]) -> None:
        """Set ``Variable.value`` from values by span name; spans not given stay as they are.

        Raises:
            InputError: an array has not as many entries as its span.
        """
        from oamip_cvxpy.columns import load

        load(built, values)

    def native_solvers(self) -> tuple[str, ...]:
        """Solvers that take cones and are installed."""
        from oamip_cvxpy.solvers import installed

        return installed()

    def native_distribution(self, solver: str) -> str:
        """The distribution that one of them comes in."""
        from oamip_cvxpy.solvers import SOLVERS

        return SOLVERS[solver].support.distribution

    def solve_native(self, built: Built, solver: str, options: Options) -> Outcome:
        """Let a solver behind CVXPY solve the problem, cones and all; the model's own variables are not touched.

        A point that comes with anything but ``optimal`` is passed on only if it is feasible. The log is captured only
        for `Options.log_file`, since that turns the standard output of the whole process aside.

        Raises:
            InputError: as `compile`; no such solver, a raw option that it does not know, or something in the problem
                that it does not take.
        """
        from oamip_cvxpy.native import solve_native

        return solve_native(built, solver, options)
