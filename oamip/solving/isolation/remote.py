"""A session whose solver lives in another process, and what remains of a solve when that process does not."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from oamip.errors import OamipError
from oamip.options import Options, Progress
from oamip.program import StandardForm
from oamip.solving.isolation.counterpart import Change, Counterpart
from oamip.solving.isolation.process import Limits, LostProcess, Process
from oamip.solving.isolation.wire import Message
from oamip.solving.outcome import Outcome, no_bound
from oamip.solving.session import Session
from oamip.solving.watch import Watch

__all__ = ["Pool", "RemoteSession"]

Vector: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.intp]

LOSSES = 2  # processes in a row, after which the session gives up


class Pool(Protocol):
    """Where a session gets its process from, and returns it to.

    Attributes:
        name: of the solver.
        reference: to its driver.
        grace: seconds by which an answer may be late.
        patience: seconds that an interrupted solve has to answer.
    """

    name: str
    reference: Message
    grace: float
    patience: float

    def take(self) -> Process:
        """A process without a session."""
        ...

    def give_back(self, process: Process) -> None:
        """The session of this process is closed."""
        ...


class RemoteSession(Session):
    """The session proper is in another process; changes of the model travel with the next solve.

    This side always knows the form as it stands. So a process that is lost costs one solve, whose outcome says what
    happened and keeps the last point and the best bound that were told; the next solve starts another process. After
    the second loss in a row the session gives up, and every further solve is an error.

    Attributes:
        restarts: processes that took the place of lost ones.
    """

    def __init__(self, form: StandardForm, options: Options, pool: Pool) -> None:
        super().__init__(form, options)
        self.restarts = 0
        self._pool = pool
        self._counterpart: Counterpart | None = None
        self._changes: list[Change] = []
        self._losses: list[str] = []  # since the last answer
        try:
            self._open(self._limits(options))
        except LostProcess as lost:  # the first solve tries again
            self._losses.append(str(lost))
            self._abandon()

    @property
    def pid(self) -> int | None:
        """The number of its process, while it has one."""
        return None if self._counterpart is None else self._counterpart.process.pid

    # ── changing ───────────────────────────────────────────────────────────────────────────────────────────────────

    def add_rows(self, R: sp.csr_array, lower: Vector, upper: Vector) -> None:  # noqa: D102
        super().add_rows(R, lower, upper)
        self._changes.append(("add_rows", (R, lower, upper)))

    def drop_rows(self, which: Indices) -> None:  # noqa: D102
        super().drop_rows(which)
        self._changes.append(("drop_rows", (which,)))

    def set_bounds(self, columns: Indices, lower: Vector, upper: Vector) -> None:  # noqa: D102
        super().set_bounds(columns, lower, upper)
        self._changes.append(("set_bounds", (columns, lower, upper)))

    def set_integer(self, integer: NDArray[np.bool_]) -> None:  # noqa: D102
        super().set_integer(integer)
        self._changes.append(("set_integer", (integer,)))

    def set_objective(self, cost: Vector, constant: float = 0.0) -> None:  # noqa: D102
        super().set_objective(cost, constant)
        self._changes.append(("set_objective", (cost, constant)))

    def set_start(self, x: Vector | None) -> None:  # noqa: D102
        super().set_start(x)
        self._changes.append(("set_start", (x,)))

    def restart(self) -> None:  # noqa: D102
        self._changes.append(("restart", ()))

    # ── opening and closing ────────────────────────────────────────────────────────────────────────────────────────

    def _open(self, limits: Limits) -> None:
        """Open the session proper on the form as it stands; added rows stay added ones, so that they can be dropped."""
        rows = self._added.joined()
        self._changes = [("add_rows", rows)] if rows[1].size else []
        options = self.options.with_(start=self._start)
        self._counterpart = Counterpart(self._pool.take(), self._form, options)
        try:
            self._counterpart.open(self._pool.reference, limits)
        except OamipError:
            self.close()
            raise
        except KeyboardInterrupt:  # in the middle of a message, perhaps
            self._abandon()
            raise

    def close(self) -> None:  # noqa: D102
        counterpart = self._counterpart
        try:
            if counterpart is not None and counterpart.close():
                self._counterpart = None
                self._pool.give_back(counterpart.process)
        finally:
            self._abandon()

    def _abandon(self) -> None:
        counterpart, self._counterpart = self._counterpart, None
        if counterpart is not None:
            counterpart.process.close()

    # ── solving ────────────────────────────────────────────────────────────────────────────────────────────────────

    def solve(self, **changes: Any) -> Outcome:  # noqa: D102
        if len(self._losses) >= LOSSES:
            text = f"{self._pool.name} lost {LOSSES} processes in a row, so no other was started"
            return Outcome("error", None, no_bound(self._form), warnings=(*self._losses, text))
        options = self.options.with_(**{"start": self._start, **changes})
        # The other side stops at objectives and bounds; this one tells progress and hears Ctrl-C.
        quiet = options.with_(stop_at_objective=None, stop_at_bound=None)
        watch: Watch[Outcome] = Watch(quiet, minimise=self._form.sense == "min")
        return watch.run(lambda: self._attempt(options, changes, watch))

    def _attempt(self, options: Options, changes: Mapping[str, Any], watch: Watch[Outcome]) -> Outcome:
        heard, limits = _Heard(self._form, watch), self._limits(options, watch)
        self._miss()
        try:
            if self._counterpart is None:
                self.restarts += bool(self._losses)
                self._open(limits)
            assert self._counterpart is not None
            made, self._changes = self._changes, []
            outcome = self._counterpart.solve(made, changes, limits, heard, every=options.progress is not None)
        except OamipError:
            self.close()  # the next solve opens anew, with all changes made
            raise
        except LostProcess as lost:
            return self._remains(lost, heard, options)
        log = outcome.log + self._counterpart.printed()
        warnings = (*self._losses, *outcome.warnings)
        self._losses = []
        return replace(outcome, log=log, warnings=warnings)

    def _miss(self) -> None:
        """Let go of a process that died between two solves, or that is another's since this one was forked."""
        if self._counterpart is None:
            return
        process = self._counterpart.process
        if process.ours and process.death:
            self._losses.append(process.death)
        if process.death or not process.ours:
            self._abandon()

    def _limits(self, options: Options, watch: Watch[Outcome] | None = None) -> Limits:
        return Limits(
            time_limit=options.time_limit,
            grace=max(self._pool.grace, 0.1 * options.time_limit),
            memory=options.memory_limit,
            stopped=lambda: watch is not None and watch.stopped is not None,
            patience=self._pool.patience,
        )

    def _remains(self, lost: LostProcess, heard: _Heard, options: Options) -> Outcome:
        """What is known of a solve whose process was lost."""
        assert self._counterpart is not None
        printed, text, reason = self._counterpart.printed(), str(lost), lost.reason
        if reason == "error" and options.memory_limit is not None and _out_of_memory(printed):
            reason, text = "memory_limit", f"{text} as its memory limit of {options.memory_limit} bytes left it none"
        log = self._counterpart.logged() + printed
        self._losses.append(text)
        self._abandon()
        return Outcome(
            reason,
            x=heard.x,
            bound=heard.bound,
            nodes=heard.nodes,
            seconds=time.perf_counter() - heard.began,
            warnings=tuple(self._losses),
            log=log,
        )


class _Heard:
    """What a solve has told of itself so far."""

    def __init__(self, form: StandardForm, watch: Watch[Outcome]) -> None:
        self.began = time.perf_counter()
        self.x: Vector | None = None
        self.bound, self.nodes = no_bound(form), 0
        self._better = max if form.sense == "min" else min
        self._watch = watch

    def __call__(self, told: Progress) -> None:
        if told.x is not None:
            self.x = told.x
            self._watch.found(told.x)
        if not math.isnan(told.bound):
            self.bound = self._better(self.bound, told.bound)
        self.nodes = told.nodes
        self._watch.saw(told.objective, told.bound, told.nodes)


def _out_of_memory(printed: str) -> bool:
    return "bad_alloc" in printed or "MemoryError" in printed
