"""What Gurobi claims at the end of a run, and what its statuses and errors mean."""

from __future__ import annotations

import math

import gurobipy as gp
import numpy as np
from gurobipy import GRB

from oamip.program import StandardForm
from oamip.solution import Reason
from oamip.solving.drivers.gurobi.licence import is_about_licence, refusal
from oamip.solving.drivers.gurobi.rows import ModelRows
from oamip.solving.outcome import Outcome, no_bound
from oamip.solving.watch import Watch

__all__ = ["failed", "read", "stalled", "undecided"]

Status = GRB.Status

_REASONS: dict[int, Reason] = {
    Status.OPTIMAL: "optimal",
    Status.SUBOPTIMAL: "gap_limit",  # a point, but the tolerance on optimality was not reached
    Status.INFEASIBLE: "infeasible",
    Status.UNBOUNDED: "unbounded",
    Status.INF_OR_UNBD: "unbounded",
    Status.USER_OBJ_LIMIT: "objective_limit",
    Status.TIME_LIMIT: "time_limit",
    Status.NODE_LIMIT: "node_limit",
    Status.MEM_LIMIT: "memory_limit",
    Status.INTERRUPTED: "interrupted",
    # Only raw options set these limits.
    Status.CUTOFF: "objective_limit",
    Status.WORK_LIMIT: "time_limit",
    Status.SOLUTION_LIMIT: "interrupted",
    Status.ITERATION_LIMIT: "interrupted",
}
_FINISHED = (Status.OPTIMAL, Status.SUBOPTIMAL)
_NOTHING: frozenset[Reason] = frozenset({"infeasible", "unbounded"})  # the "point" of an unbounded program is no use


def undecided(model: gp.Model) -> bool:
    """True after a run that found a ray, or less, and left open whether there is a feasible point."""
    return model.Status in (Status.UNBOUNDED, Status.INF_OR_UNBD) or _endless(model)


def _endless(model: gp.Model) -> bool:
    """True after a run that calls an infinite value optimal, as happens where indicators stand on unbounded columns."""
    return model.Status == Status.OPTIMAL and bool(model.IsMIP) and abs(model.ObjBound) >= GRB.INFINITY


def stalled(model: gp.Model) -> bool:
    """True after a run in which the barrier method could not bring a continuous quadratic program to its end."""
    return model.Status == Status.SUBOPTIMAL and bool(model.IsQCP) and not model.IsMIP


def read(model: gp.Model, columns: gp.MVar, rows: ModelRows, form: StandardForm, watch: Watch[None]) -> Outcome:
    """The claim of the last run."""
    mixed, status = bool(model.IsMIP), model.Status
    reason = watch.stopped if status == Status.INTERRUPTED and watch.stopped else _REASONS.get(status, "error")
    if _endless(model):
        reason = "unbounded"
    # Stopped early, a continuous run holds an iterate that need not be feasible, and a value that bounds nothing.
    holds = model.SolCount > 0 and reason not in _NOTHING and (mixed or status in _FINISHED)
    finished = status == Status.OPTIMAL and not mixed
    bound = math.nan
    if reason not in _NOTHING and (mixed or finished):
        bound = model.ObjBound if mixed else model.ObjVal
    warnings = (f"Gurobi ended with status {status}: {_last_line(watch.log)}",) if reason == "error" else ()
    return Outcome(
        reason=reason,
        x=np.array(columns.X, dtype=np.float64) if holds else None,
        bound=bound if abs(bound) < GRB.INFINITY else no_bound(form),
        nodes=int(model.NodeCount) if mixed else 0,
        points=tuple(watch.points),
        duals=rows.duals() if finished and not model.IsQCP else None,
        warnings=warnings,
    )


def failed(error: gp.GurobiError, model: gp.Model, form: StandardForm) -> Outcome:
    """The claim of a run that ended with an error."""
    if is_about_licence(error):
        return refusal(str(error), form, rows=model.NumConstrs, columns=model.NumVars)
    reason: Reason = "memory_limit" if error.errno == GRB.Error.OUT_OF_MEMORY else "error"
    return Outcome(reason, None, no_bound(form), warnings=(f"Gurobi failed: {error}",))


def _last_line(log: list[str]) -> str:
    return "".join(log).strip().rpartition("\n")[2]
