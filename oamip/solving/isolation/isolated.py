"""A driver whose sessions live in other processes."""

from __future__ import annotations

import threading
from dataclasses import replace
from types import TracebackType
from typing import Self

from oamip.options import Options
from oamip.program import StandardForm
from oamip.solving.driver import Driver
from oamip.solving.isolation.process import Process
from oamip.solving.isolation.reference import reference
from oamip.solving.isolation.remote import RemoteSession
from oamip.solving.registry import driver_version

__all__ = ["Isolated"]


class Isolated:
    """A driver like another one, whose solver runs in a process of its own; itself a `Driver`, and safe in threads.

    Within a ``with`` block one idle process is kept for the next session, since a new one takes a quarter of a second;
    the first is started at once. Without the block every session has a process of its own.

    Args:
        driver: of which the other processes make one like it: its class must be importable, and its state plain.
        grace: seconds after its time limit (and a tenth of that at least) when a solve is killed.
        patience: seconds after Ctrl-C, or an interrupt by progress, when it is.

    Raises:
        InputError: another process cannot make such a driver.
    """

    def __init__(self, driver: Driver, *, grace: float = 2.0, patience: float = 5.0) -> None:
        self.name = driver.name
        self.support = replace(driver.support, memory_limit=True)
        self.reference = reference(driver)
        self.grace, self.patience = grace, patience
        self._driver = driver
        self._lock = threading.Lock()
        self._within = 0  # blocks that have been entered
        self._idle: Process | None = None

    def version(self) -> str | None:
        """That of the solver."""
        return driver_version(self._driver)

    def open(self, form: StandardForm, options: Options) -> RemoteSession:
        """A session in a process of its own.

        A process that dies while it opens the session is no error yet: the first solve tries again and tells.

        Raises:
            InputError, SolveError: as the driver itself.
        """
        return RemoteSession(form, options, self)

    def __reduce__(self) -> tuple[object, ...]:
        return _isolated, (self._driver, self.grace, self.patience)  # processes stay where they are

    # ── processes ──────────────────────────────────────────────────────────────────────────────────────────────────

    def __enter__(self) -> Self:
        with self._lock:
            if self._idle is None:
                self._idle = Process(self.name)
            self._within += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._within -= 1
            idle = None
            if not self._within:
                idle, self._idle = self._idle, None
        if idle is not None:
            idle.close()

    def take(self) -> Process:
        """A process without a session: the idle one, or a new one."""
        with self._lock:
            idle, self._idle = self._idle, None
        if idle is not None and idle.ours and not idle.death:
            return idle
        if idle is not None:
            idle.close()
        return Process(self.name)

    def give_back(self, process: Process) -> None:
        """The session of this process is closed: keep it as the idle one, or end it."""
        with self._lock:
            if self._within and self._idle is None:
                self._idle = process
                return
        process.close()


def _isolated(driver: Driver, grace: float, patience: float) -> Isolated:
    return Isolated(driver, grace=grace, patience=patience)
