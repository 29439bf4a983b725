"""One run of CPLEX: its messages and progress told to a `Watch`, and a way to stop it."""

from __future__ import annotations

import math
import time
from typing import Any

import cplex
import numpy as np

# The solve of the public class puts a handler of SIGINT around itself, and two overlapping solves leave it there for
# good: Ctrl-C is then lost to Python. Below it is the same call without a handler; the watch has one of its own.
from cplex._internal import _procedural, _pycplex

from oamip.solving.watch import Watch

__all__ = ["Messages", "run_watched"]

BETWEEN = 0.02  # seconds at least between two looks at the incumbent
HUGE = 1e20  # beyond it CPLEX means: none


class Messages:
    """The stream of CPLEX's channels: what it says reaches the watch of the run, and never the terminal."""

    def __init__(self, model: Any) -> None:
        self.watch: Watch[Any] | None = None
        for channel in (model.set_log_stream, model.set_results_stream, model.set_warning_stream):
            channel(self)
        model.set_error_stream(None)  # errors are raised as well

    def write(self, text: str) -> None:
        """Called by CPLEX."""
        if self.watch is not None:
            self.watch.wrote(text)

    def flush(self) -> None:
        """Called by CPLEX."""


class _Progress:
    """Tells the watch where the tree search stands.

    It asks in the context of the single worker: that of all workers together is called at times only once a second.
    """

    def __init__(self, watch: Watch[Any], columns: int) -> None:
        self._watch, self._columns = watch, columns
        self._next = 0.0
        self._best = math.nan

    def invoke(self, context: Any) -> None:
        """Called by CPLEX, some thousand times a second, in the thread of a worker."""
        now = time.perf_counter()
        if now >= self._next:
            self._next = now + BETWEEN
            self._look(context)
        if self._watch.stopped:
            context.abort()

    def _look(self, context: Any) -> None:
        info, objective = context.info, math.nan
        if context.get_int_info(info.feasible):
            objective = context.get_incumbent_objective()
            if objective != self._best:
                self._best = objective
                self._watch.found(np.array(context.get_incumbent(0, self._columns - 1)))
        bound = context.get_double_info(info.best_bound)
        self._watch.saw(objective, bound if abs(bound) < HUGE else math.nan, context.get_long_info(info.node_count))


def run_watched(model: Any, watch: Watch[Any], messages: Messages, *, columns: int, listen: bool) -> None:
    """Run CPLEX to the end; the watch must halt it by the model's aborter.

    Args:
        model: the ``Cplex`` object.
        watch: of this run.
        messages: the stream of the model.
        columns: of the form, without our own.
        listen: somebody wants progress. A callback costs some speed, so there is none otherwise.

    Raises:
        CplexSolverError: CPLEX gave up.
    """
    contexts = cplex.callbacks.Context.id.local_progress if listen else 0
    model.set_callback(_Progress(watch, columns) if listen else None, contexts)
    messages.watch = watch
    try:
        watch.run(lambda: _optimise(model))
    finally:
        messages.watch = None
        model.set_callback(None)


def _optimise(model: Any) -> None:
    environment, problem = model._env._e, model._lp
    if model._is_MIP():
        status = _pycplex.CPXXmipopt(environment, problem)
    elif model.quadratic_constraints.get_num():
        status = _pycplex.CPXXbaropt(environment, problem)
    else:
        status = _pycplex.CPXXlpopt(environment, problem)
    _procedural.check_status(environment, status)
