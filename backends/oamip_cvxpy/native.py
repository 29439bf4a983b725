"""The native route: a solver behind CVXPY solves the problem, and what it says is read with care.

CVXPY's status alone says too little: a limit may come as an error, as ``optimal_inaccurate`` with a fractional point,
or with zeros. So the solver's own answer is asked first, and a point that is not called optimal must be feasible.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import cvxpy as cp
import numpy as np
from numpy.typing import NDArray

from oamip.errors import InputError
from oamip.options import Options
from oamip.program import StandardForm, check
from oamip.program.check import TOLERANCE
from oamip.solution import Reason
from oamip.solving.backend import Built
from oamip.solving.driver import unsupported
from oamip.solving.outcome import Outcome, no_bound
from oamip_cvxpy.atoms import Unstated
from oamip_cvxpy.compile import Compiled, compile_model
from oamip_cvxpy.log import log_to
from oamip_cvxpy.solvers import SOLVERS, NativeSolver, installed

__all__ = ["solve_native"]

Vector: TypeAlias = NDArray[np.float64]

_REASONS: dict[str, Reason] = {
    cp.OPTIMAL: "optimal",
    cp.OPTIMAL_INACCURATE: "gap_limit",
    cp.INFEASIBLE: "infeasible",
    cp.UNBOUNDED: "unbounded",
    cp.USER_LIMIT: "interrupted",  # the limits of ours are told by the solver itself; the others are raw options
}


@dataclass(frozen=True)
class _Answer:
    """What came back: the solver's own object, CVXPY's status, and values by variable (none when it has no point)."""

    raw: Any
    status: str
    values: dict[int, Any]
    offset: float


def solve_native(built: Built, solver: str, options: Options) -> Outcome:
    """Solve the problem as it stands; see `CvxpyBackend.solve_native`."""
    began = time.perf_counter()
    compiled = compile_model(built)
    form, native = compiled.form, _find(solver)
    _refuse(compiled, solver, native)
    warnings = list(unsupported(solver, native.support, options, integer=bool(form.integer.any())))
    if math.isfinite(options.time_limit) and not native.timed:
        warnings.append(f"option time_limit: solver {solver!r} has none, so it is not applied")
    problem = cp.Problem(cp.Minimize(compiled.value), list(compiled.constraints))
    if not problem.variables():
        x = _unused(form)
        return Outcome("optimal", x, form.objective(x), warnings=tuple(warnings))
    try:
        with log_to(options.log_file):
            answer = _solve(problem, solver, native, options, began)
            if answer is not None and answer.status == cp.settings.INFEASIBLE_OR_UNBOUNDED:
                answer = _told_apart(problem, solver, native, options, began)
        outcome = _read(answer, compiled, solver, native, options)
    except cp.error.SolverError as error:
        outcome = Outcome("error", None, no_bound(form), warnings=(f"{solver} failed: {error}",))
    return replace(
        outcome,
        seconds=time.perf_counter() - began,
        warnings=(*warnings, *outcome.warnings),
        log=options.log_file.read_text(encoding="utf-8", errors="replace") if options.log_file else "",
    )


def _find(solver: str) -> NativeSolver:
    if solver not in SOLVERS:
        raise InputError(f"no solver '{solver}' for the native route of 'cvxpy'; there are {', '.join(SOLVERS)}")
    if solver not in installed():
        raise InputError(f"solver '{solver}' is not installed: {SOLVERS[solver].support.install}")
    return SOLVERS[solver]


def _refuse(compiled: Compiled, solver: str, native: NativeSolver) -> None:
    form = compiled.form
    count = int(form.integer.sum())
    if count and not native.support.integer:
        raise InputError(f"solver '{solver}' takes no integers and the program has {count}; name another solver")
    for constraint in compiled.constraints:
        if isinstance(constraint, Unstated):
            raise InputError(constraint.text)
    for epigraph in form.epigraphs:
        if epigraph.function.name not in native.support.atoms:
            able = [name for name, other in SOLVERS.items() if epigraph.function.name in other.support.atoms]
            raise InputError(
                f"solver '{solver}' does not take {epigraph.function.name} (epigraph '{epigraph.name}') through CVXPY: "
                f"name one of {', '.join(able)}, or leave route='native' out"
            )


# ── solving ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _solve(problem: Any, solver: str, native: NativeSolver, options: Options, began: float) -> _Answer | None:
    """Solve without touching the variables' values or the problem's cache, so that nothing old can be read as new.

    ``None`` when no time is left after CVXPY has made arrays of the problem; some solvers take 0 seconds for no limit.
    """
    name, verbose = solver.upper(), options.log_file is not None
    canonical = {"ignore_dpp": True, "canon_backend": cp.SCIPY_CANON_BACKEND}
    data, chain, inverse = problem.get_problem_data(name, solver_opts=native.settings(options, math.inf), **canonical)
    left = options.time_limit - (time.perf_counter() - began)
    if left <= 0:
        return None
    settings = _with_raw(native.settings(options, left), options)
    try:
        raw = chain.solve_via_data(problem, data, warm_start=False, verbose=verbose, solver_opts=settings)
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        if not options.raw:
            raise
        raise InputError(f"raw options {', '.join(options.raw)}: '{solver}' through CVXPY says {error}") from None
    solution = chain.invert(raw, inverse)
    return _Answer(raw, solution.status, solution.primal_vars or {}, float(inverse[-1][cp.settings.OFFSET]))


def _with_raw(settings: dict[str, Any], options: Options) -> dict[str, Any]:
    """Raw options win, and those of SCIP go where its own are."""
    if "scip_params" in settings:
        return {"scip_params": {**settings["scip_params"], **options.raw}}
    return {**settings, **options.raw}


def _told_apart(problem: Any, solver: str, native: NativeSolver, options: Options, began: float) -> _Answer | None:
    """Infeasible or unbounded: whatever has a feasible point is unbounded."""
    answer = _solve(cp.Problem(cp.Minimize(0), problem.constraints), solver, native, options, began)
    if answer is not None and answer.status == cp.OPTIMAL:
        return replace(answer, status=cp.UNBOUNDED)
    return answer


# ── reading ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _read(answer: _Answer | None, compiled: Compiled, solver: str, native: NativeSolver, options: Options) -> Outcome:
    form = compiled.form
    if answer is None:
        return Outcome("time_limit", None, no_bound(form))
    reason = native.ended(answer.raw) or _REASONS.get(answer.status, "error")
    x = None if reason in ("infeasible", "unbounded") else _point(answer, compiled)
    doubts = [] if reason in (answer.status, "optimal") else [f"{solver} through CVXPY says '{answer.status}'"]
    if x is not None and reason != "optimal" and not _feasible(form, x, options):
        x = None
        doubts.append(f"the point that {solver} holds is not feasible, so it is not passed on")
    if x is None and reason == "gap_limit":
        reason = "error"
    return Outcome(reason, x, _bound(answer, form, native, reason), warnings=tuple(doubts))


def _feasible(form: StandardForm, x: Vector, options: Options) -> bool:
    tolerance, integrality = max(TOLERANCE, options.feasibility), max(TOLERANCE, options.integrality)
    return check(form, x, tolerance=tolerance, integrality=integrality).accepted


def _point(answer: _Answer, compiled: Compiled) -> Vector | None:
    if not answer.values:
        return None
    x = _unused(compiled.form)
    for span, variable in zip(compiled.columns.spans, compiled.columns.variables, strict=True):
        value = answer.values.get(variable.id)
        if value is not None:
            x[span.slice] = np.asarray(value, dtype=np.float64).ravel()
    return x if np.isfinite(x).all() else None


def _unused(form: StandardForm) -> Vector:
    """Values for columns that stand nowhere: the allowed ones next to 0."""
    near = np.clip(0.0, form.column_lower, form.column_upper)
    result: Vector = np.where(form.integer, np.copysign(np.ceil(np.abs(near)), near), near)
    return result


def _bound(answer: _Answer, form: StandardForm, native: NativeSolver, reason: Reason) -> float:
    """The solver's bound in the sense of the form, constant included; interior points prove one only at the end."""
    if reason in ("infeasible", "unbounded", "error") or (not native.support.integer and reason != "optimal"):
        return no_bound(form)
    bound = native.dual(answer.raw) + answer.offset
    return no_bound(form) if math.isnan(bound) else bound if form.sense == "min" else -bound
