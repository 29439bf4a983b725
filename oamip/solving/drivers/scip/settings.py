"""`Options` in the words of SCIP."""

from __future__ import annotations

import math
from typing import Any

from oamip.errors import InputError
from oamip.options import Options
from oamip.solving.drivers.ranges import within

__all__ = ["apply"]

TOLERANCE = (1e-9, 1e-3)  # what SCIP can work with: what differs by 1e-9 is equal to it
SEED = (0, 2**31 - 1)
INFINITE = 1e20
WALL_CLOCK = 2
MEBIBYTE = 2**20
STARTS = 10**6  # as many as a session will ever be given

# A program without integers and atoms is its first LP: everything that would come between that LP and its duals is off.
_LINEAR = {
    "presolving/maxrounds": 0,
    "propagating/maxrounds": 0,
    "propagating/maxroundsroot": 0,
    "separating/maxroundsroot": 0,
    "lp/disablecutoff": 1,
}


def apply(scip: Any, options: Options, *, linear: bool, time_limit: float) -> tuple[str, ...]:
    """Set every option of one solve, raw ones last, and the rest to its default; gives warnings for what was changed.

    Args:
        scip: the model.
        options: of the solve, whose time limit is not looked at.
        linear: the program has neither integers nor atoms.
        time_limit: seconds that are left.

    Raises:
        InputError: a raw option that SCIP does not know, or a value that it does not take.
    """
    scip.resetParams()
    options, warnings = within(options, "SCIP", feasibility=TOLERANCE, integrality=TOLERANCE, seed=SEED)
    for name, value in _settings(options, linear=linear, time_limit=time_limit).items():
        _set(scip, name, value)
    for name, value in options.raw.items():
        _set(scip, name, value)
    return warnings


def _settings(options: Options, *, linear: bool, time_limit: float) -> dict[str, Any]:
    # One tolerance serves rows and integers alike, so it is the smaller of the two.
    tolerance = min(options.feasibility, options.integrality)
    settings = {
        "misc/catchctrlc": False,  # SCIP would take the signal away from Python, and leave it so
        "timing/clocktype": WALL_CLOCK,
        "limits/time": min(max(time_limit, 0.0), INFINITE),
        "limits/totalnodes": -1 if options.node_limit is None else options.node_limit,
        # SCIP divides by the smaller of |objective| and |bound|, so it never stops at a gap wider than ours.
        "limits/gap": min(options.gap_relative, INFINITE),
        "limits/absgap": min(options.gap_absolute, INFINITE),
        "numerics/feastol": tolerance,
        "numerics/dualfeastol": tolerance,
        "randomization/randomseedshift": options.seed,
        "heuristics/completesol/maxunknownrate": 1.0,  # a start may leave as much open as it likes
        # Points found stay out of the storage of starts, where old ones that are better would push new starts out.
        "misc/transsolsorig": False,
        "limits/maxorigsol": STARTS,
        **(_LINEAR if linear else {}),
    }
    if options.memory_limit is not None:
        settings["limits/memory"] = options.memory_limit / MEBIBYTE
    stops = {"limits/primal": options.stop_at_objective, "limits/dual": options.stop_at_bound}
    # Infinite ones are left to the watch.
    return settings | {name: stop for name, stop in stops.items() if stop is not None and math.isfinite(stop)}


def _set(scip: Any, name: str, value: Any) -> None:
    try:
        scip.setParam(name, value)
    except KeyError:
        raise InputError(f"raw option '{name}' is not an option of SCIP {scip.version()}") from None
    except (TypeError, ValueError, OverflowError):
        taken = False
    else:
        taken = scip.getParam(name) == value  # SCIP's interface cuts 2.7 to 2 and takes any number for true
    if not taken:
        raise InputError(f"option '{name}' of SCIP does not take the value {value!r}")
