"""The master of a cut loop: a session, the tangents in it, and the loop's one clock and account."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from oamip.options import Options
from oamip.program import StandardForm
from oamip.solving.driver import Driver
from oamip.solving.outcome import Outcome, well_formed

__all__ = ["Master"]

Vector: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.intp]

IDLE = 3  # linear rounds that a tangent may be slack before it is dropped
TIGHT = 1e-9  # feasibility tolerance of linear masters: late tangents differ by less than the usual 1e-7
PATIENCE = 20.0  # times the slowest master so far (and seconds at least) that a warm linear one may take
RADII = (1e3, 1e5, 1e7)  # boxes for masters that are unbounded until tangents bound them


class Master:
    """The linear part of a form with tangents, solved again and again.

    Attributes:
        session: what is solved; `Session.form` is the refined master.
        live: tangents in it now; ``cuts`` counts all that were ever added, ``rounds`` the solves, ``nodes`` all nodes.
    """

    def __init__(self, form: StandardForm, driver: Driver, options: Options, inner: Options) -> None:
        self.form, self.options = form, options
        self.session = driver.open(replace(form, epigraphs=()), inner)
        self.rounds = self.cuts = self.nodes = 0
        self.log: list[str] = []
        self.warnings: dict[str, None] = {}  # an ordered set
        self._began = time.perf_counter()
        self._idle = np.zeros(0, dtype=np.intp)  # per tangent: linear rounds since it was last active
        self._slowest = 0.0
        self._radii = list(RADII)
        self._boxed = np.zeros(0, dtype=np.intp)

    @property
    def live(self) -> int:
        """Tangents in the master now."""
        return int(self._idle.size)

    @property
    def seconds(self) -> float:
        """Since the loop began."""
        return time.perf_counter() - self._began

    # ── solving ────────────────────────────────────────────────────────────────────────────────────────────────────

    def solve(self, **changes: Any) -> Outcome:
        """Solve within what is left of time and nodes."""
        self.rounds += 1
        time_limit = max(0.0, self.options.time_limit - self.seconds)
        nodes = None if self.options.node_limit is None else max(0, self.options.node_limit - self.nodes)
        told = self.session.solve(**{"time_limit": time_limit, "node_limit": nodes, **changes})
        outcome = well_formed(self.form, told, added=self.live)
        self.nodes += outcome.nodes
        self.log.append(outcome.log)
        self.warnings.update(dict.fromkeys(outcome.warnings))
        return outcome

    def solve_linear(self) -> Outcome:
        """Solve a linear master with tight tolerances; after an error, or far too long, once more from cold."""
        left = self.options.time_limit - self.seconds
        patience = max(PATIENCE, PATIENCE * self._slowest)
        outcome = self.solve(feasibility=min(TIGHT, self.options.feasibility), time_limit=max(0.0, min(patience, left)))
        self._slowest = max(self._slowest, outcome.seconds)
        if outcome.reason != "error" and not (outcome.reason == "time_limit" and patience < left):
            return outcome
        self.session.restart()  # a warm basis may lead the simplex method in circles
        return self.solve()

    # ── tangents ───────────────────────────────────────────────────────────────────────────────────────────────────

    def add(self, R: sp.csr_array, r: Vector) -> int:
        """Add tangents ``R x ≤ r`` and say how many those were."""
        if r.size:
            self.session.add_rows(R, np.full(r.size, -np.inf), r)
            self._idle = np.concatenate([self._idle, np.zeros(r.size, dtype=np.intp)])
            self.cuts += r.size
        return int(r.size)

    def forget_idle(self, outcome: Outcome) -> None:
        """Take out tangents that had no dual value for long, once they are a fifth of all."""
        if outcome.duals is None:
            return
        active = outcome.duals[self.form.shape[0] :] != 0.0
        self._idle = np.where(active, 0, self._idle + 1)
        drop = np.flatnonzero(self._idle >= IDLE)
        if drop.size > 0.2 * self._idle.size:
            self.session.drop_rows(drop)
            self._idle = np.delete(self._idle, drop)

    # ── integers and boxes ─────────────────────────────────────────────────────────────────────────────────────────

    def relax(self) -> None:
        """Let integers be fractional."""
        self.session.set_integer(np.zeros_like(self.form.integer))

    def fix(self, x: Vector) -> None:
        """Fix integers at the rounded values of ``x``; the master becomes linear."""
        integer = np.flatnonzero(self.form.integer)
        self.session.set_bounds(integer, np.round(x[integer]), np.round(x[integer]))
        self.relax()

    def release(self) -> None:
        """Integers are integers again, within their own bounds."""
        integer = np.flatnonzero(self.form.integer)
        self.session.set_bounds(integer, self.form.column_lower[integer], self.form.column_upper[integer])
        self.session.set_integer(self.form.integer)

    @property
    def boxed(self) -> bool:
        """True while infinite bounds are replaced by large ones, so that the master's bound proves nothing."""
        return self._boxed.size > 0

    def box(self, free: Indices) -> bool:
        """Give columns without bounds, but for those in ``free``, the next larger box; False when there is none.

        What carries an epigraph should be free: tangents bound it from below, and a bound above it would bound the
        arguments of its function as well.
        """
        if not self._radii:
            return False
        radius = self._radii.pop(0)
        low, high = self.form.column_lower, self.form.column_upper
        endless = np.isinf(low) | np.isinf(high)
        endless[free] = False
        self._boxed = np.flatnonzero(endless)
        clipped = np.clip(low[self._boxed], -radius, None), np.clip(high[self._boxed], None, radius)
        self.session.set_bounds(self._boxed, *clipped)
        return True

    def against_the_wall(self, x: Vector) -> bool:
        """Whether a point lies at the end of the last box, so that more might be gained beyond it."""
        low, high = self.form.column_lower, self.form.column_upper
        endless = np.isinf(low) & (x < 0) | np.isinf(high) & (x > 0)
        return bool((np.abs(x[endless]) >= 0.9 * RADII[-1]).any())

    def unbox(self) -> None:
        """Back to the form's own bounds."""
        self.session.set_bounds(self._boxed, self.form.column_lower[self._boxed], self.form.column_upper[self._boxed])
        self._boxed = np.zeros(0, dtype=np.intp)
