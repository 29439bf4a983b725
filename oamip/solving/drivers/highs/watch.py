"""Run HiGHS and keep an eye on it: its log, its better points, the stops that were asked for, Ctrl-C.

HiGHS runs in a thread of its own, which answers three traps at once. Ctrl-C reaches the waiting thread, so no exception
ever passes through the solver's own code. HiGHS sets its pool of workers up once per thread that calls it and then
refuses any other number of workers: a new thread has none yet. And a progress callback is called by the thread that
called us, where a user expects it.
"""

from __future__ import annotations

import math
import threading
import time
from typing import Any, TextIO, TypeAlias

import highspy
import numpy as np
from numpy.typing import NDArray

from oamip.options import Options, Progress
from oamip.solution import Reason

__all__ = ["Watch"]

Vector: TypeAlias = NDArray[np.float64]
Kind = highspy.cb.HighsCallbackType

INTERVAL = 0.05  # seconds between two looks at the running solve
KEPT = 20  # better points kept per run; the last ones are the best


class Watch:
    """One watched run.

    Attributes:
        log: what HiGHS wrote.
        points: the better points that branch and bound found, oldest first.
        stopped: why *we* stopped the run, or ``None`` when HiGHS ended by itself.
    """

    def __init__(self, highs: Any, options: Options, *, minimise: bool, log_to: TextIO | None) -> None:
        self.log: list[str] = []
        self.points: list[Vector] = []
        self.stopped: Reason | None = None
        self._highs, self._options, self._log_to = highs, options, log_to
        self._sign = 1.0 if minimise else -1.0
        self._latest = (math.nan, math.nan, 0)  # objective, bound, nodes
        self._error: BaseException | None = None
        self._status: Any = None
        self._done = threading.Event()  # Thread.join may believe a thread dead when Ctrl-C interrupts it

    def run(self) -> Any:
        """Run to the end and return the status; an exception of the progress callback comes out here."""
        self._highs.setCallback(self._called_back, None)
        for kind in (Kind.kCallbackLogging, Kind.kCallbackSimplexInterrupt, Kind.kCallbackIpmInterrupt):
            self._highs.startCallback(kind)
        for kind in (Kind.kCallbackMipInterrupt, Kind.kCallbackMipImprovingSolution):
            self._highs.startCallback(kind)
        began = time.perf_counter()
        threading.Thread(target=self._work, name="highs", daemon=True).start()
        try:
            self._wait(began)
        finally:
            self._done.wait()
            self._highs.setCallback(None, None)  # HiGHS would keep us alive, and we keep HiGHS alive
        if self._error is not None:
            raise self._error
        return self._status

    def _work(self) -> None:
        try:
            self._status = self._highs.run()
        except BaseException as error:
            self._error = error
        finally:
            self._done.set()

    def _wait(self, began: float) -> None:
        while not self._done.is_set():
            try:
                if not self._done.wait(INTERVAL):
                    self._report(time.perf_counter() - began)
            except KeyboardInterrupt:
                self.stopped = "interrupted"
            except BaseException:
                self.stopped = "interrupted"  # the user's callback failed: stop, then let the error out
                raise

    def _report(self, seconds: float) -> None:
        if self._options.progress is None or self.stopped:
            return
        objective, bound, nodes = self._latest
        if self._options.progress(Progress(seconds, objective, bound, nodes)):
            self.stopped = "interrupted"

    # ── called by HiGHS ────────────────────────────────────────────────────────────────────────────────────────────

    def _called_back(self, kind: int, message: str, out: Any, into: Any, _: Any) -> None:
        if kind == int(Kind.kCallbackLogging):
            self.log.append(message)
            if self._log_to is not None:
                self._log_to.write(message)
            return
        if kind == int(Kind.kCallbackMipImprovingSolution):
            self.points = [*self.points[1 - KEPT :], np.array(out.mip_solution)]
        if kind == int(Kind.kCallbackMipInterrupt):
            self._latest = (_number(out.mip_primal_bound), _number(out.mip_dual_bound), max(out.mip_node_count, 0))
            self._stop_at_targets()
        if self.stopped and kind != int(Kind.kCallbackMipImprovingSolution):
            into.user_interrupt = True

    def _stop_at_targets(self) -> None:
        objective, bound, _ = self._latest
        good, far = self._options.stop_at_objective, self._options.stop_at_bound
        reached = good is not None and self._sign * objective <= self._sign * good  # False for NaN
        passed = far is not None and self._sign * bound >= self._sign * far
        if (reached or passed) and self.stopped is None:
            self.stopped = "objective_limit"


def _number(value: float) -> float:
    return value if abs(value) < highspy.kHighsInf else math.nan
