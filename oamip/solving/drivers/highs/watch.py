"""The callbacks of HiGHS, told to a `Watch`."""

from __future__ import annotations

import math
from typing import Any

import highspy
import numpy as np

from oamip.solving.watch import Watch

__all__ = ["run_watched"]

Kind = highspy.cb.HighsCallbackType
LISTENED = (
    Kind.kCallbackLogging,
    Kind.kCallbackSimplexInterrupt,
    Kind.kCallbackIpmInterrupt,
    Kind.kCallbackMipInterrupt,
    Kind.kCallbackMipImprovingSolution,
)


def run_watched(highs: Any, watch: Watch[Any]) -> Any:
    """Run HiGHS to the end and give its status.

    HiGHS sets its pool of workers up once per thread that calls it and then refuses any other number of workers: the
    new thread of the watch has none yet.
    """

    def called_back(kind: int, message: str, out: Any, into: Any, _: Any) -> None:
        if kind == int(Kind.kCallbackLogging):
            watch.wrote(message)
            return
        if kind == int(Kind.kCallbackMipImprovingSolution):
            watch.found(np.asarray(out.mip_solution))
            return
        if kind == int(Kind.kCallbackMipInterrupt):
            watch.saw(_number(out.mip_primal_bound), _number(out.mip_dual_bound), max(out.mip_node_count, 0))
        if watch.stopped:
            into.user_interrupt = True

    highs.setCallback(called_back, None)
    for kind in LISTENED:
        highs.startCallback(kind)
    try:
        return watch.run(highs.run)
    finally:
        highs.setCallback(None, None)  # HiGHS would keep us alive, and we keep HiGHS alive


def _number(value: float) -> float:
    return value if abs(value) < highspy.kHighsInf else math.nan
