"""Solve a program: build, compile, route, judge, load back."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.errors import InfeasibleProgram, InputError
from oamip.options import Options
from oamip.program import Program, StandardForm
from oamip.solution import Seconds, Solution, Solve
from oamip.solving.backend import Backend, Built
from oamip.solving.driver import Driver
from oamip.solving.infeasible import clash
from oamip.solving.judge import judge
from oamip.solving.outcome import Outcome, no_bound
from oamip.solving.registry import find_backend, find_driver, installed_version
from oamip.solving.route import route

__all__ = ["solve", "solve_built", "solver_for"]

Vector: TypeAlias = NDArray[np.float64]

EXPLAINING = 10.0  # seconds at most to find out which rows clash


def solve(
    program: Program,
    options: Options | None = None,
    *,
    backend: str | Backend = "matrix",
    solver: str | Driver = "highs",
) -> Solution:
    """Solve a program with a modelling language and a solver, by name or as objects, and check the answer.

    A limit, an infeasible program, a solver that fails or lies: all of that is in the `Solution`, whose ``reason``,
    ``held`` and ``warnings`` tell; nothing unchecked is ever held, so no `UncheckedAnswer` is raised here.

    Raises:
        InputError: no such backend or solver, a start of the wrong size, a raw option that the solver does not know,
            or a program that the solver cannot take.
        MissingDependency: the language or the solver is not installed.
    """
    language = find_backend(backend)
    began = time.perf_counter()
    built = language.build(program)
    return _solve_built(built, options, language, find_driver(solver), build=time.perf_counter() - began)


def solve_built(
    built: Built,
    options: Options | None = None,
    *,
    backend: str | Backend,
    solver: str | Driver = "highs",
) -> Solution:
    """As `solve`, for a native model to which the user has added rows or variables of their own.

    ``backend`` is the one that built it. The user's own variables come back in `Solution.values` as well.
    """
    return _solve_built(built, options, find_backend(backend), find_driver(solver))


def solver_for(backend: str | Backend = "matrix", solver: str | Driver = "highs") -> Solve:
    """``solve`` with backend and solver settled: what formulations and procedures are given."""
    language, driver = find_backend(backend), find_driver(solver)

    def settled(program: Program, options: Options | None = None, /) -> Solution:
        return solve(program, options, backend=language, solver=driver)

    return settled


def _solve_built(
    built: Built, options: Options | None, backend: Backend, driver: Driver, *, build: float = 0.0
) -> Solution:
    options = options or Options()
    began = time.perf_counter()
    blank = Solution(
        reason="error",
        held="none",
        objective=math.nan,
        bound=math.nan,
        values={},
        backend=backend.name,
        solver=driver.name,
        version=installed_version(driver.support.distribution) or "unknown",
    )
    try:
        form = backend.compile(built)
    except InfeasibleProgram as found:
        worst = -math.inf if built.program.sense == "min" else math.inf
        return replace(blank, reason="infeasible", bound=worst, clash=found.rows, warnings=(str(found),))
    compiled = time.perf_counter()
    _check_start(form, options)
    solution = _judged(blank, form, driver, options)
    seconds = Seconds(build, compiled - began, time.perf_counter() - compiled)
    if solution.held != "none":
        backend.load(built, solution.values)
    return replace(solution, seconds=seconds)


def _judged(blank: Solution, form: StandardForm, driver: Driver, options: Options) -> Solution:
    outcome, rounds = route(form, driver, options) if form.shape[1] else (_without_columns(form), 0)
    judged = judge(form, outcome, driver, options)
    names: tuple[str, ...] = ()
    warnings = judged.warnings
    if judged.reason == "infeasible":
        names, complete = clash(form, driver, options, seconds=EXPLAINING)
        if names and not complete:
            warnings = (*warnings, "the clash may name more row blocks than needed: there was no time to shorten it")
    return replace(
        blank,
        reason=judged.reason,
        held=judged.held,
        objective=judged.objective,
        bound=judged.bound,
        values=_by_span(form, judged.x),
        nodes=outcome.nodes,
        rounds=rounds,
        rows=form.shape[0],
        columns=form.shape[1],
        nonzeros=int(form.A.nnz),
        verdict=judged.verdict,
        clash=names,
        warnings=warnings,
        log=outcome.log,
    )


def _check_start(form: StandardForm, options: Options) -> None:
    if options.start is not None and np.shape(options.start) != form.cost.shape:
        raise InputError(f"start has shape {np.shape(options.start)}; the program has {form.shape[1]} columns")


def _by_span(form: StandardForm, x: Vector | None) -> Mapping[str, Vector]:
    if x is None:
        return {}
    return {span.name: x[span.slice].reshape(span.shape) for span in form.columns}


def _without_columns(form: StandardForm) -> Outcome:
    """A program without variables is decided by its constants; some solvers call it empty and look no further."""
    nothing = np.empty(0)
    slack = 1e-9
    rows_hold = (form.row_lower <= slack).all() and (form.row_upper >= -slack).all()
    if not (rows_hold and all((epigraph.excess(nothing) <= slack).all() for epigraph in form.epigraphs)):
        return Outcome("infeasible", None, no_bound(form))
    return Outcome("optimal", nothing, form.constant)
