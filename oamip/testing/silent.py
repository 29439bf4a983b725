"""Drivers that do not answer: they hang, crash, exit or raise. `oamip.testing.liars` names them too."""

from __future__ import annotations

import os
import signal
import time
from typing import ClassVar

from oamip.options import Options
from oamip.program import StandardForm
from oamip.solving import Outcome, Session, Support
from oamip.solving.outcome import no_bound

__all__ = ["Crashing", "Exiting", "Hanging", "HangingAtOpen", "Raising", "Silent"]


class Silent:
    """A driver that never answers: its sessions call `do` instead of solving."""

    support: ClassVar[Support] = Support("oamip", "pip install oamip", start=True, gap=True, threads=True, seed=True)

    def open(self, form: StandardForm, options: Options) -> Session:
        """A session, the first solve of which is the last thing that happens."""
        return Session(form, options, self._run)

    def _run(self, form: StandardForm, _: Options) -> Outcome:
        self.do()
        return Outcome("error", None, no_bound(form))

    def do(self) -> None:
        """What happens instead of solving."""
        raise NotImplementedError


class Hanging(Silent):
    """Never comes back, whatever the time limit."""

    name = "hanging"

    def do(self) -> None:  # noqa: D102
        while True:
            time.sleep(60.0)


class HangingAtOpen(Hanging):
    """Never comes back from opening a session."""

    name = "hanging_at_open"

    def open(self, form: StandardForm, options: Options) -> Session:  # noqa: D102
        self.do()
        return super().open(form, options)


class Crashing(Silent):
    """Takes the process down as C code does: by a signal."""

    name = "crashing"

    def do(self) -> None:  # noqa: D102
        os.kill(os.getpid(), signal.SIGSEGV)
        time.sleep(60.0)  # the signal may take a moment


class Exiting(Silent):
    """Ends the process, as a licence check may."""

    name = "exiting"

    def do(self) -> None:  # noqa: D102
        os._exit(3)


class Raising(Silent):
    """Lets an exception of its own out."""

    name = "raising"

    def do(self) -> None:  # noqa: D102
        raise RuntimeError("the solver's own trouble")
