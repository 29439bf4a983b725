"""Solve a program: build, compile, route, judge, load back."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from oamip.errors import InfeasibleProgram, InputError, OamipError
from oamip.options import Options
from oamip.program import Program, StandardForm
from oamip.solution import Seconds, Solution
from oamip.solving.backend import Backend, Built, NativeBackend
from oamip.solving.driver import Driver
from oamip.solving.isolation import Isolated
from oamip.solving.judge import Judgement, judge
from oamip.solving.outcome import Outcome, no_bound
from oamip.solving.registry import driver_version, find_backend, find_driver, installed_version
from oamip.solving.route import Routed
from oamip.solving.route import route as find_route
from oamip.solving.scale import unit_of
from oamip.solving.second import confirm, in_doubt, not_proven

__all__ = ["Route", "solve", "solve_built", "solve_form"]

Vector: TypeAlias = NDArray[np.float64]
Route: TypeAlias = Literal["driver", "native"]

SECOND = "highs"  # always installed; it is asked about claims that no point can show


def solve(
    program: Program,
    options: Options | None = None,
    *,
    backend: str | Backend = "matrix",
    solver: str | Driver = "highs",
    route: Route = "driver",
    isolate: bool = False,
) -> Solution:
    """Solve a program with a modelling language and a solver, by name or as objects, and check the answer.

    A limit, an infeasible program, a solver that fails or lies: all of that is in the `Solution`, whose ``reason``,
    ``held`` and ``warnings`` tell; nothing unchecked is ever held, so no `UncheckedAnswer` is raised here.

    Args:
        program: what to solve.
        options: limits, tolerances and habits.
        backend: the modelling language.
        solver: its name as `oamip solvers` shows it; with ``route="native"`` one of the language's own.
        route: ``driver`` hands the compiled form to our driver of the solver; ``native`` lets the language solve its
            own model, which reaches conic solvers (``backend="cvxpy", solver="clarabel"``).
        isolate: run the solver in a process of its own, so that a crash, a hang or a lack of memory is a status.

    Raises:
        InputError: no such backend or solver, a start of the wrong size, a raw option that the solver does not know,
            or a program that the solver cannot take.
        MissingDependency: the language or the solver is not installed.
    """
    if not isinstance(program, Program):
        raise InputError(f"solve takes a Program, not {type(program).__name__}; read_form and solve_form take files")
    settled, language = _options(options, solver), find_backend(backend)
    with _reached(_target(language, solver, route), isolate=isolate) as target:  # a process starts while we build
        began = time.perf_counter()
        built = language.build(program)
        seconds = time.perf_counter() - began
        return _solve_built(built, settled, language, target, isolate=isolate, build=seconds)


def solve_built(
    built: Built,
    options: Options | None = None,
    *,
    backend: str | Backend,
    solver: str | Driver = "highs",
    route: Route = "driver",
    isolate: bool = False,
) -> Solution:
    """As `solve`, for a native model to which the user has added rows or variables of their own.

    ``backend`` is the one that built it. The user's own variables come back in `Solution.values` as well.
    """
    settled, language = _options(options, solver), find_backend(backend)
    with _reached(_target(language, solver, route), isolate=isolate) as target:
        return _solve_built(built, settled, language, target, isolate=isolate)


def solve_form(
    form: StandardForm, options: Options | None = None, *, solver: str | Driver = "highs", isolate: bool = False
) -> Solution:
    """As `solve`, for a standard form, from a file (`oamip.solving.read_form`) for example."""
    settled, driver = _options(options, solver), find_driver(solver)
    blank = _blank("none", driver.name, driver_version(driver))
    with _reached(driver, isolate=isolate) as reached:
        began = time.perf_counter()
        solution = _solve_form(blank, form, reached, settled, isolate=isolate)
        return replace(solution, seconds=Seconds(solve=time.perf_counter() - began))


def _options(options: Any, solver: Any) -> Options:
    """The options, and the slips that would otherwise surface deep inside."""
    if options is not None and not isinstance(options, Options):
        raise InputError(f"options must be Options(time_limit=...), not {type(options).__name__}")
    if isinstance(solver, type) or not isinstance(solver, str | Driver):
        raise InputError(f"solver must be a name such as 'highs', or a driver object, not {solver!r}")
    settled = options or Options()
    if settled.log_file is not None:
        settled.log_file.parent.mkdir(parents=True, exist_ok=True)
    return settled


def _target(language: Backend, solver: str | Driver, route: Route) -> Driver | str:
    """The driver, or the name of a solver of the language's own."""
    if route == "driver":
        return find_driver(solver)
    if not isinstance(language, NativeBackend) or not isinstance(solver, str):
        raise InputError(f"backend '{language.name}' has no solvers of its own; leave route='native' out, or use cvxpy")
    if solver not in language.native_solvers():
        known = ", ".join(language.native_solvers()) or "none"
        raise InputError(f"no solver '{solver}' for route='native' of '{language.name}'; installed are {known}")
    return solver


def _blank(backend: str, solver: str, version: str | None) -> Solution:
    return Solution(
        reason="error",
        held="none",
        objective=math.nan,
        bound=math.nan,
        values={},
        backend=backend,
        solver=solver,
        version=version or "unknown",
    )


