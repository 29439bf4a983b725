"""Infeasible or unbounded: a solver that cannot tell is asked once more, without an objective."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np

from oamip.options import Options, Progress
from oamip.solving.outcome import Outcome, no_bound
from oamip.solving.session import Session

__all__ = ["told_apart"]

# They are about the objective that is taken out, or need not be tried again.
IDLE = {"start": None, "stop_at_objective": None, "stop_at_bound": None}


def told_apart(session: Session, first: Outcome, options: Options, began: float) -> Outcome:
    """An undecided outcome, decided by a second solve: whatever has a feasible point is unbounded.

    Args:
        session: whose solve it was; it keeps its objective.
        first: what that solve came to.
        options: of that solve.
        began: when it began, by `time.perf_counter`; both share one time limit.
    """
    form = session.form
    undecided = replace(first, x=None, bound=no_bound(form), points=(), duals=None)
    if not form.cost.any():
        return replace(undecided, reason="infeasible")  # nothing is unbounded without an objective
    left = max(0.0, options.time_limit - (time.perf_counter() - began))
    settings = {field.name: getattr(options, field.name) for field in fields(Options)}
    tell = None if options.progress is None else _without_values(options.progress)
    session.set_objective(np.zeros_like(form.cost))
    try:
        second = session.solve(**{**settings, **IDLE, "time_limit": left, "progress": tell})
    finally:
        session.set_objective(form.cost, form.constant)
    found = second.x is not None or second.reason == "optimal"
    return replace(
        undecided,
        reason="unbounded" if found else second.reason,
        nodes=first.nodes + second.nodes,
        warnings=tuple(dict.fromkeys((*first.warnings, *second.warnings))),
        log=first.log + second.log,
    )


def _without_values(tell: Callable[[Progress], bool | None]) -> Callable[[Progress], bool | None]:
    """The values on the way are those of another objective."""
    return lambda told: tell(replace(told, objective=math.nan, bound=math.nan, x=None))
