"""One call of CBC: the model in a folder, the process under watch, and what it leaves behind."""

from __future__ import annotations

import math
import threading
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from oamip.errors import InputError, SolveError
from oamip.options import Options
from oamip.program import Span, StandardForm
from oamip.program.intervals import interval_product
from oamip.program.mps import write_mps
from oamip.solution import Reason
from oamip.solving.drivers.cbc.answer import Point, read_point, read_status
from oamip.solving.drivers.cbc.command import MODEL, POINT, STATUS, command, write_start
from oamip.solving.drivers.cbc.executable import find_executable
from oamip.solving.drivers.cbc.log import complaint, standing
from oamip.solving.drivers.cbc.process import Process
from oamip.solving.watch import Watch

__all__ = ["Called", "call"]

HUGE = 1e8  # a side so much larger than the other leaves fewer digits of it than our check asks for
BACKSTOP = 1.0  # seconds beyond the time limit at which CBC is asked to stop; it looks at its clock now and then only


@dataclass(frozen=True)
class Called:
    """What one call leaves behind.

    Args:
        status: CBC's own words; empty when it wrote no answer.
        point: its point, which is the relaxation's when there is no better one.
        log: all that it wrote.
        exit: its exit status, minus the number of the signal that ended it.
        stopped: why we stopped it, if we did.
        forced: it had to be ended by force.
    """

    status: str
    point: Point | None
    log: str
    exit: int
    stopped: Reason | None
    forced: bool


def call(form: StandardForm, options: Options) -> Called:
    """Write the model, run CBC on it, and collect what it wrote.

    Raises:
        InputError: a raw option that CBC does not take, or a number that a file cannot say.
        SolveError: CBC cannot be started.
    """
    sign = 1.0 if form.sense == "min" else -1.0
    executable, start = find_executable(), options.start if form.integer.any() else None
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="oamip-cbc-")))
        plain = _plain(form, sign)
        write_mps(plain, folder / MODEL)
        if start is not None:
            write_start(folder, [f"c({j})" for j in range(form.shape[1])], start)
        process = Process(command(executable, options, start=start is not None), folder)
        log_to = stack.enter_context(options.log_file.open("a", encoding="utf-8")) if options.log_file else None
        watch: Watch[int] = Watch(options, minimise=form.sense == "min", log_to=log_to, halt=process.halt)
        listener = _Listener(watch, sign)
        exit_status = _watched(process, watch, listener, options.time_limit)
        listener.refuse_wrong_options(options)
        written = int((np.isfinite(form.row_lower) | np.isfinite(form.row_upper)).sum())
        return Called(
            status=read_status(folder / STATUS),
            point=read_point(folder / POINT, written, form.shape[1]),
            log="".join(watch.log),
            exit=exit_status,
            stopped=watch.stopped,
            forced=process.forced,
        )


def _watched(process: Process, watch: Watch[int], listener: _Listener, time_limit: float) -> int:
    """Run to the end, or to a little after the time limit."""
    if math.isinf(time_limit):
        return watch.run(lambda: process.run(listener.heard))
    backstop = threading.Timer(min(time_limit + BACKSTOP, threading.TIMEOUT_MAX), watch.stop, ("time_limit",))
    backstop.daemon = True
    backstop.start()
    try:
        return watch.run(lambda: process.run(listener.heard))
    finally:
        backstop.cancel()


def _plain(form: StandardForm, sign: float) -> StandardForm:
    """As a minimisation, since CBC skips the section that would say otherwise, with names that need no cleaning."""
    rows, columns = form.shape
    lower, upper = _sides(form)
    return replace(
        form,
        row_lower=lower,
        row_upper=upper,
        sense="min",
        cost=sign * form.cost,
        constant=sign * form.constant,
        columns=(Span("c", 0, (columns,)),),
        rows=(Span("r", 0, (rows,)),),
    )


def _sides(form: StandardForm) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The sides of the rows. CBC makes ``upper − (upper − lower)`` of a range, where a huge side takes the other along:
    such a side goes if the bounds of the columns keep the row from it anyway.
    """
    lower, upper = form.row_lower.copy(), form.row_upper.copy()
    small, large = np.minimum(np.abs(lower), np.abs(upper)), np.maximum(np.abs(lower), np.abs(upper))
    lost = np.flatnonzero(np.isfinite(large) & (large > HUGE * np.maximum(small, 1.0)))
    if lost.size:
        least, most = interval_product(form.A[lost], form.column_lower, form.column_upper)
        lower[lost] = np.where((np.abs(lower[lost]) == large[lost]) & (least >= lower[lost]), -np.inf, lower[lost])
        upper[lost] = np.where((np.abs(upper[lost]) == large[lost]) & (most <= upper[lost]), np.inf, upper[lost])
    return lower, upper


class _Listener:
    """Hears the lines of the log and tells the watch, in the sense of the form."""

    def __init__(self, watch: Watch[int], sign: float) -> None:
        self._watch, self._sign = watch, sign
        self._standing = (math.nan, math.nan, 0)
        self._complaint: str | None = None

    def heard(self, line: str) -> None:
        self._watch.wrote(line)
        self._complaint = self._complaint or complaint(line)
        if self._complaint:
            self._watch.stop("error")
        after = standing(line, self._standing)
        if after != self._standing:
            self._standing = after
            self._watch.saw(self._sign * after[0], self._sign * after[1], after[2])

    def refuse_wrong_options(self, options: Options) -> None:
        """CBC passes over what it does not understand; we do not."""
        if self._complaint is None:
            return
        given = ", ".join(f"'{name}' = {value!r}" for name, value in options.raw.items())
        if not given:
            raise SolveError(f"this CBC does not take one of oamip's options: {self._complaint}")
        raise InputError(f"raw option {given}: CBC says '{self._complaint}'")
