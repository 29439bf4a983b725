"""`Options` in the words of Gurobi: the environment of a session, and the parameters of each solve."""

from __future__ import annotations

import math
from typing import Any

import gurobipy as gp

from oamip.errors import InputError, SolveError
from oamip.options import Options
from oamip.solving.drivers.gurobi.licence import is_about_licence
from oamip.solving.drivers.ranges import within

__all__ = ["Unlicensed", "apply", "started"]

TAKEN = {"feasibility": (1e-9, 1e-2), "integrality": (1e-9, 1e-1), "threads": (1, 1024), "seed": (0, 2 * 10**9)}
GIGABYTE = 1e9
CONVERGED = 1e-9  # of the barrier method on quadratic programs; its default leaves points 1e-6 off their rows


class Unlicensed(Exception):
    """No environment could be started, in Gurobi's own words."""


def started(options: Options) -> gp.Env:
    """A silent environment with the raw options, some of which name a licence or a server and can only be set now.

    Raises:
        InputError: a raw option that Gurobi does not know, or a value that it does not take.
        SolveError: Gurobi does not start for another reason than its licence.
        Unlicensed: there is no licence.
    """
    environment = gp.Env(empty=True)
    try:
        environment.setParam("LogToConsole", 0)
        for name, value in options.raw.items():
            _set(environment, name, value)
        environment.start()
    except gp.GurobiError as error:
        environment.dispose()
        if is_about_licence(error):
            raise Unlicensed(str(error)) from error
        raise SolveError(f"Gurobi does not start: {error}") from error
    except InputError:
        environment.dispose()
        raise
    return environment


def apply(model: gp.Model, options: Options, touched: set[str]) -> tuple[str, ...]:
    """Set every option of one solve, raw ones last; gives warnings for what was changed.

    Args:
        model: whose parameters are set.
        options: of this solve.
        touched: raw options of earlier solves, which go back to their defaults if this one does not have them.

    Raises:
        InputError: a raw option that Gurobi does not know, or a value that it does not take.
    """
    options, warnings = within(options, "Gurobi", **TAKEN)
    for name in touched - options.raw.keys():
        _set(model, name, model.getParamInfo(name)[-1])
        touched.remove(name)
    for name, value in _settings(model, options).items():
        _set(model, name, value)
    for name, value in options.raw.items():
        info = model.getParamInfo(name)
        if info is None or info[2] != value:  # the environment may have it already, and some can be set only there
            _set(model, name, value)
        touched.add(name)
    return warnings


def _settings(model: gp.Model, options: Options) -> dict[str, Any]:
    nodes, memory, good, far = (
        options.node_limit,
        options.memory_limit,
        options.stop_at_objective,
        options.stop_at_bound,
    )
    return {
        "TimeLimit": options.time_limit,
        "NodeLimit": math.inf if nodes is None else nodes,
        "MIPGap": options.gap_relative,
        "MIPGapAbs": options.gap_absolute,
        "FeasibilityTol": options.feasibility,
        "OptimalityTol": options.feasibility,
        "IntFeasTol": options.integrality,
        "BarQCPConvTol": CONVERGED,
        "Threads": options.threads,
        "Seed": options.seed,
        "SoftMemLimit": math.inf if memory is None else memory / GIGABYTE,
        # The default is one that never stops, whatever the sense.
        "BestObjStop": model.getParamInfo("BestObjStop")[-1] if good is None else good,
        "BestBdStop": model.getParamInfo("BestBdStop")[-1] if far is None else far,
    }


def _set(where: gp.Model | gp.Env, name: str, value: Any) -> None:
    try:
        if "*" in name or "?" in name:
            raise TypeError("a pattern is no name")  # Gurobi would look for a parameter that matches
        where.setParam(name, value)
    except (gp.GurobiError, TypeError, OverflowError, AttributeError) as error:
        raise InputError(f"Gurobi does not take the option '{name}' with the value {value!r}: {error}") from error
