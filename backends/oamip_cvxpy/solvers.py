"""The solvers behind CVXPY that take cones: what each can do, what our options are called there, what it tells."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from oamip.options import Options
from oamip.solution import Reason
from oamip.solving.driver import Support

__all__ = ["SOLVERS", "NativeSolver", "installed"]

QUADRATIC = frozenset({"sum_squares", "perspective"})
CONES = QUADRATIC | {"log_sum_exp"}
SHARE = 0.01  # interior points measure a gap against max(1, |objective|), and a little more costs them nothing
ECOS_NODES = 10**6  # ECOS_BB stops at 1000 by itself, and crashes if it is given a limit near 2³¹
SCIP_INFINITY = 1e20


@dataclass(frozen=True)
class NativeSolver:
    """One of them.

    Args:
        module: the module that must be there.
        support: what it can do; ``atoms`` are cones here.
        timed: whether it has a time limit.
        settings: its own options for ours, given the seconds that are left.
        dual: the bound in what it returned, for CVXPY's minimised objective without its constant; NaN for none.
        ended: why it stopped, where what it returned says more than the status of CVXPY does.
    """

    module: str
    support: Support
    timed: bool
    settings: Callable[[Options, float], dict[str, Any]]
    dual: Callable[[Any], float]
    ended: Callable[[Any], Reason | None]


def installed() -> tuple[str, ...]:
    """Names of those that can be imported."""
    return tuple(name for name, solver in SOLVERS.items() if find_spec(solver.module) is not None)


# ── Clarabel ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _clarabel(options: Options, seconds: float) -> dict[str, Any]:
    return {
        "tol_feas": options.feasibility,
        "tol_gap_rel": SHARE * options.gap_relative,
        "tol_gap_abs": options.gap_absolute,
        "max_threads": options.threads,
        "time_limit": seconds,
    }


def _clarabel_ended(raw: Any) -> Reason | None:
    return "time_limit" if str(raw.status) == "MaxTime" else None


# ── SCS ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _scs(options: Options, seconds: float) -> dict[str, Any]:
    limit = {"time_limit_secs": seconds} if math.isfinite(seconds) else {}
    return {"eps_abs": options.feasibility, "eps_rel": min(options.feasibility, SHARE * options.gap_relative), **limit}


def _scs_ended(raw: Any) -> Reason | None:
    return "time_limit" if "time_limit" in raw["info"]["status"] else None


# ── ECOS and its branch and bound ──────────────────────────────────────────────────────────────────────────────────


def _ecos(options: Options, _: float) -> dict[str, Any]:
    return {
        "feastol": options.feasibility,
        "reltol": SHARE * options.gap_relative,
        "abstol": options.gap_absolute,
        "max_iters": 1000,
    }


def _ecos_bb(options: Options, seconds: float) -> dict[str, Any]:
    return {
        **_ecos(options, seconds),
        "mi_max_iters": max(1, min(ECOS_NODES, ECOS_NODES if options.node_limit is None else options.node_limit)),
        "mi_rel_eps": options.gap_relative,
        "mi_abs_eps": options.gap_absolute,
        "mi_int_tol": options.integrality,
    }


def _ecos_bb_ended(raw: Any) -> Reason | None:
    return "node_limit" if raw["info"]["exitFlag"] in (10, 11, 12) else None


# ── SCIP ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _scip(options: Options, seconds: float) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "limits/time": min(seconds, SCIP_INFINITY),
        "limits/gap": options.gap_relative,
        "limits/absgap": options.gap_absolute,
        "numerics/feastol": min(max(options.feasibility, 1e-9), 1e-3),
        "randomization/randomseedshift": options.seed,
    }
    if options.node_limit is not None:
        parameters["limits/nodes"] = options.node_limit
    if options.memory_limit is not None:
        parameters["limits/memory"] = options.memory_limit / 2**20
    return {"scip_params": parameters}


def _scip_dual(raw: Any) -> float:
    bound = float(raw["model"].getDualbound())
    return bound if abs(bound) < SCIP_INFINITY else math.nan


def _scip_ended(raw: Any) -> Reason | None:
    reasons: Mapping[str, Reason] = {
        "timelimit": "time_limit",
        "nodelimit": "node_limit",
        "totalnodelimit": "node_limit",
        "memlimit": "memory_limit",
        "userinterrupt": "interrupted",
        "gaplimit": "optimal",
    }
    return reasons.get(raw["scip_status"])


SOLVERS: Mapping[str, NativeSolver] = {
    "clarabel": NativeSolver(
        module="clarabel",
        support=Support("clarabel", "pip install clarabel", atoms=CONES, integer=False, gap=True, threads=True),
        timed=True,
        settings=_clarabel,
        dual=lambda raw: float(raw.obj_val_dual),
        ended=_clarabel_ended,
    ),
    "scs": NativeSolver(
        module="scs",
        support=Support("scs", "pip install scs", atoms=CONES, integer=False, gap=True),
        timed=True,
        settings=_scs,
        dual=lambda raw: float(raw["info"]["dobj"]),
        ended=_scs_ended,
    ),
    "ecos": NativeSolver(
        module="ecos",
        support=Support("ecos", "pip install ecos", atoms=CONES, integer=False, gap=True),
        timed=False,
        settings=_ecos,
        dual=lambda raw: float(raw["info"]["dcost"]),
        ended=lambda raw: None,  # noqa: ARG005
    ),
    "ecos_bb": NativeSolver(
        module="ecos",
        support=Support("ecos", "pip install ecos", atoms=CONES, gap=True, node_limit=True),
        timed=False,
        settings=_ecos_bb,
        dual=lambda raw: math.nan,  # noqa: ARG005  # its dcost is that of the last relaxation, not of the tree
        ended=_ecos_bb_ended,
    ),
    "scip": NativeSolver(
        module="pyscipopt",
        support=Support(
            "pyscipopt",
            "pip install pyscipopt",
            atoms=QUADRATIC,
            gap=True,
            node_limit=True,
            memory_limit=True,
            seed=True,
        ),
        timed=True,
        settings=_scip,
        dual=_scip_dual,
        ended=_scip_ended,
    ),
}
