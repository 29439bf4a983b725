"""Is it infeasible indeed, and which row blocks cannot hold together? A deletion filter over whole blocks.

Source: Chinneck and Dravnieks 1991. Its first step asks for any point of the whole form, so it also refutes a claim.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.options import Options
from oamip.program import Span, StandardForm, check
from oamip.solving.driver import Driver
from oamip.solving.route import route

__all__ = ["Clash", "clash"]

Vector: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Clash:
    """What the filter found.

    Args:
        names: row blocks and atoms of which none can be left out; empty when that is not known.
        complete: the set is irreducible (there was time to try every block).
        witness: a checked point, when the form is not infeasible at all.
    """

    names: tuple[str, ...] = ()
    complete: bool = True
    witness: Vector | None = None


def clash(form: StandardForm, driver: Driver, options: Options, *, seconds: float) -> Clash:
    """Names of row blocks and atoms of which none can be left out of an infeasible form.

    Column bounds stay in force throughout; when they clash by themselves, the columns are named instead. The linear
    relaxation is filtered if it is infeasible already, since that is quicker.
    """
    crossed = np.flatnonzero(form.column_lower > form.column_upper)
    if crossed.size:
        return Clash(tuple(f"bounds of {form.column_name(int(j))}" for j in crossed[:10]))
    filter_ = _Filter(form, driver, options, time.perf_counter() + seconds)
    kept = _names(form)
    if filter_.infeasible(()):
        whole = [span.name for span in form.columns if form.integer[span.slice].any()]
        return Clash(tuple(f"bounds of {name}" for name in whole))  # no integer lies between them
    if not filter_.infeasible(kept):
        point = filter_.point
        feasible = point is not None and check(form, point).accepted
        return Clash((), complete=False, witness=point if feasible else None)
    for name in list(kept):
        shorter = [other for other in kept if other != name]
        if filter_.infeasible(shorter):
            kept = shorter
    return Clash(tuple(kept), filter_.in_time)


class _Filter:
    """Asks whether parts of a form are infeasible; ``point`` is that of the last part that was not."""

    def __init__(self, form: StandardForm, driver: Driver, options: Options, deadline: float) -> None:
        self._driver, self._deadline = driver, deadline
        self.point: Vector | None = None
        self._options = Options(threads=options.threads, seed=options.seed, feasibility=options.feasibility)
        aimless = replace(form, cost=np.zeros_like(form.cost), constant=0.0)
        logical = bool(form.indicators or form.sos1)  # a solver's own switches must stay integer
        self._form = aimless if logical else replace(aimless, integer=np.zeros_like(form.integer))
        if form.integer.any() and not logical and not self.infeasible(_names(form)):
            self._form = aimless

    @property
    def in_time(self) -> bool:
        return time.perf_counter() < self._deadline

    def infeasible(self, names: list[str] | tuple[()]) -> bool:
        """True when the named blocks alone are proven infeasible in the time left."""
        left = self._deadline - time.perf_counter()
        if left <= 0:
            return False
        part = _only(self._form, set(names))
        outcome = route(part, self._driver, self._options.with_(time_limit=left)).outcome
        self.point = outcome.x
        return outcome.reason == "infeasible"


def _names(form: StandardForm) -> list[str]:
    """Names of row blocks and of atoms."""
    return [part.name for parts in (form.rows, form.epigraphs, form.indicators, form.sos1) for part in parts]


def _only(form: StandardForm, names: set[str]) -> StandardForm:
    """The form with some of its row blocks and atoms."""
    spans, rows, start = [], [np.zeros(0, dtype=np.intp)], 0
    for span in form.rows:
        if span.name in names:
            rows.append(np.arange(span.start, span.start + span.size))
            spans.append(Span(span.name, start, span.shape))
            start += span.size
    which = np.concatenate(rows)
    return replace(
        form,
        A=form.A[which],
        row_lower=form.row_lower[which],
        row_upper=form.row_upper[which],
        rows=tuple(spans),
        epigraphs=tuple(epigraph for epigraph in form.epigraphs if epigraph.name in names),
        indicators=tuple(indicator for indicator in form.indicators if indicator.name in names),
        sos1=tuple(sos1 for sos1 in form.sos1 if sos1.name in names),
    )
