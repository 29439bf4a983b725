"""Claims that no point can show, put to a second solver: that there is no point at all, or no best one."""

from __future__ import annotations

from dataclasses import replace

from oamip.options import Options
from oamip.program import StandardForm
from oamip.solving.driver import Driver
from oamip.solving.infeasible import clash
from oamip.solving.judge import Judgement, judge
from oamip.solving.outcome import Outcome
from oamip.solving.route import route

__all__ = ["confirm"]

PATIENCE = 10.0  # seconds at most that the second solver has


def confirm(
    form: StandardForm, judged: Judgement, outcome: Outcome, name: str, second: Driver, options: Options
) -> tuple[Judgement, tuple[str, ...]]:
    """What remains of ``infeasible`` or ``unbounded`` once another solver was asked, and the row blocks that clash.

    A point that passes our check refutes ``infeasible``; an optimum, proven and checked, refutes ``unbounded``.

    Args:
        form: what was solved.
        judged: the judgement of the first solver's claim.
        outcome: that claim.
        name: of the first solver.
        second: the other one, which may be the same.
        options: of the solve.
    """
    seconds = min(PATIENCE, options.time_limit)
    if judged.reason == "infeasible":
        return _infeasible(form, judged, outcome, name, second, options, seconds)
    quiet = Options(time_limit=seconds, threads=options.threads, seed=options.seed, feasibility=options.feasibility)
    if second.name == name:
        return judged, ()
    found = judge(form, route(form, second, quiet).outcome, second, quiet)
    if found.held == "proven":
        text = (
            f"{name} says 'unbounded', but {second.name} proved that {found.objective:.9g} is the optimum; it is held"
        )
        warnings = (*judged.warnings, text)
        return replace(found, reason="error", held="feasible", warnings=warnings), ()
    if found.reason == "unbounded":
        return judged, ()
    text = f"{second.name} could not confirm in {seconds:g} s that it is unbounded: it ended with '{found.reason}'"
    return replace(judged, warnings=(*judged.warnings, text)), ()


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
