"""Judge what a solver claims: the point on the form, the bound against the point.

A claim is never trusted and never silently mended: what is refused or corrected is said in a warning.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.options import Options
from oamip.program import StandardForm, Verdict, check
from oamip.program.bridges import settle
from oamip.program.check import TOLERANCE
from oamip.solution import Held, Reason
from oamip.solving.driver import Driver
from oamip.solving.outcome import Outcome, no_bound
from oamip.solving.route import route

__all__ = ["Judgement", "judge"]

Vector: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Judgement:
    """What remains of a claim; fields as in `Solution`."""

    reason: Reason
    held: Held
    x: Vector | None
    objective: float
    bound: float
    verdict: Verdict | None
    warnings: tuple[str, ...]


def judge(form: StandardForm, outcome: Outcome, driver: Driver | None, options: Options) -> Judgement:
    """Check a claim.

    The point is accepted as `check` says, integers rounded; if rounding breaks a row, the continuous part is solved
    again with the integers fixed. A point that still fails is refused: held is ``none`` and the reason ``error``. A
    bound that the checked point contradicts is dropped. ``proven`` wants all three: the solver said optimal, the point
    passed, and its gap to the bound, both as we compute them, is within what was asked.

    Without a driver nothing can be solved again, so a point that rounding breaks is refused.
    """
    if outcome.x is None:
        return _without_point(form, outcome, options)
    x, verdict = _accepted(form, outcome.x, driver, options)
    if x is None:
        text = f"the solver's point was refused: {verdict.worst} is violated by {verdict.violation:.2g}"
        warnings = (*outcome.warnings, text)
        return Judgement("error", "none", None, math.nan, outcome.bound, None, warnings)
    objective = form.objective(x)
    accuracy = options.feasibility * max(1.0, float(np.abs(form.cost) @ np.abs(x)) + abs(form.constant))
    bound, doubts = _bound(form, objective, outcome.bound, 10.0 * max(accuracy, TOLERANCE))
    reason, held, more = _standing(outcome.reason, objective, bound, options, accuracy)
    return Judgement(reason, held, x, objective, bound, verdict, (*outcome.warnings, *doubts, *more))


def _accepted(form: StandardForm, x: Vector, driver: Driver | None, options: Options) -> tuple[Vector | None, Verdict]:
    """The point as it will be given out, or ``None``, with the verdict on it."""
    tolerance = max(TOLERANCE, options.feasibility)
    claimed = check(form, x, tolerance=tolerance, integrality=max(TOLERANCE, options.integrality))
    if not claimed.accepted:
        return None, claimed  # a false point is refused, however easily it could be mended
    if not form.integer.any():
        return x, claimed
    rounded = np.where(form.integer, np.round(x), x)
    verdict = check(form, rounded, tolerance=tolerance)
    if verdict.accepted or driver is None:
        return (rounded if verdict.accepted else None), verdict
    polished = _polished(form, rounded, driver, options)
    if polished is not None:
        again = check(form, polished, tolerance=tolerance)
        if again.accepted:
            return polished, again
    return None, verdict


def _polished(form: StandardForm, rounded: Vector, driver: Driver, options: Options) -> Vector | None:
    """The best continuous part for the integers of a point."""
    quiet = options.with_(start=None, log_file=None, progress=None, stop_at_objective=None, stop_at_bound=None)
    x = route(settle(form, rounded), driver, quiet).outcome.x
    return None if x is None else np.where(form.integer, rounded, x)


def _bound(form: StandardForm, objective: float, bound: float, tolerance: float) -> tuple[float, tuple[str, ...]]:
    """The bound, unless the checked point is better than it by more than the tolerances explain."""
    beyond = bound - objective if form.sense == "min" else objective - bound
    if math.isnan(bound) or beyond > tolerance:
        text = f"the solver's bound {bound:.9g} was dropped: the checked point has objective {objective:.9g}"
        return no_bound(form), (text,)
    return bound, ()


def _standing(
    reason: Reason, objective: float, bound: float, options: Options, accuracy: float
) -> tuple[Reason, Held, tuple[str, ...]]:
    if reason not in ("optimal", "gap_limit"):
        return reason, "feasible", ()
    distance = abs(objective - bound)
    closed = max(Options.gap_absolute, Options.gap_relative * abs(objective)) + accuracy
    asked = max(options.gap_absolute, options.gap_relative * abs(objective)) + accuracy
    if reason == "optimal" and distance <= min(closed, asked):
        return "optimal", "proven", ()
    if reason == "optimal" and distance <= asked:
        return "gap_limit", "proven", ()
    text = f"the gap of {distance:.3g} is wider than what was asked, so optimality is not proven"
    return "gap_limit", "feasible", (text,)


def _without_point(form: StandardForm, outcome: Outcome, options: Options) -> Judgement:
    """No point: a claim of infeasibility is at least tried on the user's own start."""
    empty = Judgement(outcome.reason, "none", None, math.nan, outcome.bound, None, outcome.warnings)
    if outcome.reason in ("optimal", "gap_limit", "objective_limit"):
        text = f"the solver says '{outcome.reason}' and gives no point"
        return replace(empty, reason="error", bound=no_bound(form), warnings=(*outcome.warnings, text))
    if outcome.reason != "infeasible":
        return empty
    empty = replace(empty, bound=no_bound(form))
    if options.start is None:
        return empty
    start = np.asarray(options.start, dtype=np.float64)
    verdict = check(form, start)
    if not verdict.accepted:
        return empty
    text = "the solver says 'infeasible', but the start that it was given is feasible; the start is held"
    value = form.objective(start)
    return Judgement("error", "feasible", start, value, no_bound(form), verdict, (*outcome.warnings, text))
