"""A standard form as a free-format MPS file that any MIP solver reads.

Numbers are written so that they read back as the same double. What readers disagree about is said explicitly: every
column has its entries in BOUNDS (some take an integer column without any as binary), LO stands before UP, and the
constant of the objective is minus the right-hand side of its row. A form to be maximised says so in OBJSENSE, a section
that CBC skips with no more than a line in its log. Two things cannot be said in the format: rows free on both sides are
left out, and the far side of a range is its near side plus or minus the width, so it may be one rounding off.

Indicators and SOS1 sets stand in sections of those names, as CPLEX, Gurobi and SCIP read them; others refuse the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from oamip.files import write_atomically
from oamip.program.form import StandardForm
from oamip.program.listing import OBJECTIVE, Listing, listing
from oamip.program.names import clean

__all__ = ["write_mps"]


def write_mps(form: StandardForm, path: Path | str, *, header: tuple[str, ...] = ()) -> None:
    """Write a form, whole or not at all.

    Args:
        form: without epigraphs.
        path: where to; folders are made.
        header: lines of a comment at the top of the file.

    Raises:
        InputError: the form has epigraphs, a row has no value within its bounds, a number is not one, or the file
            cannot be written.
    """
    said = listing(form, "MPS", ranges=True)
    lines = [f"* {line}" for text in header for line in text.splitlines()]
    text = "\n".join([*lines, *_sections(said, clean(Path(path).stem)), ""])
    write_atomically(Path(path), text.encode("ascii", "replace"))  # a λ in a comment must not cost the file


def _sections(said: Listing, name: str) -> Iterator[str]:
    form, kinds = said.form, _row_kinds(said.form)
    yield f"NAME {name}"
    if form.sense == "max":  # old readers know no such section, so it stands there only when it must
        yield from ("OBJSENSE", "    MAX")
    yield from ("ROWS", f" N {OBJECTIVE}")
    yield from (f" {kind} {row}" for kind, row in zip(kinds, said.rows, strict=True))
    yield "COLUMNS"
    yield from _columns(form, said.rows, said.columns)
    yield from ("RHS", *_right_hand_sides(form, kinds, said.rows))
    yield from ("RANGES", *_ranges(form, kinds, said.rows))
    yield from ("BOUNDS", *_bounds(form, said.columns))
    if said.sets:
        yield from ("SOS", *_sets(said))
    if said.switches:
        yield from ("INDICATORS", *_indicators(said))
    yield "ENDATA"


def _row_kinds(form: StandardForm) -> list[str]:
    """E, L or G; a range hangs on the side nearer to zero, so that a huge other side rounds nothing of it away."""
    lower, upper = form.row_lower, form.row_upper
    hangs_low = np.isinf(upper) | (np.isfinite(lower) & (np.abs(lower) < np.abs(upper)))
    return [str(kind) for kind in np.where(lower == upper, "E", np.where(hangs_low, "G", "L"))]


def _columns(form: StandardForm, rows: list[str], columns: list[str]) -> Iterator[str]:
    matrix = form.A.tocsc()
    starts, cost, integer = matrix.indptr.tolist(), form.cost.tolist(), form.integer.tolist()
    within = False
    for j, column in enumerate(columns):
        if integer[j] != within:
            within = integer[j]
            yield _marker(j, "INTORG" if within else "INTEND")
        run = slice(starts[j], starts[j + 1])
        # The entry in the objective, though it may be zero, declares the column.
        yield f" {column} {OBJECTIVE} {cost[j]!r}"
        for i, value in zip(matrix.indices[run].tolist(), matrix.data[run].tolist(), strict=True):
            yield f" {column} {rows[i]} {value!r}"
    if within:
        yield _marker(len(columns), "INTEND")


def _marker(number: int, end: str) -> str:
    return f" MARKER{number} 'MARKER' '{end}'"


def _right_hand_sides(form: StandardForm, kinds: list[str], rows: list[str]) -> Iterator[str]:
    if form.constant:
        yield f" RHS {OBJECTIVE} {-form.constant!r}"
    sides = np.where(np.array(kinds) == "G", form.row_lower, form.row_upper).tolist()
    yield from (f" RHS {row} {side!r}" for row, side in zip(rows, sides, strict=True) if side)


def _ranges(form: StandardForm, kinds: list[str], rows: list[str]) -> Iterator[str]:
    lower, upper = form.row_lower.tolist(), form.row_upper.tolist()
    for kind, row, low, high in zip(kinds, rows, lower, upper, strict=True):
        if kind in ("L", "G") and np.isfinite(low) and np.isfinite(high):
            yield f" RANGE {row} {high - low!r}"


def _bounds(form: StandardForm, columns: list[str]) -> Iterator[str]:
    limits = zip(form.column_lower.tolist(), form.column_upper.tolist(), form.integer.tolist(), strict=True)
    for column, (low, high, integer) in zip(columns, limits, strict=True):
        if integer and (low, high) == (0.0, 1.0):
            yield f" BV BOUND {column}"
        elif low == high:
            yield f" FX BOUND {column} {low!r}"
        elif low == -np.inf and high == np.inf:
            yield f" FR BOUND {column}"
        else:
            yield f" MI BOUND {column}" if low == -np.inf else f" LO BOUND {column} {low!r}"
            yield f" PL BOUND {column}" if high == np.inf else f" UP BOUND {column} {high!r}"


def _sets(said: Listing) -> Iterator[str]:
    for name, members in said.sets:
        yield f" S1 {name}"
        yield from (f"    {said.columns[j]} {weight}" for weight, j in enumerate(members, start=1))


def _indicators(said: Listing) -> Iterator[str]:
    for row, column, on in zip(said.rows[said.plain :], said.switches, said.on, strict=True):
        yield f" IF {row} {said.columns[column]} {int(on)}"
