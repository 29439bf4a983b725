"""What every backend needs when it compiles a model: free names, and rows in which nothing is left to decide."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.errors import InfeasibleProgram
from oamip.program import StandardForm
from oamip.program.check import TOLERANCE

__all__ = ["refuse_false_rows", "unused_name"]

Vector: TypeAlias = NDArray[np.float64]


def unused_name(name: str, taken: set[str]) -> str:
    """``name``, or the first of ``name_``, ``name__`` ... that is free; it is taken from now on."""
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def refuse_false_rows(form: StandardForm, constants: Vector | float = 0.0) -> None:
    """Refuse a form with a row of no variables that does not hold, since languages may not even know such rows.

    Args:
        form: as compiled.
        constants: per row, what fixed variables and constants add up to, whose rounding a row is allowed.

    Raises:
        InfeasibleProgram: there is such a row; names it.
    """
    beyond = np.maximum(form.row_lower, -form.row_upper)  # how far 0 is from the row
    false = np.flatnonzero((np.diff(form.A.indptr) == 0) & (beyond > TOLERANCE * np.maximum(1.0, np.abs(constants))))
    if not false.size:
        return
    row = int(false[0])
    block = next(span.name for span in form.rows if span.start <= row < span.slice.stop)
    sides = f"[{form.row_lower[row]:g}, {form.row_upper[row]:g}]"
    text = f"constraint '{form.row_name(row)}' cannot hold: no variable is left in it, and 0 is not in {sides}"
    raise InfeasibleProgram(text, rows=(block,))
