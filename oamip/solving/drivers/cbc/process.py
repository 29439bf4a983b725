"""A program that is run in a group of its own, read line by line as it writes, and can be asked to stop."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from oamip.errors import SolveError
from oamip.solving.drivers.cbc.orphans import ended_with_us

__all__ = ["Process"]

PATIENCE = 3.0  # seconds between the first request to stop and the end by force


class Process:
    """One run of a program.

    Args:
        arguments: the executable and what it is given; no shell ever sees them.
        folder: its working folder.
        patience: seconds that it has to stop by itself once `halt` was called.
    """

    def __init__(self, arguments: list[str], folder: Path, *, patience: float = PATIENCE) -> None:
        self._arguments, self._folder, self._patience = arguments, folder, patience
        self._child: subprocess.Popen[bytes] | None = None
        self._asked: float | None = None
        self.forced = False

    def run(self, heard: Callable[[str], None]) -> int:
        """Run it to the end and tell every line; gives the exit status, minus the number of a signal that ended it.

        Raises:
            SolveError: it cannot be started.
        """
        reading, writing = _channel()
        try:
            # A session of its own, so that Ctrl-C in the terminal reaches us alone and we can ask it to stop in order.
            self._child = subprocess.Popen(  # noqa: S603 a list of arguments, the first of which is the solver
                self._arguments,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                start_new_session=True,
            )
        except OSError as failed:
            os.close(reading)
            raise SolveError(f"{self._arguments[0]} cannot be started: {failed.strerror or failed}") from None
        finally:
            os.close(writing)
        try:
            with ended_with_us(self._child.pid):
                for line in _lines(reading):
                    heard(line)
                return self._child.wait()
        except BaseException:
            self._signal(signal.SIGKILL)
            self._child.wait()
            raise

    def halt(self) -> None:
        """Ask it to stop; asked again after it has used up its patience, end it by force."""
        now = time.monotonic()
        self._asked = now if self._asked is None else self._asked
        self.forced = now - self._asked > self._patience
        self._signal(signal.SIGKILL if self.forced else signal.SIGINT)

    def _signal(self, number: int) -> None:
        if self._child is not None and self._child.poll() is None:
            with suppress(ProcessLookupError):  # it ended just now
                os.killpg(self._child.pid, number)


def _channel() -> tuple[int, int]:
    """Two ends to read and write. Into a pipe, programs write in blocks of pages: lines would come minutes late."""
    try:
        return os.openpty()
    except OSError:  # a container may have no pseudo-terminals
        return os.pipe()


def _lines(reading: int) -> Iterator[str]:
    with open(reading, encoding="utf-8", errors="replace") as stream:
        while True:
            try:
                line = stream.readline()
            except OSError:  # so Linux says that nobody holds the other end of a pseudo-terminal any more
                return
            if not line:
                return
            yield line
