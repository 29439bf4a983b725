"""`Options` in the words of CPLEX."""

from __future__ import annotations

import math
from typing import Any

from cplex.exceptions import CplexError

from oamip.errors import InputError
from oamip.options import Options
from oamip.solving.drivers.ranges import THREADS, replaced, within

__all__ = ["apply"]

FOREVER = 1e75  # the largest number of a parameter
WIDEST = 1e20  # the largest absolute gap
MEGABYTE = 2.0**20
WALL_CLOCK = 2
DETERMINISTIC = 1
USUAL_WORK_MEMORY = 2048.0  # megabytes


def apply(cplex: Any, options: Options, *, integer: bool, warm: bool = True) -> tuple[str, ...]:
    """Set every option of one solve, raw ones last; gives warnings for what had to be changed to be accepted.

    Args:
        cplex: the ``Cplex`` object; whatever an earlier solve had set is forgotten.
        options: what is asked.
        integer: there is a tree to limit.
        warm: begin with the last basis and the points that CPLEX was given or knows.

    Raises:
        InputError: a raw option that CPLEX does not know, or a value that it does not take.
    """
    for parameter, _ in cplex.parameters.get_changed():
        parameter.reset()
    options, changed = within(options, "CPLEX", threads=(1, THREADS))
    warnings = list(changed)
    for path, (name, value) in _settings(options).items():
        parameter = _parameter(cplex, path)
        nearest = min(max(value, parameter.min()), parameter.max())
        if nearest != value:
            warnings.append(replaced("CPLEX", name, value, nearest))
        parameter.set(nearest)
    cplex.parameters.advance.set(int(warm))
    if options.memory_limit is not None:
        of = "the branch-and-bound tree only" if integer else "branch-and-bound trees only, and here is none"
        warnings.append(f"option memory_limit: CPLEX limits by it {of}")
    for path, value in options.raw.items():
        _set_raw(cplex, path, value)
    return tuple(dict.fromkeys(warnings))


def _settings(options: Options) -> dict[str, tuple[str, Any]]:
    """Parameter to the option that it serves and its value."""
    limit = min(options.time_limit, FOREVER)
    relative, absolute = options.gap_relative, min(options.gap_absolute, WIDEST)
    if math.isinf(relative):
        relative, absolute = 1.0, WIDEST  # it takes no relative gap above 1
    settings: dict[str, tuple[str, Any]] = {
        "clocktype": ("time_limit", WALL_CLOCK),
        "timelimit": ("time_limit", limit),
        "mip.tolerances.mipgap": ("gap_relative", relative),
        "mip.tolerances.absmipgap": ("gap_absolute", absolute),
        "simplex.tolerances.feasibility": ("feasibility", options.feasibility),
        "simplex.tolerances.optimality": ("feasibility", options.feasibility),
        # The one tolerance for rows and gap alike, so it is the smaller of the two.
        "barrier.qcpconvergetol": ("feasibility", max(min(options.feasibility, options.gap_relative), 1e-12)),
        "mip.tolerances.integrality": ("integrality", options.integrality),
        "parallel": ("threads", DETERMINISTIC),
        "threads": ("threads", options.threads),
        "randomseed": ("seed", options.seed),
    }
    if options.node_limit is not None:
        settings["mip.limits.nodes"] = ("node_limit", options.node_limit)
    if options.memory_limit is not None:
        megabytes = options.memory_limit / MEGABYTE
        settings["mip.limits.treememory"] = ("memory_limit", megabytes)
        settings["workmem"] = ("memory_limit", min(megabytes, USUAL_WORK_MEMORY))
    return settings


def _parameter(cplex: Any, path: str) -> Any:
    """The parameter of a dotted name (``mip.tolerances.mipgap``), or ``None``."""
    found = cplex.parameters
    for part in path.split("."):
        found = None if part.startswith("_") else getattr(found, part, None)
    return found if hasattr(found, "default") and hasattr(found, "set") else None


def _set_raw(cplex: Any, path: str, value: Any) -> None:
    parameter = _parameter(cplex, path)
    if parameter is None:
        raise InputError(
            f"raw option '{path}' is not a parameter of CPLEX {cplex.get_version()}; "
            "name it as its Python API does, as in 'mip.tolerances.mipgap'"
        )
    try:
        if parameter.type() is int and math.modf(value)[0] != 0.0:
            raise ValueError(value)  # CPLEX itself would cut the fraction off
        parameter.set(value)
    except (CplexError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"option '{path}' of CPLEX does not take the value {value!r}: {error}") from error
