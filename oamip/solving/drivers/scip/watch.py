"""The events and the log of SCIP, told to a `Watch`."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from pyscipopt.scip import PY_SCIP_EVENTTYPE as EVENT

from oamip.solving.drivers.scip.settings import INFINITE
from oamip.solving.drivers.scip.threads import in_lasting_thread
from oamip.solving.watch import Watch

__all__ = ["Listener"]

LISTENED = (EVENT.BESTSOLFOUND, EVENT.DUALBOUNDIMPROVED, EVENT.NODESOLVED)


class Listener:
    """Hears a model's events in every run, and passes them to the watch of that run.

    Args:
        scip: the model, without a problem in solution.
        columns: the variables whose values make a point.
        curved: the model has nonlinear constraints.
    """

    def __init__(self, scip: Any, columns: Sequence[Any], *, curved: bool) -> None:
        self._scip, self._columns, self._curved = scip, columns, curved
        self._watch: Watch[str] | None = None
        scip.attachEventHandlerCallback(self._heard, LISTENED)

    def run(self, watch: Watch[str], log_file: Path | None) -> str:
        """Run SCIP to the end; gives the error that it met, or nothing. The lock of Python is free meanwhile."""

        def work() -> str:
            try:
                if self._curved:
                    in_lasting_thread(self._scip.optimizeNogil)
                else:
                    self._scip.optimizeNogil()
            except Exception as error:  # PySCIPOpt has no class of its own for errors of SCIP
                return str(error)
            return ""

        self._watch = watch
        with self._logged(watch, log_file):
            return watch.run(work)

    def _heard(self, scip: Any, event: Any) -> None:
        if self._watch is None:
            return
        if event.getType() == EVENT.BESTSOLFOUND:
            best = scip.getBestSol()
            self._watch.found(np.array([best[column] for column in self._columns]))
        self._watch.saw(_number(scip.getPrimalbound()), _number(scip.getDualbound()), scip.getNTotalNodes())

    @contextmanager
    def _logged(self, watch: Watch[str], log_file: Path | None) -> Iterator[None]:
        """SCIP writes its log to a file as it goes; a handler in Python would be called without Python's lock."""
        with tempfile.NamedTemporaryFile(prefix="scip-", suffix=".log") as scratch:
            path = log_file or Path(scratch.name)
            before = path.stat().st_size if path.exists() else 0
            self._scip.setLogfile(str(path))
            try:
                yield
            finally:
                self._scip.setLogfile(None)
                watch.wrote(path.read_bytes()[before:].decode("utf-8", "replace"))


def _number(value: float) -> float:
    return value if abs(value) < INFINITE else math.nan
