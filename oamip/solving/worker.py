"""The process of an isolated solver: ``python -m oamip.solving.worker``, started by `oamip.solving.isolation`.

It opens one session at a time, makes the changes it is told, solves, and tells of progress meanwhile. It ends, with
all that it has started, when its parent hangs up or is gone.
"""

from __future__ import annotations

import ctypes
import faulthandler
import math
import os
import queue
import resource
import select
import shutil
import signal
import socket
import sys
import threading
import traceback
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import NoReturn

from oamip.errors import OamipError
from oamip.options import Options, Progress
from oamip.solving.isolation.family import kill
from oamip.solving.isolation.raising import told
from oamip.solving.isolation.reference import made_from
from oamip.solving.isolation.wire import Inbox, Message, WireError, pack
from oamip.solving.session import Session

__all__ = ["Worker", "main"]

READ = 1 << 18
CHECK = 1000  # milliseconds between two looks whether the parent is still there
IONBF = 2  # of setvbuf in C: no buffer
HEADROOM = 1 << 30  # bytes of addresses beyond twice the memory limit: threads reserve many that they never use


class Worker:
    """Answers the requests of one parent, one after the other, while a thread of its own listens.

    Args:
        line: to the parent.
        parent: its process number.
        folder: of temporary files, removed when the parent cannot do it any more.
    """

    def __init__(self, line: socket.socket, parent: int, folder: Path) -> None:
        self._line, self._parent, self._folder = line, parent, folder
        self._requests: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._interrupted, self._speaking = threading.Event(), threading.Lock()
        self._session: Session | None = None
        self._every, self._last = False, Progress(0.0, 0.0, 0.0, 0)

    def run(self) -> NoReturn:
        """Answer until the parent is gone."""
        threading.Thread(target=self._listen, name="listener", daemon=True).start()
        self._say({"say": "ready"})
        while True:
            self._answer(self._requests.get())

    def _answer(self, request: Message) -> None:
        do = {"open": self._open, "solve": self._solve, "close": self._close}[request["do"]]
        try:
            self._say(do(request))
        except OamipError as error:
            self._say(told(error))
        except Exception as error:
            traceback.print_exc()  # into the log
            self._say({"say": "raised", "text": "".join(traceback.format_exception_only(error)).strip()})

    # ── requests ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _open(self, request: Message) -> Message:
        options: Options = request["options"]
        _limit_addresses(options.memory_limit)
        driver = made_from(request["driver"])
        self._session = driver.open(request["form"], options.with_(progress=self._progress))
        return {"say": "opened"}

    def _solve(self, request: Message) -> Message:
        assert self._session is not None
        for change, arguments in request["changes"]:
            getattr(self._session, change)(*arguments)
        options = self._session.options.with_(**request["options"])
        _limit_addresses(options.memory_limit)
        self._every, self._last = request["every"], Progress(0.0, 0.0, 0.0, 0)
        return {"say": "solved", "outcome": self._session.solve(**request["options"])}

    def _close(self, _: Message) -> Message:
        session, self._session = self._session, None
        if session is not None:
            session.close()
        return {"say": "closed"}

    def _progress(self, now: Progress) -> bool:
        last, self._last = self._last, now
        better = now.x is not None and now.x is not last.x
        if self._every or better or (now.bound != last.bound and not math.isnan(now.bound)):
            self._say({"say": "progress", "told": replace(now, x=now.x if better else None)})
        return self._interrupted.is_set()

    def _say(self, message: Message) -> None:
        data = pack(message)
        with self._speaking:  # some drivers tell progress from a thread of their own
            self._line.sendall(data)

    # ── listening ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _listen(self) -> None:
        """Take requests and interrupts in the order in which they come; an interrupt is meant for the solve before."""
        inbox, poll = Inbox(), select.poll()
        poll.register(self._line, select.POLLIN)
        while os.getppid() == self._parent:  # a fork of the parent may keep the line open after its end
            if not poll.poll(CHECK):
                continue
            try:
                data = self._line.recv(READ)
                messages = list(inbox.feed(data)) if data else None
            except (OSError, WireError):
                break
            if messages is None:
                break
            for message in messages:
                if message["do"] == "interrupt":
                    self._interrupted.set()
                else:
                    self._interrupted.clear()
                    self._requests.put(message)
        shutil.rmtree(self._folder, ignore_errors=True)
        kill(os.getpid(), str(self._folder))
        os._exit(1)  # unless that was the end already


def _limit_addresses(memory: int | None) -> None:
    """Let one huge allocation fail before it is made; what is really used, the parent watches.

    A limit of the address space that allows for what is only reserved; nothing where the system cannot tell or does
    not limit it.
    """
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return
    now = int(statm.read_text().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    soft = resource.RLIM_INFINITY if memory is None else now + 2 * memory + HEADROOM
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _unbuffered() -> None:
    """Let what C code prints reach the file at once, so that a crash cannot take it along."""
    library = ctypes.CDLL(None)
    name = "__stdoutp" if sys.platform == "darwin" else "stdout"
    library.setvbuf(ctypes.c_void_p.in_dll(library, name), None, IONBF, 0)


def _ignore(number: int, frame: FrameType | None) -> None:
    """Unlike SIG_IGN, a handler is not inherited by executables that a driver runs."""


def main(line: int, parent: int, folder: str) -> NoReturn:
    """Serve the parent at the other end of a socket."""
    signal.signal(signal.SIGINT, _ignore)
    faulthandler.enable()
    _unbuffered()
    Worker(socket.socket(fileno=line), parent, Path(folder)).run()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
