"""A hot session on Gurobi."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TextIO, TypeAlias

import gurobipy as gp
import numpy as np
import scipy.sparse as sp
from gurobipy import GRB
from numpy.typing import NDArray

from oamip.errors import SolveError
from oamip.options import Options
from oamip.program import StandardForm
from oamip.solving.drivers.gurobi.atoms import add_atoms
from oamip.solving.drivers.gurobi.callbacks import run_watched
from oamip.solving.drivers.gurobi.claim import failed, read, stalled, undecided
from oamip.solving.drivers.gurobi.rows import ModelRows
from oamip.solving.drivers.gurobi.settings import apply
from oamip.solving.outcome import Outcome
from oamip.solving.session import Session
from oamip.solving.undecided import told_apart
from oamip.solving.watch import Watch

__all__ = ["GurobiSession"]

Vector: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.intp]

SHARP = 1e-9  # where y is 0, w² ≤ t y lets w be the root of the tolerance


class GurobiSession(Session):
    """Gurobi keeps the model, and the basis of a linear one, between solves.

    A solve with integers begins anew, with the start that it is given: Gurobi would go on with the tree of the last
    one, and count its nodes towards the limit of this one.

    Args:
        environment: started, and disposed of by the session.
        form: the form at first.
        options: the options of every solve, unless a solve overrides some.
    """

    def __init__(self, environment: gp.Env, form: StandardForm, options: Options) -> None:
        super().__init__(form, options)
        self._environment, self._touched = environment, set(options.raw)
        self._sharp = "perspective" in form.kinds
        self._log_to: TextIO | None = None
        self._model = gp.Model(env=environment)
        try:
            apply(self._model, options, self._touched)
            with self._demanding("model"):
                self._build(form)
            if options.log_file is not None:
                self._log_to = options.log_file.open("w", encoding="utf-8")
        except BaseException:
            self.close()
            raise

    def _build(self, form: StandardForm) -> None:
        kinds = _kinds(form.integer)
        # The stubs of gurobipy take the attributes of a vector of columns for numbers.
        self._columns: Any = self._model.addMVar(
            form.shape[1], lb=form.column_lower, ub=form.column_upper, obj=form.cost, vtype=kinds
        )
        self._model.ModelSense = GRB.MINIMIZE if form.sense == "min" else GRB.MAXIMIZE
        self._model.ObjCon = form.constant
        self._rows = ModelRows(self._model, self._columns)
        self._rows.add(form.A, form.row_lower, form.row_upper)
        add_atoms(self._model, self._columns, form)

    @contextmanager
    def _demanding(self, what: str) -> Iterator[None]:
        """Changes that take place at the end; the errors are those of bad numbers."""
        try:
            yield
            self._model.update()
        except gp.GurobiError as error:
            raise SolveError(f"Gurobi does not take the new {what}: {error}") from error

    # ── changing ───────────────────────────────────────────────────────────────────────────────────────────────────

    def add_rows(self, R: sp.csr_array, lower: Vector, upper: Vector) -> None:
        """Add rows; the basis of the last linear solve stays, so that the dual simplex method continues from it."""
        super().add_rows(R, lower, upper)
        with self._demanding("rows"):
            self._rows.add(R, lower, upper)

    def drop_rows(self, which: Indices) -> None:  # noqa: D102
        super().drop_rows(which)
        with self._demanding("number of rows"):
            self._rows.drop((self._form.shape[0] + which).tolist())

    def set_bounds(self, columns: Indices, lower: Vector, upper: Vector) -> None:  # noqa: D102
        super().set_bounds(columns, lower, upper)
        with self._demanding("bounds"):
            which = self._columns[columns]
            which.LB, which.UB = lower, upper

    def set_integer(self, integer: NDArray[np.bool_]) -> None:  # noqa: D102
        super().set_integer(integer)
        with self._demanding("integrality"):
            self._columns.VType = _kinds(integer)
            # Gurobi rounds the bounds of integer columns for good: a relaxation must have its own again.
            self._columns.LB, self._columns.UB = self._form.column_lower, self._form.column_upper

    def set_objective(self, cost: Vector, constant: float = 0.0) -> None:  # noqa: D102
        super().set_objective(cost, constant)
        self._pass_cost(cost, constant)

    def _pass_cost(self, cost: Vector, constant: float) -> None:
        with self._demanding("costs"):
            self._columns.Obj = cost
            self._model.ObjCon = constant

    def restart(self) -> None:  # noqa: D102
        self._model.reset(1)

    def close(self) -> None:  # noqa: D102
        self._model.dispose()
        self._environment.dispose()
        if self._log_to is not None:
            self._log_to.close()

    # ── solving ────────────────────────────────────────────────────────────────────────────────────────────────────

    def solve(self, **changes: Any) -> Outcome:  # noqa: D102
        began = time.perf_counter()
        options = self.options.with_(**{"start": self._start, **changes})
        if self._sharp:
            options = options.with_(feasibility=min(SHARP, options.feasibility))
        warnings = [*apply(self._model, options, self._touched), *self._begin(options.start)]
        outcome = self._claim(options)
        left = options.with_(time_limit=max(0.0, options.time_limit - (time.perf_counter() - began)))
        if outcome.reason == "unbounded" and undecided(self._model):
            outcome = told_apart(self, outcome, options, began)
        elif outcome.reason == "gap_limit" and stalled(self._model):
            outcome = self._less_exactly(left, outcome)
        seconds = time.perf_counter() - began
        return replace(outcome, seconds=seconds, warnings=(*warnings, *outcome.warnings))

    def _begin(self, start: Vector | None) -> list[str]:
        if not self._model.IsMIP:
            text = "option start: Gurobi has no use for a first point of a program without integers"
            return [] if start is None else [text]
        self._model.reset(1)
        if start is not None:
            self._columns.Start = np.where(np.isfinite(start), start, GRB.UNDEFINED)
        return []

    def _claim(self, options: Options) -> Outcome:
        minimise, model = self._form.sense == "min", self._model
        watch: Watch[None] = Watch(options, minimise=minimise, log_to=self._log_to, halt=model.terminate)
        try:
            run_watched(model, self._columns, watch)
            outcome = read(model, self._columns, self._rows, self._form, watch)
        except gp.GurobiError as error:
            outcome = failed(error, model, self._form)
        return replace(outcome, log="".join(watch.log))

    def _less_exactly(self, options: Options, first: Outcome) -> Outcome:
        """Solve a quadratic program again, as exactly as Gurobi does by itself: the barrier method got no further."""
        default = self._model.getParamInfo("BarQCPConvTol")[-1]
        options = options.with_(raw={"BarQCPConvTol": default, **options.raw})
        apply(self._model, options, self._touched)
        outcome = self._claim(options)
        return replace(outcome, log=first.log + outcome.log)


def _kinds(integer: NDArray[np.bool_]) -> NDArray[np.str_]:
    return np.where(integer, GRB.INTEGER, GRB.CONTINUOUS)
