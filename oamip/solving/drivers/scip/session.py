"""A hot session on SCIP, and what its statuses mean."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from pyscipopt import Model

from oamip.errors import SolveError
from oamip.options import Options
from oamip.program import StandardForm
from oamip.solution import Reason
from oamip.solving.drivers.scip.atoms import Auxiliary, embed
from oamip.solving.drivers.scip.duals import proven_duals
from oamip.solving.drivers.scip.model import Domains, ScipModel
from oamip.solving.drivers.scip.settings import INFINITE, apply
from oamip.solving.drivers.scip.start import give_start
from oamip.solving.drivers.scip.watch import Listener
from oamip.solving.outcome import Outcome, no_bound
from oamip.solving.session import Session
from oamip.solving.undecided import told_apart
from oamip.solving.watch import Watch

__all__ = ["ScipSession"]

Vector: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.intp]

_REASONS: dict[str, Reason] = {
    "optimal": "optimal",
    "gaplimit": "optimal",
    "infeasible": "infeasible",
    "unbounded": "unbounded",
    "inforunbd": "unbounded",
    "primallimit": "objective_limit",
    "duallimit": "objective_limit",
    "timelimit": "time_limit",
    "nodelimit": "node_limit",
    "totalnodelimit": "node_limit",
    "memlimit": "memory_limit",
    "userinterrupt": "interrupted",
    # Only raw options set these limits.
    "stallnodelimit": "node_limit",
    "sollimit": "node_limit",
    "bestsollimit": "node_limit",
    "restartlimit": "interrupted",
}
_WITHOUT_POINT: frozenset[Reason] = frozenset({"infeasible", "unbounded", "error"})


@dataclass(frozen=True)
class _Hot:
    """What stays between two solves."""

    scip: Model
    linear: ScipModel
    auxiliaries: list[Auxiliary]
    listener: Listener


class ScipSession(Session):
    """SCIP keeps the model and the starts between solves; each search begins anew.

    Between two solves the model is always untransformed. Columns and objective are brought up to date when a solve
    begins, rows at once.
    """

    def __init__(self, form: StandardForm, options: Options) -> None:
        super().__init__(form, options)
        numbers = form.A.data, form.cost, np.array([form.constant])
        if not all(np.isfinite(values).all() for values in numbers):
            raise SolveError("SCIP does not take the model: a coefficient is infinite or not a number")
        apply(Model(), options, linear=False, time_limit=0.0)  # a wrong raw option is told before anything is built
        self._model: _Hot | None = None
        if options.log_file is not None:
            options.log_file.write_bytes(b"")

    # ── changing ───────────────────────────────────────────────────────────────────────────────────────────────────

    def add_rows(self, R: sp.csr_array, lower: Vector, upper: Vector) -> None:  # noqa: D102
        super().add_rows(R, lower, upper)
        if self._model is not None:
            self._model.linear.add_rows(R, lower, upper)

    def drop_rows(self, which: Indices) -> None:  # noqa: D102
        super().drop_rows(which)
        if self._model is not None:
            self._model.linear.drop_rows(which)

    def restart(self) -> None:
        """Let the model go: SCIP has no other way to forget the starts that it was given."""
        if self._model is not None:
            self._model.scip.free()
            self._model = None

    def close(self) -> None:  # noqa: D102
        self.restart()

    # ── solving ────────────────────────────────────────────────────────────────────────────────────────────────────

    def solve(self, **changes: Any) -> Outcome:  # noqa: D102
        began = time.perf_counter()
        options = self.options.with_(**{"start": self._start, **changes})
        deadline = began + options.time_limit
        if Domains.of(self._form).empty:
            return Outcome("infeasible", None, no_bound(self._form), seconds=time.perf_counter() - began)
        if self._model is not None and not np.isin(self._form.signed_members(), self._split).all():
            self.restart()
        hot = self._ready()
        hot.linear.match(self._form)
        warnings = [*apply(hot.scip, options, linear=self._linear, time_limit=deadline - time.perf_counter())]
        partial = False
        if options.start is not None:
            columns = hot.linear.columns
            partial, refused = give_start(hot.scip, self._form, columns, hot.auxiliaries, options.start)
            warnings += refused
        watch = self._watch(hot, options)
        claim, error = self._ended(hot, watch, options)
        if claim["reason"] == "error":
            warnings.append(f"SCIP ended with '{error}'")
        if partial:
            self.restart()
        outcome = Outcome(**claim, warnings=tuple(warnings), log="".join(watch.log))
        if outcome.reason == "unbounded":
            outcome = told_apart(self, outcome, options, began)
        return replace(outcome, seconds=time.perf_counter() - began)

    @property
    def _linear(self) -> bool:
        return not (self._form.integer.any() or self._form.kinds)

    def _ready(self) -> _Hot:
        if self._model is None:
            scip = Model()
            scip.hideOutput()  # its log file still hears everything
            linear = ScipModel(scip, self._form)
            auxiliaries, self._split = embed(linear, self._form), self._form.signed_members()
            linear.add_rows(*self._added.joined())
            listener = Listener(scip, linear.columns, curved=bool(self._form.epigraphs))
            self._model = _Hot(scip, linear, auxiliaries, listener)
        return self._model

    def _watch(self, hot: _Hot, options: Options) -> Watch[str]:
        return Watch(options, minimise=self._form.sense == "min", halt=hot.scip.interruptSolve)

    def _ended(self, hot: _Hot, watch: Watch[str], options: Options) -> tuple[dict[str, Any], str]:
        """One run: what it claims, and SCIP's words for how it ended."""
        try:
            failure = hot.listener.run(watch, options.log_file)
            if not failure:
                status = hot.scip.getStatus()
                claim = self._read(hot, watch, status)
                hot.scip.freeTransform()
                return claim, status
        except BaseException:
            self.restart()  # stopped half way, by an error of the user's own
            raise
        self.restart()  # who knows what state it is in
        return {"reason": "error", "x": None, "bound": no_bound(self._form)}, failure

    def _read(self, hot: _Hot, watch: Watch[str], status: str) -> dict[str, Any]:
        scip, columns = hot.scip, hot.linear.columns
        reason = _REASONS.get(status, "error")
        if status == "userinterrupt" and watch.stopped:
            reason = watch.stopped
        best = scip.getBestSol() if scip.getNSols() and reason not in _WITHOUT_POINT else None
        x = None if best is None else np.array([best[column] for column in columns])
        bound = no_bound(self._form) if reason in _WITHOUT_POINT else float(scip.getDualbound())
        return {
            "reason": reason,
            "x": x,
            "bound": bound if abs(bound) < INFINITE else no_bound(self._form),
            "nodes": int(scip.getNTotalNodes()),
            "points": tuple(watch.points),
            "duals": self._duals(hot, x) if x is not None and self._linear and reason == "optimal" else None,
        }

    def _duals(self, hot: _Hot, x: Vector) -> Vector | None:
        sign = 1.0 if self._form.sense == "min" else -1.0  # SCIP itself minimises
        try:
            y = np.array([sign * hot.scip.getDualsolLinear(row) for row in hot.linear.rows])
        except Warning:  # as an error: a raw option let presolve in, and this row is gone
            return None
        return proven_duals(self.form, y, x)
