"""A hot session on HiGHS, and what its statuses mean."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any, TextIO, TypeAlias

import highspy
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from oamip.errors import SolveError
from oamip.options import Options
from oamip.program import StandardForm
from oamip.solution import Reason
from oamip.solving.drivers.highs.settings import LEAST_ENTRY, apply
from oamip.solving.drivers.highs.watch import run_watched
from oamip.solving.outcome import Outcome, no_bound
from oamip.solving.session import Session
from oamip.solving.undecided import told_apart
from oamip.solving.watch import Watch

__all__ = ["HighsSession"]

Vector: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.intp]
Status = highspy.HighsModelStatus

_ROWWISE = 2
_REASONS: dict[Any, Reason] = {
    Status.kOptimal: "optimal",
    Status.kInfeasible: "infeasible",
    Status.kUnbounded: "unbounded",
    Status.kObjectiveBound: "objective_limit",
    Status.kObjectiveTarget: "objective_limit",
    Status.kTimeLimit: "time_limit",
    Status.kSolutionLimit: "node_limit",  # also the limits on leaves and improving points, which only raw options set
    Status.kIterationLimit: "interrupted",  # only raw options set it
    Status.kInterrupt: "interrupted",
    Status.kMemoryLimit: "memory_limit",
}
_FAILED = (Status.kSolveError, Status.kNotset)
_WITHOUT_POINT: frozenset[Reason] = frozenset({"infeasible", "unbounded"})
_OURS = "non-empty integrality"  # a warning in every log of a linear program, since we pass the kinds of all columns


class HighsSession(Session):
    """HiGHS keeps the model, its basis and its last point between solves."""

    def __init__(self, form: StandardForm, options: Options) -> None:
        super().__init__(form, options)
        self._highs = highspy._core._Highs()  # the plain class: the wrapper around it adds callbacks of its own
        self._log_to: TextIO | None = None
        apply(self._highs, options, integer=True)  # a wrong raw option is told before the model is passed
        self._pass_model(form)
        self._dropped = _dropped(form)
        if options.log_file is not None:
            self._log_to = options.log_file.open("w", encoding="utf-8")

    def _pass_model(self, form: StandardForm) -> None:
        rows, columns = form.shape
        A = form.A
        status = self._highs.passModel(
            columns,
            rows,
            A.nnz,
            _ROWWISE,
            int(highspy.ObjSense.kMinimize if form.sense == "min" else highspy.ObjSense.kMaximize),
            form.constant,
            form.cost,
            form.column_lower,
            form.column_upper,
            form.row_lower,
            form.row_upper,
            A.indptr.astype(np.int32, copy=False),
            A.indices.astype(np.int32, copy=False),
            A.data,
            form.integer.astype(np.int32),
        )
        if status == highspy.HighsStatus.kError:
            raise SolveError(f"HiGHS does not take the model of {rows} rows and {columns} columns: a number is invalid")

    # ── changing ───────────────────────────────────────────────────────────────────────────────────────────────────

    def add_rows(self, R: sp.csr_array, lower: Vector, upper: Vector) -> None:
        """Add rows; the basis of the last linear solve stays, so that the dual simplex method continues from it."""
        super().add_rows(R, lower, upper)
        starts, indices = R.indptr[:-1].astype(np.int32), R.indices.astype(np.int32, copy=False)
        self._demand(self._highs.addRows(R.shape[0], lower, upper, R.nnz, starts, indices, R.data), "rows")

    def drop_rows(self, which: Indices) -> None:  # noqa: D102
        super().drop_rows(which)
        positions = (np.sort(which) + self._form.shape[0]).astype(np.int32)
        self._demand(self._highs.deleteRows(positions.size, positions), "number of rows")

    def set_bounds(self, columns: Indices, lower: Vector, upper: Vector) -> None:  # noqa: D102
        super().set_bounds(columns, lower, upper)
        which = columns.astype(np.int32)
        low, high = np.array(lower, dtype=np.float64), np.array(upper, dtype=np.float64)
        self._demand(self._highs.changeColsBounds(which.size, which, low, high), "bounds")

    def set_integer(self, integer: NDArray[np.bool_]) -> None:  # noqa: D102
        super().set_integer(integer)
        everything = np.arange(integer.size, dtype=np.int32)
        kinds = integer.astype(np.uint8)
        self._demand(self._highs.changeColsIntegrality(integer.size, everything, kinds), "integrality")

    def set_objective(self, cost: Vector, constant: float = 0.0) -> None:  # noqa: D102
        super().set_objective(cost, constant)
        self._pass_cost(cost, constant)

    def _pass_cost(self, cost: Vector, constant: float) -> None:
        everything = np.arange(cost.size, dtype=np.int32)
        self._demand(self._highs.changeColsCost(cost.size, everything, cost), "costs")
        self._highs.changeObjectiveOffset(constant)

    def _demand(self, status: Any, what: str) -> None:
        if status == highspy.HighsStatus.kError:
            raise SolveError(f"HiGHS does not take the new {what}: a number or an index is invalid")

    def restart(self) -> None:  # noqa: D102
        self._highs.clearSolver()

    def _renew(self) -> None:
        """A HiGHS of its own once more: after a solve error later runs of one crash the process, cleared or not."""
        self._highs = highspy._core._Highs()
        apply(self._highs, self.options, integer=True)
        self._pass_model(self.form)

    def close(self) -> None:  # noqa: D102
        self._highs.clear()
        if self._log_to is not None:
            self._log_to.close()

    # ── solving ────────────────────────────────────────────────────────────────────────────────────────────────────

    def solve(self, **changes: Any) -> Outcome:  # noqa: D102
        began = time.perf_counter()
        options = self.options.with_(**{"start": self._start, **changes})
        form = self._form  # added rows change neither its columns nor its objective
        integer = bool(form.integer.any())
        warnings = [*self._dropped, *apply(self._highs, options, integer=integer)]
        warnings += self._give_start(options.start, integer=integer)
        watch: Watch[Any] = Watch(options, minimise=form.sense == "min", log_to=self._log_to)
        status = run_watched(self._highs, watch)
        if self._highs.getModelStatus() == Status.kUnknown and not integer:
            # A warm basis may end with dual infeasibilities that HiGHS itself disowns; a cold start seldom does.
            self.restart()
            status = run_watched(self._highs, watch)
        elif self._highs.getModelStatus() == Status.kNotset and not integer:
            # Presolve may leave a program that no method comes to the end of.
            self._renew()
            left = max(0.0, options.time_limit - (time.perf_counter() - began))
            raw = {"presolve": "off", **options.raw}
            apply(self._highs, options.with_(time_limit=left, raw=raw), integer=integer)
            status = run_watched(self._highs, watch)
        claim, ended = self._read(watch, integer=integer), self._highs.getModelStatus()
        undecided = ended == Status.kUnboundedOrInfeasible or (ended == Status.kUnbounded and integer)
        if not undecided and (status == highspy.HighsStatus.kError or claim["reason"] == "error"):
            warnings.append(f"HiGHS ended with '{self._highs.modelStatusToString(ended)}'{_complaint(watch.log)}")
        outcome = Outcome(**claim, warnings=tuple(warnings), log="".join(watch.log))
        if ended in _FAILED:
            self._renew()
        if undecided:
            outcome = told_apart(self, outcome, options, began)
        return replace(outcome, seconds=time.perf_counter() - began)

    def _give_start(self, start: Vector | None, *, integer: bool) -> list[str]:
        if start is None:
            return []
        if not integer:
            return ["option start: HiGHS has no use for a first point of a program without integers"]
        known = np.flatnonzero(np.isfinite(start)).astype(np.int32)
        status = self._highs.setSolution(known.size, known, np.asarray(start, dtype=np.float64)[known])
        return ["option start: HiGHS refused it"] if status == highspy.HighsStatus.kError else []

    def _read(self, watch: Watch[Any], *, integer: bool) -> dict[str, Any]:
        """The claim of the last run. ``col_value`` is junk unless the status of the primal solution says feasible."""
        info, solution = self._highs.getInfo(), self._highs.getSolution()
        status = self._highs.getModelStatus()
        reason = watch.stopped if status == Status.kInterrupt and watch.stopped else _REASONS.get(status, "error")
        holds = info.primal_solution_status == highspy.kSolutionStatusFeasible and reason not in _WITHOUT_POINT
        finished = reason == "optimal" and not integer
        bound = info.mip_dual_bound if integer else info.objective_function_value if finished else math.inf
        if math.isinf(bound) or (reason != "optimal" and not integer):
            bound = no_bound(self._form)
        return {
            "reason": reason,
            "x": np.array(solution.col_value) if holds else None,
            "bound": float(bound),
            "nodes": max(int(info.mip_node_count), 0),
            "points": tuple(watch.points),
            "duals": np.array(solution.row_dual) if finished else None,
        }


def _dropped(form: StandardForm) -> tuple[str, ...]:
    """A warning about coefficients that HiGHS leaves out."""
    data = form.A.data
    tiny = np.flatnonzero((data < LEAST_ENTRY) & (data > -LEAST_ENTRY))
    tiny = tiny[data[tiny] != 0]
    if not tiny.size:
        return ()
    k = int(tiny[0])
    row = form.row_name(int(np.searchsorted(form.A.indptr, k, side="right")) - 1)
    column, value = form.column_name(int(form.A.indices[k])), data[k]
    text = f"HiGHS takes coefficients below {LEAST_ENTRY:g} for 0, here {tiny.size}; the first is {value:g}"
    return (f"{text}, of {column} in {row}: scale that row",)


def _complaint(log: list[str]) -> str:
    """The last error or warning in the log, behind a colon, or nothing."""
    lines = "".join(log).splitlines()
    said = [line for line in lines if line.startswith(("ERROR", "WARNING")) and _OURS not in line]
    return ": " + " ".join(said[-1].split()) if said else ""
