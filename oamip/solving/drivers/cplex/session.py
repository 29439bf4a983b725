"""A hot session on CPLEX."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, TextIO, TypeAlias

import cplex
import numpy as np
import scipy.sparse as sp
from cplex.exceptions import CplexError, CplexSolverError
from numpy.typing import NDArray

from oamip.errors import SolveError
from oamip.options import Options
from oamip.program import StandardForm
from oamip.solution import Reason
from oamip.solving.drivers.cplex.model import add_rows, bounds, build, set_types
from oamip.solving.drivers.cplex.reasons import Ended, meaning
from oamip.solving.drivers.cplex.refusals import by_licence, refusal
from oamip.solving.drivers.cplex.running import HUGE, Messages, run_watched
from oamip.solving.drivers.cplex.settings import apply
from oamip.solving.outcome import Outcome, no_bound
from oamip.solving.session import Session
from oamip.solving.undecided import told_apart
from oamip.solving.watch import KEPT, Watch

__all__ = ["CplexSession"]

Vector: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.intp]


EXHAUSTED = 101  # no node is left; where presolve emptied the tree, CPLEX keeps the bound from before


class CplexSession(Session):
    """CPLEX keeps the model, its basis and its last points between solves.

    Columns that switch an indicator stay integer whatever `set_integer` says: CPLEX knows no others.
    """

    def __init__(self, form: StandardForm, options: Options) -> None:
        super().__init__(form, options)
        self._log_to: TextIO | None = None
        self._aborter = cplex.Aborter()
        self._cplex = cplex.Cplex()
        try:
            self._messages = Messages(self._cplex)
            self._cplex.use_aborter(self._aborter)
            apply(self._cplex, options, integer=True)  # a wrong raw option is told before the model is passed
            self._pass_model()
            if options.log_file is not None:
                self._log_to = options.log_file.open("w", encoding="utf-8")
        except BaseException:
            self.close()
            raise
        self._warm = True

    def _pass_model(self) -> None:
        """Pass the form as it stands, in place of what was there."""
        form = self._form
        with _demand("model of {} rows and {} columns".format(*form.shape)):
            self._rows, self._split = build(self._cplex, form), form.signed_members()
            add_rows(self._cplex, *self._added.joined())

    @property
    def _tree(self) -> bool:
        return bool(self._cplex._is_MIP())

    # ── changing ───────────────────────────────────────────────────────────────────────────────────────────────────

    def add_rows(self, R: sp.csr_array, lower: Vector, upper: Vector) -> None:
        """Add rows; the basis of the last linear solve stays, so that the dual simplex method continues from it."""
        with _demand("new rows"):
            add_rows(self._cplex, R, lower, upper)
        super().add_rows(R, lower, upper)

    def drop_rows(self, which: Indices) -> None:  # noqa: D102
        super().drop_rows(which)
        self._cplex.linear_constraints.delete((np.unique(which) + self._rows).tolist())

    def set_bounds(self, columns: Indices, lower: Vector, upper: Vector) -> None:  # noqa: D102
        which = columns.tolist()
        low, high = np.broadcast_to(lower, columns.shape), np.broadcast_to(upper, columns.shape)
        with _demand("new bounds"):
            self._cplex.variables.set_lower_bounds(list(zip(which, bounds(low), strict=True)))
            self._cplex.variables.set_upper_bounds(list(zip(which, bounds(high), strict=True)))
        super().set_bounds(columns, lower, upper)
        if not np.isin(self._form.signed_members(), self._split).all():
            self._pass_model()

    def set_integer(self, integer: NDArray[np.bool_]) -> None:  # noqa: D102
        super().set_integer(integer)
        set_types(self._cplex, self._form)

    def set_objective(self, cost: Vector, constant: float = 0.0) -> None:  # noqa: D102
        with _demand("new costs"):
            self._pass_cost(cost, constant)
        super().set_objective(cost, constant)

    def _pass_cost(self, cost: Vector, constant: float) -> None:
        self._cplex.objective.set_linear(list(enumerate(cost.tolist())))
        self._cplex.objective.set_offset(constant)

    def restart(self) -> None:  # noqa: D102
        self._cplex.MIP_starts.delete()
        self._warm = False

    def close(self) -> None:  # noqa: D102
        self._cplex.end()
        self._aborter.end()
        if self._log_to is not None:
            self._log_to.close()

    # ── solving ────────────────────────────────────────────────────────────────────────────────────────────────────

    def solve(self, **changes: Any) -> Outcome:  # noqa: D102
        began = time.perf_counter()
        options = self.options.with_(**{"start": self._start, **changes})
        watch = self._watch(options)
        try:
            outcome = self._solved(options, watch, began)
        except CplexSolverError as error:
            outcome = refusal(self.form, error)
        outcome = replace(outcome, log="".join(watch.log))
        if outcome.reason == "unbounded":
            outcome = told_apart(self, outcome, options, began)
        return replace(outcome, seconds=time.perf_counter() - began)

    def _watch(self, options: Options) -> Watch[None]:
        self._aborter.clear()
        return Watch(
            options, minimise=self._form.sense == "min", log_to=self._log_to, halt=lambda: self._aborter.abort()
        )

    def _solved(self, options: Options, watch: Watch[None], began: float) -> Outcome:
        tree = self._tree
        warnings = self._give_start(options.start, tree=tree)
        warnings += self._optimise(options, watch, began)
        if meaning(self._cplex.solution.get_status()) == "error" and not tree:
            self.restart()  # a warm basis may lead the simplex method to where it can go no further
            self._optimise(options, watch, began)
        status = self._cplex.solution.get_status()
        claim, ended = self._read(watch, tree=tree), meaning(status)
        if ended == "error":
            warnings.append(f"CPLEX ended with '{self._cplex.solution.get_status_string()}' ({status})")
        if options.start is not None and any("No solution found from" in text for text in watch.log):
            warnings.append("option start: CPLEX could make no point of it")
        return replace(claim, warnings=tuple(warnings))

    def _optimise(self, options: Options, watch: Watch[None], began: float) -> list[str]:
        """Run once within what is left of the time."""
        left = options.with_(time_limit=max(0.0, options.time_limit - (time.perf_counter() - began)))
        tree, asked = self._tree, (options.progress, options.stop_at_objective, options.stop_at_bound)
        warnings = apply(self._cplex, left, integer=tree, warm=self._warm)
        self._warm = True
        if tree:
            self._forget_tree()
        listen = tree and any(wish is not None for wish in asked)
        run_watched(self._cplex, watch, self._messages, columns=self._form.shape[1], listen=listen)
        return list(warnings)

    def _forget_tree(self) -> None:
        """Begin a new tree: until something changes, CPLEX would go on with the last one, its nodes and its points."""
        self._cplex.variables.set_lower_bounds(0, self._cplex.variables.get_lower_bounds(0))

    def _give_start(self, start: Vector | None, *, tree: bool) -> list[str]:
        """Replace the points that CPLEX begins with; without a start it begins with those of its last solve."""
        if start is None:
            return []
        if not tree:
            return ["option start: CPLEX has no use for a first point of a program without integers"]
        point = np.asarray(start, dtype=np.float64)
        known = np.flatnonzero(np.isfinite(point))
        values = np.where(self._form.integer, np.round(point), point)[known]
        self._cplex.MIP_starts.delete()
        if known.size:
            effort = self._cplex.MIP_starts.effort_level.auto  # a partial point is completed by a small search
            self._cplex.MIP_starts.add([known.tolist(), values.tolist()], effort)
            self._warm = True  # a cold solve would not look at it
        return []

    # ── reading ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _read(self, watch: Watch[None], *, tree: bool) -> Outcome:
        """The claim of the last run."""
        solution, width = self._cplex.solution, self._form.shape[1]
        ended: Ended = meaning(solution.get_status())
        reason: Reason = "unbounded" if ended == "infeasible or unbounded" else ended  # `solve` tells the two apart
        if watch.stopped and reason == "interrupted":
            reason = watch.stopped
        holds = bool(solution.is_primal_feasible()) and reason != "infeasible"
        linear = reason == "optimal" and not tree
        bound = math.inf
        if linear or solution.get_status() == EXHAUSTED:
            bound = solution.get_objective_value()
        elif tree:
            bound = solution.MIP.get_best_objective()
        return Outcome(
            reason=reason,
            x=np.array(solution.get_values(0, width - 1)) if holds else None,
            bound=float(bound) if abs(bound) < HUGE and reason != "infeasible" else no_bound(self._form),
            nodes=int(solution.progress.get_num_nodes_processed()) if tree else 0,
            points=self._points(width) if tree and holds else (),
            duals=self._duals() if linear and not self._form.epigraphs else None,
        )

    def _points(self, width: int) -> tuple[Vector, ...]:
        """The points that it passed, worst first: it keeps them in a pool at no cost."""
        pool = self._cplex.solution.pool
        values = np.array([pool.get_objective_value(i) for i in range(pool.get_num())])
        order = np.argsort(values if self._form.sense == "max" else -values, kind="stable")[-KEPT:]
        return tuple(np.array(pool.get_values(int(i), 0, width - 1)) for i in order)

    def _duals(self) -> Vector:
        return np.array(self._cplex.solution.get_dual_values())


@contextlib.contextmanager
def _demand(what: str) -> Iterator[None]:
    try:
        yield
    except CplexError as error:
        if by_licence(error):
            raise
        raise SolveError(f"CPLEX does not take the {what}: {error}") from error
