"""Drivers that lie, hang and crash, for tests of whoever relies on solvers.

A `Liar` asks an honest solver (HiGHS) and twists what it says. Each class below tells one lie, takes no arguments, and
says in its docstring what `oamip.solving.solve` must make of it; ``oamip.testing.liars:FalsePoint`` can be registered
as an entry point like any other driver. Those that do not come back at all (`oamip.testing.silent`) are for tests of
isolation.

    >>> from oamip.solving import solve
    >>> from oamip.testing.instances import knapsack
    >>> solution = solve(knapsack().program, solver=FalsePoint())
    >>> solution.reason, solution.held, solution.warnings[-1].partition(":")[0]
    ('error', 'none', "the solver's point was refused")
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp

from oamip.options import Options
from oamip.program import StandardForm
from oamip.solving import Driver, Outcome, Session, Support, find_driver
from oamip.solving.outcome import no_bound
from oamip.testing.silent import Crashing, Exiting, Hanging, HangingAtOpen, Raising

__all__ = [
    "AlmostBest",
    "ContradictedBound",
    "Crashing",
    "Exiting",
    "FalseIntegers",
    "FalsePoint",
    "FalselyInfeasible",
    "FalselyOptimal",
    "FalselyUnbounded",
    "Hanging",
    "HangingAtOpen",
    "InfeasibleWithPoint",
    "Liar",
    "NoBound",
    "NotNumbers",
    "OptimalWithoutPoint",
    "OutOfBounds",
    "PoorAndSure",
    "Raising",
    "Scribbler",
    "Twist",
    "UndefinedBound",
    "WordsForBound",
    "WordsForPoint",
    "WrongLength",
]

Twist: TypeAlias = Callable[[StandardForm, Options, Outcome], Outcome]

WORSE = 1e3  # how far off false numbers are


class Liar:
    """A driver that asks another one, and changes question and claim.

    Args:
        twist: from form, options and honest claim to what is claimed.
        turn: from form and options to what the honest solver is asked.
        inner: the honest one.
        support: what the liar says that it can do.
    """

    name: str = "liar"
    support: Support

    def __init__(
        self,
        twist: Twist | None = None,
        turn: Callable[[StandardForm, Options], tuple[StandardForm, Options]] | None = None,
        *,
        inner: str | Driver = "highs",
        support: Support | None = None,
    ) -> None:
        self._inner = find_driver(inner)
        self.support = support or replace(self._inner.support, hot=False, duals=False)
        self._twist, self._turn = twist, turn

    def open(self, form: StandardForm, options: Options) -> Session:
        """A session without memory, each solve of which is twisted."""
        return Session(form, options, self._run)

    def _run(self, form: StandardForm, options: Options) -> Outcome:
        asked = self._turn(form, options) if self._turn else (form, options)
        with self._inner.open(*asked) as session:
            honest = replace(session.solve(), points=())  # else an honest point on the way would mend the lie
        return self._twist(form, options, honest) if self._twist else honest


# ── points ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class FalsePoint(Liar):
    """Violates a row: refused, the row is named."""

    name = "false_point"

    def __init__(self) -> None:
        super().__init__(lambda form, _, claim: replace(claim, x=_breaking_a_row(form, claim)))


class OutOfBounds(Liar):
    """Leaves the bounds of a column: refused, the column is named."""

    name = "out_of_bounds"

    def __init__(self) -> None:
        super().__init__(lambda form, _, claim: replace(claim, x=_below_a_bound(form, claim)))


class FalseIntegers(Liar):
    """Gives the relaxation's point for integers: refused, the column is named."""

    name = "false_integers"

    def __init__(self) -> None:
        super().__init__(turn=lambda form, options: (replace(form, integer=np.zeros_like(form.integer)), options))


class NotNumbers(Liar):
    """NaN in the point: refused."""

    name = "not_numbers"

    def __init__(self) -> None:
        super().__init__(lambda form, _, claim: replace(claim, x=np.full(form.shape[1], np.nan)))


class WrongLength(Liar):
    """A number too few: refused."""

    name = "wrong_length"

    def __init__(self) -> None:
        super().__init__(lambda form, _, claim: replace(claim, x=np.zeros(form.shape[1] - 1)))


# ── status ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class OptimalWithoutPoint(Liar):
    """Calls itself optimal and gives no point: an error that says so."""

    name = "optimal_without_point"

    def __init__(self) -> None:
        super().__init__(lambda _form, _, claim: replace(claim, reason="optimal", x=None))


class FalselyOptimal(Liar):
    """Calls the worst feasible point optimal, with an honest bound: held as feasible, not proven."""

    name = "falsely_optimal"

    def __init__(self) -> None:
        super().__init__(lambda form, options, claim: replace(claim, reason="optimal", x=self._worst(form, options)))

    def _worst(self, form: StandardForm, options: Options) -> np.ndarray | None:
        turned = replace(form, sense="max" if form.sense == "min" else "min")
        with self._inner.open(turned, options.with_(start=None)) as session:
            return session.solve().x


