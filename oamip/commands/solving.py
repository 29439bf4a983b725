"""Flags of every command that solves."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter

from oamip.commands.flags import Flag, Patterns

if TYPE_CHECKING:
    from oamip.options import Options
    from oamip.solution import Solution
    from oamip.solving import Solver

__all__ = ["Solving"]


@Parameter(name="*", group=Group("Solving", sort_key=5))
@dataclass(frozen=True)
class Solving:
    """How programs are solved.

    Args:
        backend: modelling language: matrix (none), pyomo, cvxpy or pulp.
        solver: highs, scip, cbc, gurobi or cplex; oamip solvers shows which are installed.
        route: native lets the language solve its model: --backend cvxpy --solver clarabel --route native.
        isolate: run the solver in a process of its own, so that a crash, a hang or a lack of memory loses nothing.
        jobs: independent programs that are solved side by side; by default cores ÷ threads, and 1 without --isolate.
        time_limit: wall seconds for each solve.
        node_limit: branch-and-bound nodes for each solve.
        memory_limit: bytes for each solve.
        gap_relative: relative gap at which a solve may stop.
        gap_absolute: absolute gap at which a solve may stop.
        feasibility: largest violation of a row that counts as satisfied.
        integrality: largest distance from an integer that counts as integer.
        threads: of the solver.
        native_atoms: hand indicators, SOS1 sets and convex functions to a solver that knows them as they are.
        raw: an option of the solver by its own name, for example --raw presolve=off (repeat for several).
        log: print the solver's log afterwards.
        log_file: file for the solver's log.
        explain: print how each indicator, SOS1 set and convex function reached the solver.
    """

    backend: str = "matrix"
    solver: str = "highs"
    route: Literal["driver", "native"] = "driver"
    isolate: bool = True
    jobs: int | None = None
    time_limit: float = math.inf
    node_limit: int | None = None
    memory_limit: int | None = None
    gap_relative: Annotated[float, Parameter(name=["--gap-relative", "--gap"])] = 1e-6
    gap_absolute: float = 1e-9
    feasibility: float = 1e-7
    integrality: float = 1e-6
    threads: int = 1
    native_atoms: bool = True
    raw: Patterns = ()
    log: Flag = False
    log_file: Path | None = None
    explain: Flag = False

    def options(self, seed: int) -> Options:
        """The options that the flags mean."""
        from oamip.options import Options

        return Options(
            time_limit=self.time_limit,
            node_limit=self.node_limit,
            memory_limit=self.memory_limit,
            gap_relative=self.gap_relative,
            gap_absolute=self.gap_absolute,
            feasibility=self.feasibility,
            integrality=self.integrality,
            threads=self.threads,
            seed=seed,
            log_file=self.log_file,
            native_atoms=self.native_atoms,
            raw=dict(_raw_option(text) for text in self.raw),
        )

    def open(self) -> Solver:
        """Backend and solver, with a pool of threads where several solves may run side by side."""
        from oamip.errors import InputError
        from oamip.solving import solver_for, workers

        if self.jobs is not None and self.jobs < 1:
            raise InputError(f"--jobs {self.jobs}: at least 1")
        isolate = self.isolate and self.route == "driver"  # a language solves in this process
        jobs = self.jobs or (workers(self.threads) if isolate else 1)
        pool = ThreadPoolExecutor(jobs) if jobs > 1 else None
        return solver_for(self.backend, self.solver, route=self.route, isolate=isolate, executor=pool)

    def show(self, solution: Solution) -> None:
        """Print what ``--explain`` and ``--log`` ask for."""
        if self.explain:
            for step in solution.bridges:
                print(step)
            if not solution.bridges:
                print("no atoms: every row reached the solver as it is")
        if self.log:
            print(solution.log)


def _raw_option(text: str) -> tuple[str, bool | int | float | str]:
    """``name=value``, where the value is true, false, a number or a word."""
    from oamip.errors import InputError

    name, equals, value = text.partition("=")
    if not (name and equals):
        raise InputError(f"--raw {text}: write name=value, for example presolve=off")
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, {"true": True, "false": False}.get(value.lower(), value)
