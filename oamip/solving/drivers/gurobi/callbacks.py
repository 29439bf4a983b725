"""The callbacks of Gurobi, told to a `Watch`."""

from __future__ import annotations

import ctypes
import math
import signal
from functools import cache

import gurobipy as gp
import numpy as np
from gurobipy import GRB

from oamip.solving.watch import Watch

__all__ = ["run_watched"]


def run_watched(model: gp.Model, columns: gp.MVar, watch: Watch[None]) -> None:
    """Run Gurobi to the end; better points are told in the columns of the form."""
    known = columns.tolist()
    sign = float(model.ModelSense)
    best = math.inf

    def called_back(running: gp.Model, where: int) -> None:
        nonlocal best
        if where == GRB.Callback.MESSAGE:
            watch.wrote(running.cbGet(GRB.Callback.MSG_STRING))
        elif where == GRB.Callback.MIP:
            objective, bound, nodes = (running.cbGet(what) for what in _PROGRESS)
            watch.saw(_number(objective), _number(bound), int(nodes))
        elif where == GRB.Callback.MIPSOL:
            value = sign * running.cbGet(GRB.Callback.MIPSOL_OBJ)
            if value < best:
                best = value
                watch.found(np.array(running.cbGetSolution(known)))

    def work() -> None:
        handler = _python_handler()
        try:
            model.optimize(called_back)
        finally:
            ctypes.pythonapi.PyOS_setsig(signal.SIGINT, handler)

    watch.run(work)


@cache
def _python_handler() -> ctypes.c_void_p:
    """What SIGINT calls before any run of Gurobi.

    Gurobi takes SIGINT over while it runs, and of runs that overlap in threads the last one gives back what the first
    had put there: Ctrl-C would be lost for good. (`optimizeAsync` leaves the signal alone, but keeps half of its log.)
    """
    ctypes.pythonapi.PyOS_getsig.restype = ctypes.c_void_p
    ctypes.pythonapi.PyOS_setsig.argtypes = [ctypes.c_int, ctypes.c_void_p]
    return ctypes.c_void_p(ctypes.pythonapi.PyOS_getsig(signal.SIGINT))


_PROGRESS = (GRB.Callback.MIP_OBJBST, GRB.Callback.MIP_OBJBND, GRB.Callback.MIP_NODCNT)


def _number(value: float) -> float:
    return value if abs(value) < GRB.INFINITY else math.nan
