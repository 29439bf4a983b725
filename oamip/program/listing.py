"""What a model file has to say, whatever its format: named rows and columns, switched rows, sets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from oamip.errors import InputError
from oamip.program.form import Span, StandardForm
from oamip.program.names import unique

__all__ = ["OBJECTIVE", "Listing", "listing"]

Vector: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.intp]

OBJECTIVE = "objective"


@dataclass(frozen=True)
class Listing:
    """A form in the order in which a file says it.

    Args:
        form: without rows that are free on both sides, and with the rows of indicators, one side each, at the end.
        rows, columns: their names.
        switches: for each of the last rows, the column that turns it on.
        on: the value of that column at which the row holds.
        sets: names of SOS1 sets, and their columns.
    """

    form: StandardForm
    rows: list[str]
    columns: list[str]
    switches: list[int]
    on: list[bool]
    sets: list[tuple[str, list[int]]]

    @property
    def plain(self) -> int:
        """Number of rows that always hold; those behind them are switched."""
        return len(self.rows) - len(self.switches)


def listing(form: StandardForm, kind: str, *, ranges: bool) -> Listing:
    """Bring a form into the order of a file of some ``kind``; without ``ranges``, a row of two sides becomes two rows.

    Raises:
        InputError: something that no such file can say; the message names it.
    """
    _refuse_impossible(form, kind)
    names = [form.row_name(i) for i in range(form.shape[0])]
    parts = [_sided(form.A, form.row_lower, form.row_upper, names, ranges=ranges)]
    switches: list[int] = []
    on: list[bool] = []
    for indicator in form.indicators:
        span = Span(indicator.name, 0, (indicator.rows,))
        block = [span.entry(i) for i in range(indicator.rows)]
        part = _sided(indicator.R, indicator.lower, indicator.upper, block, ranges=False)
        parts.append(part)
        switches += indicator.switch[part.origin].tolist()
        on += indicator.on[part.origin].tolist()
    sets = [(span.entry(i), row) for span, members in _sets(form) for i, row in enumerate(members)]
    # The objective is a row of MPS files, so that its name is taken.
    row_names = unique([OBJECTIVE, *(name for part in parts for name in part.names)])[1:]
    return Listing(
        form=replace(
            form,
            A=sp.vstack([part.A for part in parts], format="csr"),
            row_lower=np.concatenate([part.lower for part in parts]),
            row_upper=np.concatenate([part.upper for part in parts]),
            rows=(),
            indicators=(),
            sos1=(),
        ),
        rows=row_names,
        columns=unique(form.column_name(j) for j in range(form.shape[1])),
        switches=switches,
        on=on,
        sets=list(zip(unique(name for name, _ in sets), (columns for _, columns in sets), strict=True)),
    )


@dataclass(frozen=True)
class _Part:
    A: sp.csr_array
    lower: Vector
    upper: Vector
    names: list[str]
    origin: Indices


def _sided(A: sp.csr_array, lower: Vector, upper: Vector, names: list[str], *, ranges: bool) -> _Part:
    """The rows that say something; the lower sides of ranges come behind, where ranges are not to be."""
    two_sided = np.isfinite(lower) & np.isfinite(upper) & (lower != upper) & (not ranges)
    said = np.flatnonzero(np.isfinite(lower) | np.isfinite(upper))
    twice = np.flatnonzero(two_sided)
    origin = np.concatenate([said, twice])
    return _Part(
        A=A[origin],
        lower=np.concatenate([np.where(two_sided, -np.inf, lower)[said], lower[twice]]),
        upper=np.concatenate([upper[said], np.full(twice.size, np.inf)]),
        names=[names[i] for i in said] + [f"{names[i]}.low" for i in twice],
        origin=origin,
    )


def _sets(form: StandardForm) -> list[tuple[Span, list[list[int]]]]:
    return [(Span(atom.name, 0, (atom.rows,)), atom.members.tolist()) for atom in form.sos1]


def _refuse_impossible(form: StandardForm, kind: str) -> None:
    """A file has no words for these; a reader would take them for something else."""
    if form.epigraphs:
        names = ", ".join(epigraph.name for epigraph in form.epigraphs)
        remedy = "`oamip.solving.export` writes their refined master"
        raise InputError(f"{kind} has no convex epigraphs ({names}); {remedy}")
    for indicator in form.indicators:
        span = Span(indicator.name, 0, (indicator.rows,))
        _refuse_sides(indicator.lower, indicator.upper, "row", span.entry)
        _refuse_infinite(indicator.R.data, kind)
    _refuse_sides(form.row_lower, form.row_upper, "row", form.row_name)
    limits = form.column_lower, form.column_upper
    wrong = np.flatnonzero(~((limits[0] < np.inf) & (limits[1] > -np.inf)))
    if wrong.size:
        j = int(wrong[0])
        raise InputError(f"column {form.column_name(j)} has bounds [{limits[0][j]:g}, {limits[1][j]:g}]")
    _refuse_infinite(np.concatenate([form.A.data, form.cost, [form.constant]]), kind)


def _refuse_sides(lower: Vector, upper: Vector, what: str, name: Callable[[int], str]) -> None:
    wrong = np.flatnonzero(~((lower <= upper) & (lower < np.inf) & (upper > -np.inf)))
    if wrong.size:
        i = int(wrong[0])
        raise InputError(f"{what} {name(i)} has bounds [{lower[i]:g}, {upper[i]:g}], which nothing meets")


def _refuse_infinite(numbers: Vector, kind: str) -> None:
    if not np.isfinite(numbers).all():
        raise InputError(f"a coefficient of the program is infinite or not a number, which {kind} cannot say")
