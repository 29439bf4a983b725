"""What a case may demand of an answer; each message says what was expected and what came."""

from __future__ import annotations

import math

from oamip.solution import Solution
from oamip.testing.case import ConformanceError

__all__ = ["close", "ended", "proven", "that", "valid_bound"]

RELATIVE = 2e-6  # twice the gap that is asked for by default
ABSOLUTE = 1e-5


def that(holds: bool, expected: str, came: object) -> None:
    """Demand a truth.

    Raises:
        ConformanceError: it does not hold.
    """
    if not holds:
        text = _told(came) if isinstance(came, Solution) else str(came)
        raise ConformanceError(f"expected {expected}; came {text}")


def close(what: str, came: float, expected: float) -> None:
    """Demand a number, within the gap that was asked for."""
    near = abs(came - expected) <= ABSOLUTE + RELATIVE * abs(expected)  # False for NaN
    that(near, f"{what} {expected:.10g}", f"{came:.10g}")


def ended(solution: Solution, reason: str, held: str) -> None:
    """Demand both fields of the status, and what follows from them."""
    both = (solution.reason, solution.held) == (reason, held)
    that(both, f"reason '{reason}' and held '{held}'", solution)
    that(not any("was dropped" in text for text in solution.warnings), "a bound that the point agrees with", solution)
    if held == "none":
        that(not solution.values, "no values where nothing is held", solution)
        that(math.isnan(solution.objective), "objective NaN where nothing is held", solution)
    else:
        that(solution.verified, "a checked point", solution)


def proven(solution: Solution, optimum: float) -> None:
    """Demand the optimum: status, objective and bound."""
    ended(solution, "optimal", "proven")
    close("objective", solution.objective, optimum)
    close("bound", solution.bound, optimum)


def valid_bound(solution: Solution, attained: float, *, minimise: bool) -> None:
    """Demand that the bound does not contradict a value that a feasible point attains."""
    slack = ABSOLUTE + RELATIVE * abs(attained)
    holds = solution.bound <= attained + slack if minimise else solution.bound >= attained - slack  # False for NaN
    side = "most" if minimise else "least"
    that(holds, f"a bound of at {side} {attained:.10g}, which a feasible point attains", solution)


def _told(solution: Solution) -> str:
    told = (
        f"reason '{solution.reason}', held '{solution.held}', objective {solution.objective:.10g}, "
        f"bound {solution.bound:.10g}, {solution.seconds.total:.2f} s"
    )
    return "; ".join([told, *solution.warnings])
