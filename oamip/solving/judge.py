"""Judge what a solver claims: the point on the form, the bound against the point.

A claim is never trusted and never silently mended: what is refused or corrected is said in a warning.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from oamip.options import Options
from oamip.program import StandardForm, Verdict, check
from oamip.program.bridges import settle
from oamip.program.check import TOLERANCE
from oamip.program.intervals import interval_product
from oamip.solution import Held, Reason
from oamip.solving.driver import Driver
from oamip.solving.outcome import Outcome, no_bound, well_formed
from oamip.solving.route import route
from oamip.solving.scale import gap_absolute, unit_of

__all__ = ["Judgement", "judge"]

Vector: TypeAlias = NDArray[np.float64]

FINELY = 1e-2  # of the tolerances that were asked, where a point breaks a row by little
NEAR = 1e-4  # so little, relatively


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
    again with the integers fixed, and if that fails, or the point itself misses by little, the whole with a
    hundredth of the tolerance. A solver's point that still fails is refused, with its bound, and the reason is
    ``error``. The user's start, and points that the solver passed on the way, are held when they are better than
    what is left. A bound that the held point contradicts is dropped. ``proven`` wants all three: the solver said
    optimal, the point passed, and its gap to the bound, both as we compute them, is within what was asked.

    Without a driver nothing can be solved again.
    """
    outcome = well_formed(form, outcome)
    if outcome.x is None:
        return _with_others(form, outcome, _without_point(form, outcome, options), options)
    x, verdict, rounding = _accepted(form, outcome.x, driver, options)
    if x is None and driver is not None and (rounding or (verdict.violation < NEAR and not form.curves)):
        return _again(form, outcome, verdict, driver, options, "rounding the integers of" if rounding else "")
    if x is None:
        text = f"the solver's point was refused: {verdict.worst} is violated by {verdict.violation:.2g}"
        refused = Judgement("error", "none", None, math.nan, no_bound(form), None, (*outcome.warnings, text))
        return _with_others(form, outcome, refused, options)
    return _with_others(form, outcome, _with_point(form, outcome, x, verdict, options), options)


def _with_point(form: StandardForm, outcome: Outcome, x: Vector, verdict: Verdict, options: Options) -> Judgement:
    objective, unit, accuracy = form.objective(x), unit_of(form.cost), _accuracy(form, x, options)
    bound, doubts = _bound(form, objective, outcome.bound, 10.0 * max(accuracy, TOLERANCE * unit))
    reason, held, more = _standing(outcome.reason, objective, bound, options, accuracy, unit)
    return Judgement(reason, held, x, objective, bound, verdict, (*outcome.warnings, *doubts, *more))


def _accuracy(form: StandardForm, x: Vector, options: Options) -> float:
    """What tolerances may move the objective by, in units of the costs and in proportion to its terms."""
    terms = float(np.abs(form.cost) @ np.abs(x)) + abs(form.constant)
    return options.feasibility * max(unit_of(form.cost), terms)


def _with_others(form: StandardForm, outcome: Outcome, judged: Judgement, options: Options) -> Judgement:
    """The start, or a point that the solver passed, in place of a worse one or of none."""
    if judged.reason == "unbounded":
        return judged  # no point is a good one
    sign, unit = (1.0 if form.sense == "min" else -1.0), unit_of(form.cost)
    best, source = judged.x, ""
    value = math.inf if best is None else sign * judged.objective
    for name, point, by in _candidates(outcome, options):
        margin = by * max(unit, abs(value)) if judged.x is not None and not source else 0.0
        if point.shape != form.cost.shape or not sign * form.objective(point) < value - margin:
            continue  # NaN in a partial start is not less than anything
        rounded = np.where(form.integer, np.round(point), point)
        if check(form, rounded, tolerance=max(TOLERANCE, options.feasibility)).accepted:
            best, source, value = rounded, name, sign * form.objective(rounded)
    if best is None or not source:
        return judged
    kind = "a worse point" if judged.x is not None else "no point"
    text = f"the solver says '{outcome.reason}' and gives {kind}, but the {source} is feasible; it is held"
    verdict = check(form, best, tolerance=max(TOLERANCE, options.feasibility))
    claim = outcome  # what was said of the worse point is void
    if judged.x is None:
        claim = replace(outcome, reason=judged.reason, bound=judged.bound, warnings=judged.warnings)
    mended = _with_point(form, claim, best, verdict, options)
    if judged.reason == "infeasible" or (mended.held == "feasible" and judged.reason in ("optimal", "gap_limit")):
        mended = replace(mended, reason="error")
    return replace(mended, warnings=(*mended.warnings, text))


