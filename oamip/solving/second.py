"""Claims that no point can show are asked about again: that there is none, that none is best, that this one is best."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.options import Options
from oamip.program import StandardForm
from oamip.program.check import TOLERANCE
from oamip.solving.bounded import bounded, duality_gap
from oamip.solving.driver import Driver
from oamip.solving.infeasible import clash
from oamip.solving.judge import Judgement, judge
from oamip.solving.outcome import Outcome, no_bound
from oamip.solving.route import route
from oamip.solving.scale import unit_of

__all__ = ["confirm", "in_doubt", "not_proven"]

PATIENCE = 10.0  # seconds at most for every further solve
BOX = 1e5  # half the width of the box in which an optimum is looked for again
BETTER = 1e-5  # relative
ROUNDING = 1e-12  # of an objective, relative to its terms
FINELY = 1e-2  # of the tolerance, for a second optimum of a linear program

Vector: TypeAlias = NDArray[np.float64]


def in_doubt(form: StandardForm, judged: Judgement, duals: Vector | None, options: Options) -> bool:
    """Whether a judged claim should be put to `confirm`.

    ``infeasible`` and ``unbounded`` always. A proven optimum of a linear program that the solver's duals do not prove;
    and one of a program with indicators or sets, where the bounds of the variables do not bound the objective: of 187
    random unbounded programs SCIP calls 2 optimal, and CBC 9 of 182 linear ones.
    """
    if judged.held != "proven":
        return judged.reason in ("infeasible", "unbounded")
    if form.epigraphs or not form.shape[1]:
        return False
    if form.indicators or form.sos1:
        return not bounded(form)
    if form.integer.any():
        return False
    missing = _distance(form, judged, duals) - abs(judged.objective - judged.bound)  # the claim is the bound
    return missing > _tolerance(form, judged, options)


def _distance(form: StandardForm, judged: Judgement, duals: Vector | None) -> float:
    """Between the objective of a held point and what duals prove."""
    return math.inf if duals is None or judged.x is None else duality_gap(form, judged.x, duals)


def _tolerance(form: StandardForm, judged: Judgement, options: Options) -> float:
    """By how much two optima of a linear program may differ; rounding is relative to the terms of the objective."""
    terms = abs(form.constant) if judged.x is None else float(np.abs(form.cost) @ np.abs(judged.x)) + abs(form.constant)
    return max(options.feasibility, TOLERANCE) * max(unit_of(form.cost), abs(judged.objective)) + ROUNDING * terms


def confirm(
    form: StandardForm, judged: Judgement, outcome: Outcome, driver: Driver, second: Driver, options: Options
) -> tuple[Judgement, tuple[str, ...]]:
    """What remains of a claim in doubt, and the row blocks that clash.

    A point that passes our check refutes ``infeasible``; a proven and checked optimum refutes ``unbounded``; a better
    point refutes an optimum, and one of a linear program on which two solvers differ is not proven.

    Args:
        form: what was solved.
        judged: the judgement of the claim.
        outcome: the claim.
        driver: of the solver that claims.
        second: another solver, which may be the same.
        options: of the solve.
    """
    quiet = Options(
        time_limit=min(PATIENCE, options.time_limit),
        threads=options.threads,
        seed=options.seed,
        feasibility=options.feasibility,
    )
    if judged.reason == "infeasible":
        return _infeasible(form, judged, outcome, driver.name, second, options, quiet.time_limit)
    if judged.held != "proven":
        return _unbounded(form, judged, driver.name, second, _otherwise(quiet, driver, second)), ()
    if not (form.integer.any() or form.indicators or form.sos1):
        return _linear(form, judged, outcome.duals, driver, second, quiet), ()
    # Where the linear part alone is bounded, so is the program.
    relaxed = replace(form, integer=np.zeros_like(form.integer), indicators=(), sos1=())
    if route(relaxed, second, quiet).outcome.reason == "optimal":
        return judged, ()
    return _within_a_box(form, judged, driver, quiet), ()


def _infeasible(
    form: StandardForm,
    judged: Judgement,
    outcome: Outcome,
    name: str,
    second: Driver,
    options: Options,
    seconds: float,
) -> tuple[Judgement, tuple[str, ...]]:
    found = clash(form, second, options, seconds=seconds)
    if found.witness is not None:
        refuted = judge(form, replace(outcome, reason="error", x=found.witness), None, options)
        text = f"{name} says 'infeasible', but {second.name} found a point that passes our check; it is held"
        return replace(refuted, warnings=(*refuted.warnings, text)), ()
    if found.names and not found.complete:
        text = "the clash may name more row blocks than needed: there was no time to shorten it"
        judged = replace(judged, warnings=(*judged.warnings, text))
    return judged, found.names


def _unbounded(form: StandardForm, judged: Judgement, name: str, second: Driver, quiet: Options) -> Judgement:
    found = judge(form, route(form, second, quiet).outcome, second, quiet)
    if found.reason == "unbounded":
        return judged
    if found.held == "proven":
        text = (
            f"{name} says 'unbounded', but {second.name} proved that the optimum is {found.objective:.9g}; it is held"
        )
        return replace(found, reason="error", held="feasible", warnings=(*judged.warnings, text))
    text = f"{second.name} could not confirm that it is unbounded: it ended with '{found.reason}'"
    return replace(judged, warnings=(*judged.warnings, text))


def _linear(
    form: StandardForm, judged: Judgement, duals: Vector | None, driver: Driver, second: Driver, quiet: Options
) -> Judgement:
    """An optimum of a linear program that its duals do not prove: another solver must come to no better one."""
    finely = quiet.with_(feasibility=FINELY * quiet.feasibility)
    found = judge(form, route(form, second, _otherwise(finely, driver, second)).outcome, second, quiet)
    if found.reason == "unbounded":
        boxed = _within_a_box(form, judged, driver, quiet)
        if boxed.held != "proven":
            return boxed
        judged = replace(judged, bound=no_bound(form))
        return not_proven(form, judged, duals, f"{second.name} says 'unbounded'")
    sign, tolerance = 1.0 if form.sense == "min" else -1.0, _tolerance(form, judged, quiet)
    if sign * (judged.bound - found.objective) > tolerance:  # False where nothing was found
        text = f"{driver.name} says 'optimal', but {second.name} found a better point; it is held"
        return replace(found, reason="error", held="feasible", warnings=(*judged.warnings, text))
    if found.held == "proven" and sign * (found.objective - judged.objective) <= tolerance:
        return judged
    ended = f"{second.name} ended with '{found.reason}'" + ("" if found.x is None else f" at {found.objective:.9g}")
    return not_proven(form, judged, duals, ended)


def not_proven(form: StandardForm, judged: Judgement, duals: Vector | None, why: str) -> Judgement:
    """An optimum of a linear program that neither its duals nor another solver confirms: its point is held."""
    sign, gap = 1.0 if form.sense == "min" else -1.0, _distance(form, judged, duals)
    bound = judged.bound if duals is None else judged.objective - sign * gap
    text = f"its duals do not prove that it is optimal, and nobody else could confirm it: {why}"
    return replace(judged, reason="gap_limit", held="feasible", bound=bound, warnings=(*judged.warnings, text))


def _otherwise(options: Options, driver: Driver, second: Driver) -> Options:
    """How the second solver is asked where it is the first one too."""
    return options.with_(raw={"presolve": "off"}) if second.name == driver.name else options


def _within_a_box(form: StandardForm, judged: Judgement, driver: Driver, quiet: Options) -> Judgement:
    """The same solver is asked within a box: a better point there refutes its optimum."""
    low, high = form.column_lower, form.column_upper
    boxed = replace(
        form,
        column_lower=np.where(np.isinf(low), np.minimum(high, 0.0) - BOX, low),
        column_upper=np.where(np.isinf(high), np.maximum(low, 0.0) + BOX, high),
    )
    found = judge(boxed, route(boxed, driver, quiet).outcome, driver, quiet)
    sign = 1.0 if form.sense == "min" else -1.0
    gained = sign * (judged.objective - found.objective)  # NaN where nothing was found
    if found.x is None or not gained > BETTER * max(unit_of(form.cost), abs(judged.objective)):
        return judged
    x, text = found.x, f"{driver.name} says 'optimal', but within a box of {BOX:g} it found a better point"
    found = replace(found, held="feasible", bound=no_bound(form), warnings=(*judged.warnings, text))
    if (np.isinf(low) & (x < -0.9 * BOX) | np.isinf(high) & (x > 0.9 * BOX)).any():
        return replace(found, reason="unbounded", held="none", x=None, objective=math.nan, verdict=None)
    return replace(found, reason="error")
