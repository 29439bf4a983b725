"""A standard form as a free-format MPS file that any MIP solver reads.

Numbers are written so that they read back as the same double. What readers disagree about is said explicitly: every
column has its entries in BOUNDS (some take an integer column without any as binary), LO stands before UP, and the
constant of the objective is minus the right-hand side of its row. A form to be maximised says so in OBJSENSE, a section
that CBC skips with no more than a line in its log. Two things cannot be said in the format: rows free on both sides are
left out, and the far side of a range is its near side plus or minus the width, so it may be one rounding off.

Names stay readable: ``keep[3]`` is ``keep(3)`` and ``ship[1,2]`` is ``ship(1,2)``; characters that readers may trip
over become ``_``, and a name that is then taken gets ``~2``, ``~3`` and so on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from oamip.errors import InputError
from oamip.files import write_atomically
from oamip.program.form import StandardForm

__all__ = ["write_mps"]

OBJECTIVE = "objective"


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
    if form.epigraphs:
        names = ", ".join(epigraph.name for epigraph in form.epigraphs)
        raise InputError(f"MPS has no convex epigraphs ({names}); `oamip.solving.export` writes their refined master")
    _refuse_impossible(form)
    lines = [f"* {line}" for text in header for line in text.splitlines()]
    text = "\n".join([*lines, *_sections(form, _clean(Path(path).stem)), ""])
    write_atomically(Path(path), text.encode("ascii", "replace"))  # a λ in a comment must not cost the file


def _sections(form: StandardForm, name: str) -> Iterator[str]:
    rows = _unique([OBJECTIVE, *(form.row_name(i) for i in range(form.shape[0]))])[1:]
    columns = _unique(form.column_name(j) for j in range(form.shape[1]))
    yield f"NAME {name}"
    if form.sense == "max":  # old readers know no such section, so it stands there only when it must
        yield from ("OBJSENSE", "    MAX")
    yield from ("ROWS", f" N {OBJECTIVE}")
    kinds = _row_kinds(form)
    yield from (f" {kind} {row}" for kind, row in zip(kinds, rows, strict=True) if kind)
    yield "COLUMNS"
    yield from _columns(form, kinds, rows, columns)
    yield from ("RHS", *_right_hand_sides(form, kinds, rows))
    yield from ("RANGES", *_ranges(form, kinds, rows))
    yield from ("BOUNDS", *_bounds(form, columns))
    yield "ENDATA"


def _row_kinds(form: StandardForm) -> list[str]:
    """E, L or G; a range hangs on its larger side, where a rounding weighs least; free rows have no kind."""
    lower, upper = form.row_lower, form.row_upper
    hangs_low = np.isinf(upper) | (np.isfinite(lower) & (np.abs(lower) > np.abs(upper)))
    kinds = np.where(lower == upper, "E", np.where(hangs_low, "G", "L"))
    kinds[np.isinf(lower) & np.isinf(upper)] = ""
    return [str(kind) for kind in kinds]


def _columns(form: StandardForm, kinds: list[str], rows: list[str], columns: list[str]) -> Iterator[str]:
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
            if kinds[i]:
                yield f" {column} {rows[i]} {value!r}"
    if within:
        yield _marker(len(columns), "INTEND")


def _marker(number: int, end: str) -> str:
    return f" MARKER{number} 'MARKER' '{end}'"


def _right_hand_sides(form: StandardForm, kinds: list[str], rows: list[str]) -> Iterator[str]:
    if form.constant:
        yield f" RHS {OBJECTIVE} {-form.constant!r}"
    sides = np.where(np.array(kinds) == "G", form.row_lower, form.row_upper).tolist()
    yield from (f" RHS {row} {side!r}" for kind, row, side in zip(kinds, rows, sides, strict=True) if kind and side)


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


def _refuse_impossible(form: StandardForm) -> None:
    """MPS has no words for these; a reader would take them for something else."""
    sides = form.row_lower, form.row_upper
    wrong = np.flatnonzero(~((sides[0] <= sides[1]) & (sides[0] < np.inf) & (sides[1] > -np.inf)))
    if wrong.size:
        i = int(wrong[0])
        raise InputError(f"row {form.row_name(i)} has bounds [{sides[0][i]:g}, {sides[1][i]:g}], which nothing meets")
    limits = form.column_lower, form.column_upper
    wrong = np.flatnonzero(~((limits[0] < np.inf) & (limits[1] > -np.inf)))
    if wrong.size:
        j = int(wrong[0])
        raise InputError(f"column {form.column_name(j)} has bounds [{limits[0][j]:g}, {limits[1][j]:g}]")
    if not (np.isfinite(form.A.data).all() and np.isfinite(form.cost).all() and np.isfinite(form.constant)):
        raise InputError("a coefficient of the program is infinite or not a number, which MPS cannot say")


def _clean(name: str) -> str:
    """A name without spaces or brackets, that does not look like a number, a comment or the end of anything."""
    cleaned = re.sub(r"[^A-Za-z0-9_.,()~-]", "_", name.replace("[", "(").replace("]", ")"))
    return cleaned if re.match(r"[A-Za-z_]", cleaned) else f"_{cleaned}"


def _unique(names: Iterable[str]) -> list[str]:
    found: dict[str, None] = {}  # an ordered set
    for name in map(_clean, names):
        candidate, copy = name, 1
        while candidate in found:
            copy += 1
            candidate = f"{name}~{copy}"
        found[candidate] = None
    return list(found)
