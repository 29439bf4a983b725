"""What a solver claims, before anybody has checked it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from oamip.errors import SolveError
from oamip.program import StandardForm
from oamip.solution import Reason

__all__ = ["Outcome", "no_bound", "well_formed"]

Vector: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Outcome:
    """What a solver claims; nothing here has been checked.

    Args:
        reason: why it stopped. ``optimal`` also when it stopped within the gap that was asked for.
        x: its best point, one number per column, or ``None`` when it has none.
        bound: its best bound in the form's sense, constant included; ``−inf`` (min) or ``inf`` (max) for none.
        nodes: branch-and-bound nodes.
        seconds: wall seconds.
        points: other points that it passed on the way; cut loops cut at them too.
        duals: for a linear program solved to the end, ``y`` with reduced costs ``c − Aᵀy``, else ``None``.
        warnings: what it was asked and could not do, and what it complained of.
        log: its own log.
    """

    reason: Reason
    x: Vector | None
    bound: float
    nodes: int = 0
    seconds: float = 0.0
    points: tuple[Vector, ...] = ()
    duals: Vector | None = None
    warnings: tuple[str, ...] = ()
    log: str = ""


def no_bound(form: StandardForm) -> float:
    """The bound that says nothing: ``−inf`` when minimising, ``inf`` when maximising."""
    return -math.inf if form.sense == "min" else math.inf


def well_formed(form: StandardForm, outcome: Outcome, *, added: int = 0) -> Outcome:
    """The claim without what is none at all: an unknown reason, a bound or a point that are no numbers are named.

    Args:
        form: what was solved.
        outcome: the claim.
        added: rows that the form does not show.

    Raises:
        SolveError: it is no `Outcome`.
    """
    if not isinstance(outcome, Outcome):
        raise SolveError(f"the driver's session gives a {type(outcome).__name__}; it must give an Outcome")
    found = list(_slips(form, outcome, form.shape[0] + added))
    if not found:
        return outcome
    changes = {field: value for field, value, _ in found}
    return replace(outcome, **changes, warnings=(*outcome.warnings, *(text for _, _, text in found)))


def _slips(form: StandardForm, outcome: Outcome, rows: int) -> Iterator[tuple[str, Any, str]]:
    """The field, what is put in its place, and what users are told."""
    if outcome.reason not in get_args(Reason):
        yield "reason", "error", f"the solver stopped with {outcome.reason!r}, which is no reason that there is"
    bound = outcome.bound
    if not isinstance(bound, Real) or math.isnan(bound):
        yield "bound", no_bound(form), f"the solver's bound {bound!r} was dropped: it is no number"
    if outcome.x is not None and not _numeric(outcome.x):
        yield (
            "x",
            None,
            f"the solver's point was refused: it is of type {type(outcome.x).__name__}, no array of numbers",
        )
    passed: Any = outcome.points
    if not isinstance(passed, list | tuple) or not all(map(_numeric, passed)):
        kept = tuple(point for point in passed if _numeric(point)) if isinstance(passed, list | tuple) else ()
        yield "points", kept, "points that the solver had passed were dropped: they are no arrays of numbers"
    y = outcome.duals
    if y is not None and not (_numeric(y) and y.shape == (rows,) and np.isfinite(y).all()):
        yield "duals", None, f"the solver's duals were dropped: they are no {rows} finite numbers, one for each row"


def _numeric(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind in "fiub"
