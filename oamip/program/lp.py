"""A standard form as a CPLEX LP file: the format that people read.

Numbers are written so that they read back as the same double, the objective names every column, so that columns keep
their order, and every column states its bounds. What readers disagree about is avoided: a row of two sides becomes two
rows, the second one with ``.low`` behind its name (HiGHS reads no others), and the constant of the objective is the
cost of a column ``constant`` that is fixed to 1 (Gurobi takes a bare number for a variable of that name). Rows free on
both sides are left out.

Indicators and SOS1 sets are said as CPLEX, Gurobi and SCIP read them; HiGHS refuses a file that has any.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from oamip.files import write_atomically
from oamip.program.form import Span, StandardForm
from oamip.program.listing import OBJECTIVE, Listing, listing

__all__ = ["write_lp"]

TERMS = 6  # on one line, of which CPLEX reads 560 characters


def write_lp(form: StandardForm, path: Path | str, *, header: tuple[str, ...] = ()) -> None:
    """Write a form, whole or not at all.

    Args:
        form: without epigraphs.
        path: where to; folders are made.
        header: lines of a comment at the top of the file.

    Raises:
        InputError: the form has epigraphs, a row has no value within its bounds, a number is not one, or the file
            cannot be written.
    """
    said = listing(_with_constant(form), "LP", ranges=False)
    lines = [f"\\ {line}" for text in header for line in text.splitlines()]
    text = "\n".join([*lines, *_sections(said), ""])
    write_atomically(Path(path), text.encode("ascii", "replace"))


def _with_constant(form: StandardForm) -> StandardForm:
    """The constant of the objective as the cost of one more column."""
    rows, columns = form.shape
    if not form.constant and columns:
        return form
    wider = [sp.csr_array((form.A.data, form.A.indices, form.A.indptr), shape=(rows, columns + 1))]
    wider += [sp.csr_array((i.R.data, i.R.indices, i.R.indptr), shape=(i.rows, columns + 1)) for i in form.indicators]
    return replace(
        form,
        A=wider[0],
        indicators=tuple(replace(i, R=R) for i, R in zip(form.indicators, wider[1:], strict=True)),
        cost=np.append(form.cost, form.constant),
        constant=0.0,
        column_lower=np.append(form.column_lower, 1.0),
        column_upper=np.append(form.column_upper, 1.0),
        integer=np.append(form.integer, False),
        columns=(*form.columns, Span("constant", columns, ())),
    )


def _sections(said: Listing) -> Iterator[str]:
    form, names = said.form, said.columns
    yield "Minimize" if form.sense == "min" else "Maximize"
    yield from _terms(f" {OBJECTIVE}:", zip(form.cost.tolist(), names, strict=True))
    yield "Subject To"
    yield from _rows(said)
    yield "Bounds"
    yield from _bounds(form, names)
    binary = form.integer & (form.column_lower == 0) & (form.column_upper == 1)
    yield from _picked("Binaries", names, binary)
    yield from _picked("Generals", names, form.integer & ~binary)
    if said.sets:
        yield "SOS"
        for name, members in said.sets:
            weighted = " ".join(f"{names[j]}:{weight}" for weight, j in enumerate(members, start=1))
            yield f" {name}: S1:: {weighted}"
    yield "End"


def _rows(said: Listing) -> Iterator[str]:
    form, names, starts = said.form, said.columns, said.form.A.indptr.tolist()
    for i, row in enumerate(said.rows):
        run = slice(starts[i], starts[i + 1])
        terms = zip(form.A.data[run].tolist(), (names[j] for j in form.A.indices[run]), strict=True)
        when = ""
        if i >= said.plain:
            switch = i - said.plain
            when = f" {names[said.switches[switch]]} = {int(said.on[switch])} ->"
        *before, last = _terms(f" {row}:{when}", terms if run.start < run.stop else [(0.0, names[0])])
        low, high = float(form.row_lower[i]), float(form.row_upper[i])
        side = f"= {low!r}" if low == high else f"<= {high!r}" if np.isinf(low) else f">= {low!r}"
        yield from (*before, f"{last} {side}")


def _terms(label: str, terms: Iterable[tuple[float, str]]) -> Iterator[str]:
    """A sum over as many lines as it needs."""
    written = [f"{'-' if value < 0 else '+'} {abs(value)!r} {name}" for value, name in terms]
    for first in range(0, len(written), TERMS):
        yield " ".join([label if not first else "   ", *written[first : first + TERMS]])


def _bounds(form: StandardForm, names: list[str]) -> Iterator[str]:
    for name, low, high in zip(names, form.column_lower.tolist(), form.column_upper.tolist(), strict=True):
        if low == high:
            yield f" {name} = {low!r}"
        elif np.isinf(low) and np.isinf(high):
            yield f" {name} free"
        elif np.isinf(high):
            yield f" {name} >= {low!r}"
        else:
            yield f" {'-inf' if np.isinf(low) else repr(low)} <= {name} <= {high!r}"


def _picked(section: str, names: list[str], which: NDArray[np.bool_]) -> Iterator[str]:
    if which.any():
        yield section
        yield from (f" {names[j]}" for j in np.flatnonzero(which))