class PoorAndSure(FalselyOptimal):
    """Calls the worst feasible point optimal, with a bound to match: only a better start gives it away, or duals.

    Duals do in a linear program: without integers and logic.
    """

    name = "poor_and_sure"

    def __init__(self) -> None:
        super().__init__()
        self._twist = self._claim

    def _claim(self, form: StandardForm, options: Options, claim: Outcome) -> Outcome:
        x = self._worst(form, options)
        return claim if x is None else replace(claim, reason="optimal", x=x, bound=form.objective(x))


class AlmostBest(Liar):
    """Calls optimal what is worse than the best by a hundred-thousandth, with a bound to match: as above."""

    name = "almost_best"

    def __init__(self) -> None:
        super().__init__(self._claim)

    def _claim(self, form: StandardForm, options: Options, claim: Outcome) -> Outcome:
        if claim.x is None:
            return claim
        best, worse = form.objective(claim.x) - form.constant, 1e-5 * abs(form.objective(claim.x))
        side = best + worse if _least(form) else best - worse
        low, high = (side, np.inf) if _least(form) else (-np.inf, side)
        with self._inner.open(form, options.with_(start=None)) as session:
            session.add_rows(sp.csr_array(form.cost[None]), np.array([low]), np.array([high]))
            x = session.solve().x
        return claim if x is None else replace(claim, x=x, bound=form.objective(x))


class FalselyInfeasible(Liar):
    """Calls everything infeasible: an error where a start, or another solver, shows a feasible point."""

    name = "falsely_infeasible"

    def __init__(self) -> None:
        super().__init__(lambda _form, _, claim: replace(claim, reason="infeasible", x=None))


class InfeasibleWithPoint(Liar):
    """Calls a program infeasible and gives a feasible point of it: an error, with the point held."""

    name = "infeasible_with_point"

    def __init__(self) -> None:
        super().__init__(lambda _form, _, claim: replace(claim, reason="infeasible"))


class FalselyUnbounded(Liar):
    """Calls everything unbounded: an error where bounds, or a second solver, show an optimum."""

    name = "falsely_unbounded"

    def __init__(self) -> None:
        super().__init__(lambda form, _, claim: replace(claim, reason="unbounded", x=None, bound=-no_bound(form)))


# ── bounds ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class ContradictedBound(Liar):
    """A bound beyond its own point: dropped, so nothing is proven."""

    name = "contradicted_bound"

    def __init__(self) -> None:
        super().__init__(lambda form, _, claim: replace(claim, bound=claim.bound + (WORSE if _least(form) else -WORSE)))


class NoBound(Liar):
    """Optimal, without a bound: held as feasible, not proven."""

    name = "no_bound"

    def __init__(self) -> None:
        super().__init__(lambda form, _, claim: replace(claim, bound=no_bound(form)))


class UndefinedBound(Liar):
    """NaN as a bound: dropped."""

    name = "undefined_bound"

    def __init__(self) -> None:
        super().__init__(lambda _form, _, claim: replace(claim, bound=np.nan))


class WordsForBound(Liar):
    """A word, as a log would say it, in place of a bound: dropped, and named."""

    name = "words_for_bound"

    def __init__(self) -> None:
        super().__init__(lambda _form, _, claim: replace(claim, bound=f"{claim.bound:g}"))  # type: ignore[arg-type]


class WordsForPoint(Liar):
    """Names of columns in place of their values: refused, and named."""

    name = "words_for_point"

    def __init__(self) -> None:
        super().__init__(lambda form, _, claim: replace(claim, x=np.array([span.name for span in form.columns])))


# ── the question itself ────────────────────────────────────────────────────────────────────────────────────────────


class Scribbler(Liar):
    """Widens the right-hand sides that it was given, in place, so that its point seems to fit: it cannot."""

    name = "scribbler"

    def __init__(self) -> None:
        super().__init__(turn=self._scribbled)

    def _scribbled(self, form: StandardForm, options: Options) -> tuple[StandardForm, Options]:
        np.add(form.row_upper, WORSE, out=form.row_upper)
        return form, options


# ── how ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _least(form: StandardForm) -> bool:
    return form.sense == "min"


def _breaking_a_row(form: StandardForm, claim: Outcome) -> np.ndarray | None:
    """A point within the bounds, integers whole, that breaks a row; the honest one where there is none."""
    for x in (np.nan_to_num(form.column_upper, posinf=1e6), np.nan_to_num(form.column_lower, neginf=-1e6)):
        activity = form.A @ x
        if ((activity < form.row_lower - 1.0) | (activity > form.row_upper + 1.0)).any():
            return np.round(x)
    return claim.x


def _below_a_bound(form: StandardForm, claim: Outcome) -> np.ndarray | None:
    if claim.x is None:
        return None
    x, bounded = claim.x.copy(), np.flatnonzero(np.isfinite(form.column_lower))
    x[bounded[:1]] = form.column_lower[bounded[:1]] - 1.0
    return x
