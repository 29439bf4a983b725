"""What Gurobi's licence does not allow, as an outcome."""

from __future__ import annotations

import gurobipy as gp
from gurobipy import GRB

from oamip.program import StandardForm
from oamip.solving.outcome import Outcome, no_bound

__all__ = ["is_about_licence", "refusal"]

_ERRORS = frozenset(
    {
        GRB.Error.NO_LICENSE,
        GRB.Error.SIZE_LIMIT_EXCEEDED,
        GRB.Error.NETWORK,  # licence and compute servers
        GRB.Error.JOB_REJECTED,
        GRB.Error.CLOUD,
    }
)


def is_about_licence(error: gp.GurobiError) -> bool:
    """True when another licence, or a server that answers, would have avoided the error."""
    return error.errno in _ERRORS


def refusal(text: str, form: StandardForm, *, rows: int | None = None, columns: int | None = None) -> Outcome:
    """The outcome of a solve that the licence forbids.

    Args:
        text: Gurobi's own words.
        form: what was to be solved.
        rows: of Gurobi's model, where it has another number.
        columns: likewise.
    """
    rows = form.shape[0] if rows is None else rows
    columns = form.shape[1] if columns is None else columns
    size = f"the model has {rows} rows and {columns} columns"
    if form.epigraphs:
        size += " with quadratic constraints"
    way = "give Gurobi a licence (GRB_LICENSE_FILE names its file) or name another solver, such as solver='highs'"
    return Outcome("licence", None, no_bound(form), warnings=(f"Gurobi: {text} ({size}): {way}",))
