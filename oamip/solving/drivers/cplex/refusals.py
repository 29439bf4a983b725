"""What CPLEX does not solve at all: no licence, no memory, an error of its own."""

from __future__ import annotations

from typing import Any

from oamip.program import StandardForm
from oamip.solution import Reason
from oamip.solving.outcome import Outcome, no_bound

__all__ = ["by_licence", "licence", "refusal"]

RESTRICTED = 1016  # the model is larger than the Community Edition takes
LICENSING = range(32000, 33000)  # errors of the licence manager
MEMORY = frozenset({1001, 3413})


def by_licence(error: Any) -> bool:
    """True for a ``CplexSolverError`` that a licence would have prevented."""
    return _code(error) == RESTRICTED or _code(error) in LICENSING


def refusal(form: StandardForm, error: Any) -> Outcome:
    """The outcome of a solve that ended in a ``CplexSolverError``."""
    if by_licence(error):
        return licence(form, str(error))
    reason: Reason = "memory_limit" if _code(error) in MEMORY else "error"
    return Outcome(reason, None, no_bound(form), warnings=(f"CPLEX failed: {error}",))


def licence(form: StandardForm, message: str) -> Outcome:
    """The outcome of a solve for which there is no licence."""
    rows, columns = form.shape
    text = (
        f"licence of CPLEX: '{message}' The program has {columns} columns and {rows} rows; the Community Edition, which"
        " pip installs, takes 1000 of each. Install a licensed CPLEX Optimization Studio and point CPLEX_STUDIO_DIR or"
        " CPLEX_STUDIO_KEY at it, or name another solver, such as 'highs'"
    )
    return Outcome("licence", None, no_bound(form), warnings=(text,))


def _code(error: Any) -> int:
    return int(error.args[2]) if len(error.args) > 2 else 0