def _solve_built(
    built: Built, options: Options, backend: Backend, target: Driver | str, *, isolate: bool, build: float = 0.0
) -> Solution:
    if isinstance(target, str):
        blank = _blank(backend.name, target, _native_version(backend, target))
    else:
        blank = _blank(backend.name, target.name, driver_version(target))
    began = time.perf_counter()
    try:
        form = backend.compile(built)
    except InfeasibleProgram as found:
        worst = -math.inf if built.program.sense == "min" else math.inf
        return replace(blank, reason="infeasible", bound=worst, clash=found.rows, warnings=(str(found),))
    compiled = time.perf_counter()
    if isinstance(target, str):
        assert isinstance(backend, NativeBackend)  # `_target` has seen to that
        solution = _solve_native(blank, form, built, backend, target, options)
    else:
        solution = _solve_form(blank, form, target, options, isolate=isolate)
    seconds = Seconds(build, compiled - began, time.perf_counter() - compiled)
    if solution.held != "none":
        backend.load(built, solution.values)
    return replace(solution, seconds=seconds)


def _native_version(backend: Backend, solver: str) -> str | None:
    assert isinstance(backend, NativeBackend)  # `_target` has seen to that
    return installed_version(backend.native_distribution(solver))


def _solve_native(
    blank: Solution, form: StandardForm, built: Built, backend: NativeBackend, solver: str, options: Options
) -> Solution:
    if form.indicators or form.sos1:
        names = ", ".join(atom.name for atoms in (form.indicators, form.sos1) for atom in atoms)
        raise InputError(f"{names}: '{backend.name}' has no indicators and no SOS1 sets; leave route='native' out")
    outcome = backend.solve_native(built, solver, options)
    judged = judge(form, outcome, None, options)
    if judged.held == "proven" and solver not in backend.proven_by:
        judged = replace(judged, held="feasible")
    return _filled(blank, form, Routed(outcome, 1, ()), judged)


def _solve_form(blank: Solution, form: StandardForm, driver: Driver, options: Options, *, isolate: bool) -> Solution:
    _check_start(form, options)
    return _judged(blank, form, driver, options, isolate=isolate)


Target = TypeVar("Target", Driver, Driver | str)


def _reached(target: Target, *, isolate: bool) -> AbstractContextManager[Target]:
    """The driver itself, or a process with it."""
    if not isolate:
        return nullcontext(target)
    if isinstance(target, str):
        raise InputError(f"solver '{target}' runs within its language, in this process: leave isolate out")
    return Isolated(target)


def _judged(blank: Solution, form: StandardForm, driver: Driver, options: Options, *, isolate: bool) -> Solution:
    routed, judged = _answered(form, driver, options)
    if not in_doubt(form, judged, routed.outcome.duals, options):
        return _filled(blank, form, routed, judged)
    names: tuple[str, ...] = ()
    try:
        with _reached(find_driver(SECOND), isolate=isolate) as second:
            judged, names = confirm(form, judged, routed.outcome, driver, second, options)
    except OamipError as error:  # an atom without bounds, say, that only the first solver takes
        text = f"{SECOND} could not be asked whether it is {judged.reason} indeed: {error}"
        if judged.held == "proven" and not (form.integer.any() or form.indicators or form.sos1):
            judged = not_proven(form, judged, routed.outcome.duals, text)
        else:
            judged = replace(judged, warnings=(*judged.warnings, text))
    return replace(_filled(blank, form, routed, judged), clash=names)


def _answered(form: StandardForm, driver: Driver, options: Options) -> tuple[Routed, Judgement]:
    """What the solver claims and what remains of it; a point that its own cones spoilt is found again by cuts."""
    if not form.shape[1]:
        routed = Routed(_without_columns(form), 0, ())
        return routed, judge(form, routed.outcome, driver, options)
    routed = find_route(form, driver, options)
    judged = judge(form, routed.outcome, driver, options)
    if judged.reason != "error" or routed.outcome.x is None or not routed.curved:
        return routed, judged
    left = max(0.0, options.time_limit - routed.outcome.seconds)
    again = find_route(form, driver, options.with_(time_limit=left), cut=True)
    second = judge(form, again.outcome, driver, options)
    if second.held == "none":
        return routed, judged
    text = f"{', '.join(routed.curved)}: solved again by tangent cuts"
    return again, replace(second, warnings=(*judged.warnings, text, *second.warnings))


def _filled(blank: Solution, form: StandardForm, routed: Routed, judged: Judgement) -> Solution:
    return replace(
        blank,
        reason=judged.reason,
        held=judged.held,
        objective=judged.objective,
        bound=judged.bound,
        values=_by_span(form, judged.x),
        nodes=routed.outcome.nodes,
        rounds=routed.rounds,
        rows=form.shape[0],
        columns=form.shape[1],
        nonzeros=int(form.A.nnz),
        verdict=judged.verdict,
        bridges=routed.steps,
        warnings=judged.warnings,
        log=routed.outcome.log,
        unit=unit_of(form.cost),
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
