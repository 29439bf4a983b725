"""One solve by CBC, and what its words mean."""

from __future__ import annotations

import math
import signal
import time
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from oamip.options import Options
from oamip.program import StandardForm
from oamip.solution import Reason
from oamip.solving.bounded import bounded, bounded_by
from oamip.solving.drivers.cbc.call import Called, call
from oamip.solving.drivers.cbc.command import TAKEN
from oamip.solving.drivers.cbc.log import final_bound, nodes, start_was_taken
from oamip.solving.drivers.ranges import within
from oamip.solving.outcome import Outcome, no_bound
from oamip.solving.session import Session
from oamip.solving.undecided import told_apart

__all__ = ["run"]

PREPROCESS = "preprocess"  # an option of CBC's own, off unless it crashes without
CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE)
RELAXATION = "Linear relaxation unbounded"  # its last words before it calls such a program infeasible, or crashes
TAIL = 3  # last lines of the log that go into a warning


def run(form: StandardForm, options: Options) -> Outcome:
    """Solve a form from scratch.

    Raises:
        InputError: a raw option that CBC does not take, or a number that a file cannot say.
        SolveError: CBC cannot be started.
    """
    began = time.perf_counter()
    if _crossed(form):
        return Outcome("infeasible", None, no_bound(form))
    if not (form.A.nnz or bounded(form)):  # on which CBC crashes
        return told_apart(Session(form, options, run), Outcome("unbounded", None, no_bound(form)), options, began)
    options, changed = within(options, "CBC", **TAKEN)
    told = _called(form, options)
    reason = _reason(told)
    outcome = replace(_outcome(form, told, reason, options), nodes=nodes(told.log), log=told.log)
    mistaken = outcome.duals is not None and not bounded_by(form, outcome.duals)
    if mistaken or (reason in ("infeasible", "unbounded") and _ambiguous(told)):
        outcome = told_apart(Session(form, options, run), outcome, options, began)
    return replace(outcome, seconds=time.perf_counter() - began, warnings=(*changed, *outcome.warnings))


def _called(form: StandardForm, options: Options) -> Called:
    """One call; a second one with preprocessing where CBC crashes without."""
    began = time.perf_counter()
    told = call(form, options)
    if -told.exit not in CRASHES or PREPROCESS in options.raw or RELAXATION in told.log:
        return told
    left = max(0.0, options.time_limit - (time.perf_counter() - began))
    return call(form, options.with_(time_limit=left, raw={**options.raw, PREPROCESS: "on"}))


def _crossed(form: StandardForm) -> bool:
    """Bounds that nothing meets, for which the file has no words."""
    return bool((form.row_lower > form.row_upper).any() or (form.column_lower > form.column_upper).any())


def _reason(told: Called) -> Reason:
    """Why it stopped; ``Stopped on iterations`` is what CBC says of nodes and interrupts alike."""
    status = told.status
    if RELAXATION in told.log and told.stopped is None:
        return "unbounded"
    if told.exit < 0 and told.stopped is None:
        return "error"
    if status.startswith("Optimal"):
        return "optimal"
    if "nfeasible" in status:
        return "infeasible"
    if status.startswith("Unbounded"):
        return "unbounded"
    if told.stopped is not None:
        return told.stopped
    if "on time" in status or "Stopped on time" in told.log:
        return "time_limit"
    if "Stopped on node limit" in told.log:
        return "node_limit"
    return "interrupted" if status.startswith("Stopped") else "error"


def _ambiguous(told: Called) -> bool:
    """Whether the relaxation alone is unbounded, or CBC could not tell the two apart.

    ``Problem is infeasible`` it says of either, when there are integers.
    """
    words = (RELAXATION, "infeasible or unbounded", "Problem is infeasible")
    return told.status.startswith("Unbounded") or any(text in told.log for text in words)


def _outcome(form: StandardForm, told: Called, reason: Reason, options: Options) -> Outcome:
    sign = 1.0 if form.sense == "min" else -1.0
    integer = bool(form.integer.any())
    holds = told.point is not None and reason not in ("infeasible", "unbounded", "error")
    # A linear program that was stopped has no point yet, and a relaxation that was stopped is none.
    holds = holds and "no integer solution" not in told.status and (integer or reason == "optimal")
    x = told.point.x if told.point is not None and holds else None
    bound = no_bound(form)
    if reason not in ("infeasible", "unbounded", "error") and integer:
        bound = sign * final_bound(told.log)
    if reason == "optimal" and x is not None and math.isinf(bound):
        bound = form.objective(x)  # the tree is empty: CBC names a bound only where one is left
    return Outcome(
        reason=reason,
        x=x,
        bound=bound,
        duals=_duals(form, told, sign) if reason == "optimal" and not integer else None,
        warnings=_warnings(form, told, reason, options),
    )


def _duals(form: StandardForm, told: Called, sign: float) -> NDArray[np.float64] | None:
    """The duals of all rows; rows without sides are not in the file."""
    if told.point is None:
        return None
    duals = np.zeros(form.shape[0])
    duals[np.isfinite(form.row_lower) | np.isfinite(form.row_upper)] = sign * told.point.duals
    return duals


def _warnings(form: StandardForm, told: Called, reason: Reason, options: Options) -> tuple[str, ...]:
    found = []
    if options.start is not None and not form.integer.any():
        found.append("option start: CBC has no use for a first point of a program without integers")
    elif options.start is not None and reason != "error" and not start_was_taken(told.log):
        found.append("option start: CBC did not take it")
    if told.forced:
        found.append("CBC did not stop when asked and was ended by force, so its best point is lost")
    elif reason == "error" and told.exit < 0:
        name = signal.Signals(-told.exit).name
        found.append(f"CBC was ended by {name}, which oamip did not send, so its best point is lost")
    elif reason == "error":
        tail = " / ".join(told.log.split("\n")[-TAIL - 1 :]).strip(" /")
        found.append(f"CBC left no answer (exit status {told.exit}); its log ends with: {tail}")
    return tuple(found)
