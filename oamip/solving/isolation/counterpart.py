"""The session proper, which is in another process: opened, solved and closed by messages."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, get_args

import numpy as np

from oamip.options import Options, Progress
from oamip.program import StandardForm
from oamip.solution import Reason
from oamip.solving.isolation.process import Limits, LostProcess, Process
from oamip.solving.isolation.raising import error_in
from oamip.solving.isolation.wire import Message
from oamip.solving.outcome import Outcome

__all__ = ["Change", "Counterpart"]

Change: TypeAlias = tuple[str, tuple[Any, ...]]  # a method of `Session`, and its arguments

CLOSING = 2.0  # seconds that it has to close
TAIL = 1 << 18  # bytes of a log that are given back at most


class Counterpart:
    """A session on a form in a process.

    Args:
        process: in which there is no session yet.
        form: whose width everything that comes back must have.
        options: of the session; its log goes to the log file of these, or to one of ours.
    """

    def __init__(self, process: Process, form: StandardForm, options: Options) -> None:
        self.process = process
        self._form = form
        self._log_file = options.log_file or process.folder / "log"
        self._options = options.with_(progress=None, log_file=self._log_file)
        self._printed = _size(process.output)
        self._logged = 0

    def open(self, driver: Message, limits: Limits) -> None:
        """Open it.

        Raises:
            OamipError: what the driver raised on purpose.
            LostProcess: what it did not, or no answer.
        """
        self.process.settle()
        message = {"do": "open", "driver": driver, "form": self._form, "options": self._options}
        self._demand(self.process.ask(message, limits), "opened")

    def solve(
        self,
        changes: Sequence[Change],
        options: Mapping[str, Any],
        limits: Limits,
        heard: Callable[[Progress], None],
        *,
        every: bool,
    ) -> Outcome:
        """Make the changes and solve; ``heard`` is told of ``every`` step, or of those only that found something.

        Raises:
            OamipError: what the driver raised on purpose; some of the changes may not have been made.
            LostProcess: what it did not, or no answer.
        """
        self._printed, self._logged = _size(self.process.output), _size(self._log_file)
        here = ("progress", "log_file")
        told = {name: value for name, value in options.items() if name not in here}
        message = {"do": "solve", "changes": tuple(changes), "options": told, "every": every}
        answer = self.process.ask(message, limits, lambda said: heard(self._told(said.get("told"))))
        self._demand(answer, "solved")
        return self._claimed(answer.get("outcome"))

    def close(self) -> bool:
        """Close it; ``True`` when its process can serve another one."""
        if not self.process.ours or self.process.death:
            return False
        try:
            return self.process.ask({"do": "close"}, Limits(0.0, CLOSING)).get("say") == "closed"
        except LostProcess:
            return False

    # ── what was written meanwhile ─────────────────────────────────────────────────────────────────────────────────

    def printed(self) -> str:
        """What was written to the standard output and error of the process since this solve (or opening) began."""
        return _tail(self.process.output, self._printed)

    def logged(self) -> str:
        """What the solver has logged since then."""
        return _tail(self._log_file, self._logged)

    # ── what may be said ───────────────────────────────────────────────────────────────────────────────────────────

    def _demand(self, answer: Message, wanted: str) -> None:
        error = error_in(answer)
        if error is not None:
            raise error
        if answer.get("say") == "raised":
            raise LostProcess("error", f"{self.process.name} raised {answer.get('text')}")
        if answer.get("say") != wanted:
            raise self._broken(f"it should have said '{wanted}'")

    def _told(self, told: Any) -> Progress:
        if not isinstance(told, Progress) or not self._fits(told.x):
            raise self._broken("it told of progress that cannot be")
        return told

    def _claimed(self, outcome: Any) -> Outcome:
        if not isinstance(outcome, Outcome) or outcome.reason not in get_args(Reason):
            raise self._broken("it gave no outcome")
        numbers = all(isinstance(value, float | int) for value in (outcome.bound, outcome.nodes, outcome.seconds))
        if not numbers or not isinstance(outcome.log, str):
            raise self._broken("its outcome has fields that are none")
        lists = isinstance(outcome.points, tuple) and isinstance(outcome.warnings, tuple)
        if not lists or not all(self._fits(x) for x in (outcome.x, *outcome.points)):
            raise self._broken("its outcome is not of this program")
        return outcome

    def _fits(self, x: Any) -> bool:
        return x is None or (isinstance(x, np.ndarray) and x.shape == self._form.cost.shape)

    def _broken(self, text: str) -> LostProcess:
        return LostProcess("error", f"the process of {self.process.name} broke the protocol: {text}")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _tail(path: Path, since: int) -> str:
    """The text of a file from a position on; at most its last bytes, and nothing where there is no file."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(since, file.seek(0, os.SEEK_END) - TAIL))
        return file.read().decode(errors="replace")
