"""A program that is run in a group of its own, read line by line as it writes, and can be asked to stop."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TextIO

from oamip.errors import SolveError
from oamip.solving.drivers.cbc.orphans import ended_with_us

__all__ = ["Process"]

PATIENCE = 3.0  # seconds between the first request to stop and the end by force
END = "\x1c the program has ended\n"  # no solver writes a file separator


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
            SolveError: it cannot be started, or what it writes cannot be read to the end.
        """
        reading, writing = _channel()
        with os.fdopen(reading, encoding="utf-8", errors="replace") as stream, ExitStack() as stack:
            stack.callback(os.close, writing)
            try:
                self._child = self._started(writing)
                stack.callback(self._end)
                stack.enter_context(ended_with_us(self._child.pid))
            except OSError as failed:
                raise SolveError(f"{self._arguments[0]} cannot be started: {failed.strerror or failed}") from None
            end = threading.Thread(target=_tell_the_end, args=(self._child, writing), daemon=True)
            end.start()
            try:
                for line in _lines(stream):
                    heard(line)
            except BaseException:
                self._signal(signal.SIGKILL)
                stream.close()  # so that nothing waits for us to read on
                raise
            finally:
                end.join()
            return self._child.wait()

    def _started(self, writing: int) -> subprocess.Popen[bytes]:
        # A session of its own, so that Ctrl-C in the terminal reaches us alone and we can ask it to stop in order.
        return subprocess.Popen(  # noqa: S603 a list of arguments, the first of which is the solver
            self._arguments,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
            start_new_session=True,
        )

    def _end(self) -> None:
        """Leave nothing running, and no zombie, whatever failed."""
        assert self._child is not None
        self._signal(signal.SIGKILL)
        self._child.wait()

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


def _tell_the_end(child: subprocess.Popen[bytes], writing: int) -> None:
    """Once the program has ended, write so behind all that it wrote.

    We hold the writing end open till then: a pseudo-terminal that nobody holds any more tells its reader of an error,
    and has been seen to do so before the reader had all of it.
    """
    child.wait()
    with suppress(OSError):  # nobody reads any more
        os.write(writing, END.encode())


def _lines(stream: TextIO) -> Iterator[str]:
    """The lines that the program wrote, up to its end."""
    while True:
        try:
            line = stream.readline()
        except OSError as failed:
            raise SolveError(f"what the solver writes cannot be read: {failed.strerror or failed}") from failed
        text = line.removesuffix(END)
        if text:
            yield text
        if text != line:
            return
        if not line:
            raise SolveError("what the solver writes broke off before it ended")
