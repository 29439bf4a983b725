"""What the statuses of CPLEX mean."""

from __future__ import annotations

from typing import Literal, TypeAlias

from oamip.solution import Reason

__all__ = ["Ended", "meaning"]

Ended: TypeAlias = Reason | Literal["infeasible or unbounded"]

_CODES: dict[Ended, tuple[int, ...]] = {
    # 102: within the gap that was asked for; 5 and 115: infeasible once unscaled, which our own check will judge
    "optimal": (1, 5, 101, 102, 115, 129, 130),
    "infeasible": (3, 103),
    # 2 and 118 say that there is a ray, not that there is a point; 133 that the relaxation has one
    "infeasible or unbounded": (2, 4, 20, 118, 119, 133),
    "objective_limit": (12, 21, 22),
    "time_limit": (11, 25, 107, 108, 131, 132),
    "node_limit": (104, 105, 106, 128),  # 104, 128: limits on solutions, which only raw options set
    "memory_limit": (111, 112, 116, 117),
    "interrupted": (10, 13, 113, 114, 126),  # 10: a limit on iterations, which only a raw option sets
}
_MEANING: dict[int, Ended] = {code: ended for ended, codes in _CODES.items() for code in codes}


def meaning(status: int) -> Ended:
    """Why CPLEX stopped; statuses of failure and of other algorithms are ``error``."""
    return _MEANING.get(status, "error")
