"""One process for one session at a time, as its parent sees it: started, spoken to, watched and, if need be, killed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeAlias

from oamip.solving.isolation.family import MARK, family, kill, resident
from oamip.solving.isolation.wire import Inbox, Message, WireError, pack

__all__ = ["Limits", "LostProcess", "Process"]

LossReason: TypeAlias = Literal["error", "interrupted", "memory_limit", "time_limit"]

TICK = 0.1  # seconds between two looks at clock and memory
CENSUS = 10  # looks at the memory after which the members of the family are counted anew
STARTING = 60.0  # seconds for a Python process to come up
LEAVING = 2.0  # seconds for a process that hung up to end
READ = 1 << 18  # bytes taken from the socket at a time


class LostProcess(Exception):
    """The process is gone, and this is why."""

    def __init__(self, reason: LossReason, text: str) -> None:
        self.reason: LossReason = reason
        super().__init__(text)


@dataclass(frozen=True)
class Limits:
    """What a process may take for one answer.

    Args:
        time_limit: seconds that it was asked to keep.
        grace: seconds beyond those after which it is killed.
        memory: bytes of resident memory beyond those that were taken when it settled, or ``None``.
        stopped: asked again and again; ``True`` sends an interrupt.
        patience: seconds between that interrupt and the kill.
    """

    time_limit: float
    grace: float
    memory: int | None = None
    stopped: Callable[[], bool] = lambda: False
    patience: float = 5.0


class Process:
    """A child process that runs `oamip.solving.worker`.

    It finds what its parent can import, reads nothing from the terminal, writes what a solver prints into a file, and
    is the leader of a session of its own, so that Ctrl-C does not reach it and a kill reaches all that it started.

    Args:
        name: of the solver, for messages.

    Attributes:
        folder: of its files; ``output`` is the one that takes what it prints.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._owner = os.getpid()
        self._ended = False
        self._baseline: int | None = None
        self.folder = Path(tempfile.mkdtemp(prefix="oamip-"))
        self.output = self.folder / "output"
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(TICK)
        self._inbox, self._awake = Inbox(), False
        self._members: frozenset[int] = frozenset()
        self._looks, self._next_look = 0, 0.0
        command = [sys.executable, "-P", "-u", "-m", "oamip.solving.worker", str(theirs.fileno()), str(self._owner)]
        environment = {
            **os.environ,
            MARK: str(self.folder),
            "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)),  # '' there is the current folder
            "TMPDIR": str(self.folder),  # what a driver cannot clean up goes with it
        }
        try:
            with theirs, self.output.open("wb") as output:
                self._child = subprocess.Popen(  # noqa: S603
                    [*command, str(self.folder)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                    env=environment,
                )
        except BaseException:
            self._socket.close()
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    @property
    def pid(self) -> int:
        """Its number."""
        return self._child.pid

    @property
    def ours(self) -> bool:
        """False in a fork of the process that started it, which must leave it alone."""
        return self._owner == os.getpid()

    @property
    def death(self) -> str:
        """How it ended, in words; empty while it lives."""
        status = self._child.poll()
        if status is None:
            return ""
        how = f"was killed by signal {-status}" if status < 0 else f"ended with exit status {status}"
        return f"the process of {self.name} {how}"

    # ── asking ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def ask(
        self, message: Mapping[str, Any], limits: Limits, heard: Callable[[Message], None] = lambda _: None
    ) -> Message:
        """Send a message and wait for the answer; ``heard`` is given the progress that is told before it.

        Raises:
            InputError: something in the message cannot travel.
            LostProcess: there will be no answer; the process has ended.
        """
        to_send = memoryview(pack(message))
        began = time.perf_counter()
        interrupted: float | None = None
        while True:
            now = time.perf_counter()
            if interrupted is None and limits.stopped():
                interrupted, to_send = now, memoryview(bytes(to_send) + pack({"do": "interrupt"}))
            if interrupted is not None and now > interrupted + limits.patience:
                self._kill("interrupted", f"did not stop within {limits.patience:g} s when interrupted and was killed")
            if now > began + limits.time_limit + limits.grace:
                self._kill("time_limit", f"did not keep its time limit of {limits.time_limit:g} s and was killed")
            if limits.memory is not None and now >= self._next_look and self._taken() > limits.memory:
                self._kill("memory_limit", f"took more than its memory limit of {limits.memory} bytes and was killed")
            if to_send:
                to_send = self._send(to_send)
                continue
            for answer in self._receive():
                if answer.get("say") != "progress":
                    return answer
                heard(answer)

    def settle(self) -> None:
        """Wait until it has imported what it needs; a limit of memory counts from what it takes then."""
        deadline = time.perf_counter() + STARTING
        while not self._awake:
            if time.perf_counter() > deadline:
                self._kill("error", f"did not come up within {STARTING:g} s and was killed")
            self._awake = any(answer.get("say") == "ready" for answer in self._receive())
        self._baseline, self._looks, self._next_look = None, 0, 0.0

    def _send(self, data: memoryview) -> memoryview:
        """What is left after sending some."""
        try:
            return data[self._socket.send(data) :]
        except TimeoutError:
            return data
        except OSError:
            self._mourn()

    def _receive(self) -> Iterator[Message]:
        """The messages that came within a tick; those before a broken one count."""
        try:
            data = self._socket.recv(READ)
        except TimeoutError:
            return
        except OSError:
            data = b""
        if not data:
            self._mourn()
        try:
            yield from self._inbox.feed(data)
        except WireError as error:
            self._kill("error", f"broke the protocol and was killed: {error}")

    def _taken(self) -> int:
        """Resident bytes beyond what there was at the first look since it settled."""
        if self._looks % CENSUS == 0:
            self._members = family(self.pid, str(self.folder))
        self._looks, self._next_look = self._looks + 1, time.perf_counter() + TICK
        taken = resident(self._members)
        if self._baseline is None:
            self._baseline = taken
        return taken - self._baseline

    # ── ends ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _kill(self, reason: LossReason, text: str) -> NoReturn:
        self._end()
        raise LostProcess(reason, f"{self.name} {text}")

    def _mourn(self) -> NoReturn:
        """It hung up: say how it ended."""
        try:
            self._child.wait(LEAVING)
        except subprocess.TimeoutExpired:
            self._kill("error", "broke the connection and was killed")
        self._end()
        raise LostProcess("error", self.death)

    def _end(self) -> None:
        """Kill it with all that it started, and leave no zombie; once, as its number may be given to another."""
        if self._ended:
            return
        self._ended = True
        kill(self.pid, str(self.folder))
        self._child.wait()
        self._socket.close()

    def close(self) -> None:
        """End it and remove its files."""
        if self.ours:
            self._end()
            shutil.rmtree(self.folder, ignore_errors=True)
        self._socket.close()