def _candidates(outcome: Outcome, options: Options) -> Iterator[tuple[str, Vector, float]]:
    """What else there is: its name, the point, and by how much, relatively, it must be better than the last one.

    Of the solver's own points, tolerances may make an earlier one look a little better.
    """
    if options.start is not None:
        yield "start that it was given", np.asarray(options.start, dtype=np.float64), Options.gap_relative
    for point in outcome.points:
        yield "better point that it had passed", point, 10.0 * TOLERANCE


def _again(
    form: StandardForm, outcome: Outcome, verdict: Verdict, driver: Driver, options: Options, culprit: str
) -> Judgement:
    """Solve once more, so finely that rounding the integers breaks nothing."""
    left = max(0.0, options.time_limit - outcome.seconds)
    finely = options.with_(
        integrality=FINELY * options.integrality,
        feasibility=FINELY * options.feasibility,
        time_limit=left,
        log_file=None,  # which has the log of the first solve, as the solution has
    )
    text = (
        f"{culprit} the solver's point broke {verdict.worst} by {verdict.violation:.2g}; it was solved again with a "
        "hundredth of the tolerances"
    ).lstrip()
    second = route(form, driver, finely).outcome
    return judge(form, replace(second, warnings=(*outcome.warnings, text, *second.warnings)), None, options)


def _accepted(
    form: StandardForm, x: Vector, driver: Driver | None, options: Options
) -> tuple[Vector | None, Verdict, bool]:
    """The point as it will be given out, or ``None``, the verdict on it, and whether only rounding broke it."""
    tolerance = max(TOLERANCE, options.feasibility)
    claimed = check(form, x, tolerance=tolerance, integrality=max(TOLERANCE, options.integrality))
    if not claimed.accepted:
        return None, claimed, False  # a false point is refused, however easily it could be mended
    if not form.integer.any():
        return x, claimed, False
    rounded = np.where(form.integer, np.round(x), x)
    verdict = check(form, rounded, tolerance=tolerance)
    if verdict.accepted or driver is None:
        return (rounded if verdict.accepted else None), verdict, True
    polished = _polished(form, rounded, driver, options)
    if polished is not None:
        again = check(form, polished, tolerance=tolerance)
        if again.accepted:
            return polished, again, False
    return None, verdict, True


def _polished(form: StandardForm, rounded: Vector, driver: Driver, options: Options) -> Vector | None:
    """The best continuous part for the integers of a point."""
    quiet = options.with_(start=None, log_file=None, progress=None, stop_at_objective=None, stop_at_bound=None)
    x = route(settle(form, rounded), driver, quiet).outcome.x
    return None if x is None else np.where(form.integer, rounded, x)


def _bound(form: StandardForm, objective: float, bound: float, tolerance: float) -> tuple[float, tuple[str, ...]]:
    """The bound, unless the checked point is better than it by more than the tolerances explain."""
    beyond = bound - objective if form.sense == "min" else objective - bound
    if beyond > tolerance:
        text = f"the solver's bound {bound:.9g} was dropped: the checked point has objective {objective:.9g}"
        return no_bound(form), (text,)
    return bound, ()


def _standing(
    reason: Reason, objective: float, bound: float, options: Options, accuracy: float, unit: float
) -> tuple[Reason, Held, tuple[str, ...]]:
    if reason not in ("optimal", "gap_limit"):
        return reason, "feasible", ()
    distance = abs(objective - bound)
    size = max(abs(objective), abs(bound)) if math.isfinite(bound) else 0.0  # as `relative_gap` has it
    closed = max(Options.gap_absolute * min(1.0, unit), Options.gap_relative * size) + accuracy
    asked = max(gap_absolute(options, unit), options.gap_relative * size) + accuracy
    if distance <= min(closed, asked):
        return "optimal", "proven", ()
    if distance <= asked:
        return "gap_limit", "proven", ()
    text = f"the gap of {distance:.3g} is wider than what was asked, so optimality is not proven"
    return "gap_limit", "feasible", (text,)


def _without_point(form: StandardForm, outcome: Outcome, options: Options) -> Judgement:
    """No point: what is claimed instead must be possible."""
    bound, reason = outcome.bound, outcome.reason
    if reason in ("infeasible", "unbounded"):
        bound = no_bound(form)
    empty = Judgement(reason, "none", None, math.nan, bound, None, outcome.warnings)
    doubt = ""
    if reason in ("optimal", "gap_limit") or (reason == "objective_limit" and options.stop_at_bound is None):
        doubt = "and gives no point"
    elif reason == "unbounded":
        low, high = interval_product(sp.csr_array(form.cost[None]), form.column_lower, form.column_upper)
        side = low[0] if form.sense == "min" else high[0]
        if math.isfinite(side):
            doubt = f"but the bounds of the variables keep the objective from passing {side + form.constant:.9g}"
    if not doubt:
        return empty
    text = f"the solver says '{reason}' {doubt}"
    return replace(empty, reason="error", bound=no_bound(form), warnings=(*outcome.warnings, text))
