"""Run a solver and keep an eye on it: its log, its better points, the stops that were asked for, Ctrl-C.

The solver runs in a thread of its own. So Ctrl-C reaches the waiting thread, and no exception ever passes through the
solver's own code; and a progress callback is called by the thread that called us, where a user expects it. The
callbacks of a driver tell a `Watch` what they hear (`Watch.wrote`, `Watch.found`, `Watch.saw`) and ask it whether to
stop (`Watch.stopped`); a solver that can be stopped from outside gives `halt` instead.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Generic, TextIO, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from oamip.options import Options, Progress
from oamip.solution import Reason

__all__ = ["Watch"]

Vector: TypeAlias = NDArray[np.float64]
T = TypeVar("T")

INTERVAL = 0.05  # seconds between two looks at the running solve
KEPT = 20  # better points kept per run; the last ones are the best


class Watch(Generic[T]):
    """One watched run, or several one after the other.

    Args:
        options: whose ``progress``, ``stop_at_objective`` and ``stop_at_bound`` are watched over.
        minimise: the sense of the objective values and bounds that the driver tells.
        log_to: a file to which the log goes as well, or ``None``.
        halt: called, perhaps more than once and from another thread, when the run must stop; may be left out by a
            driver that asks `stopped` in its callbacks.

    Attributes:
        log: what the solver wrote.
        points: the better points that it found, oldest first.
        stopped: why *we* stopped the run, or ``None`` when the solver ended by itself.
    """

    def __init__(
        self,
        options: Options,
        *,
        minimise: bool,
        log_to: TextIO | None = None,
        halt: Callable[[], None] | None = None,
    ) -> None:
        self.log: list[str] = []
        self.points: list[Vector] = []
        self.stopped: Reason | None = None
        self._options, self._log_to, self._halt = options, log_to, halt
        self._sign = 1.0 if minimise else -1.0
        self._latest = (math.nan, math.nan, 0)  # objective, bound, nodes
        self._result: T | None = None
        self._error: BaseException | None = None
        self._done = threading.Event()  # Thread.join may believe a thread dead when Ctrl-C interrupts it

    def run(self, work: Callable[[], T]) -> T:
        """Do ``work`` to the end and give what it gives; its exceptions, and those of progress, come out here."""
        began = time.perf_counter()
        self._done.clear()  # of a run before
        threading.Thread(target=self._work, args=(work,), name="solver", daemon=True).start()
        try:
            self._wait(began)
        finally:
            while not self._done.wait(INTERVAL):  # only when the user's callback failed
                if self._halt is not None:
                    self._halt()
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]  # the work is done and gave it

    def _work(self, work: Callable[[], T]) -> None:
        try:
            self._result = work()
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
                self.stop("interrupted")
            except BaseException:
                self.stop("interrupted")  # the user's callback failed: stop, then let the error out
                raise
            if self.stopped and self._halt is not None and not self._done.is_set():
                self._halt()  # again and again: a solver may not have been listening yet

    def _report(self, seconds: float) -> None:
        if self._options.progress is None or self.stopped:
            return
        objective, bound, nodes = self._latest
        best = self.points[-1] if self.points else None
        if self._options.progress(Progress(seconds, objective, bound, nodes, x=best)):
            self.stop("interrupted")

    def stop(self, reason: Reason) -> None:
        """Ask for the end of the run, for this reason; the first one counts."""
        if self.stopped is None:
            self.stopped = reason

    # ── told by the driver's callbacks, in the solver's thread ─────────────────────────────────────────────────────

    def wrote(self, text: str) -> None:
        """The solver wrote this to its log."""
        self.log.append(text)
        if self._log_to is not None:
            self._log_to.write(text)
            self._log_to.flush()  # whoever follows the log, or reads it after a crash, has it all

    def found(self, x: Vector) -> None:
        """The solver found a better point (copied here)."""
        self.points = [*self.points[1 - KEPT :], np.array(x, dtype=np.float64)]

    def saw(self, objective: float, bound: float, nodes: int) -> None:
        """Where the solver stands, NaN for no value; both in the form's sense, constant included."""
        self._latest = (objective, bound, nodes)
        good, far = self._options.stop_at_objective, self._options.stop_at_bound
        reached = good is not None and self._sign * objective <= self._sign * good  # False for NaN
        passed = far is not None and self._sign * bound >= self._sign * far
        if reached or passed:
            self.stop("objective_limit")
