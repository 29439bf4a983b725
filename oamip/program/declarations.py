"""What may be declared in a program: each check raises `InputError` that names what is wrong, and the way out."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oamip.errors import InputError
from oamip.program.blocks import Block
from oamip.program.expression import Expression, Rows

__all__ = ["check_blocks", "check_name", "check_picks", "check_rows", "inwards", "shape_of", "sides_of"]

Vector: TypeAlias = NDArray[np.float64]

_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*")


def check_picks(blocks: Mapping[str, Block], name: str, expression: Expression, *, binary: bool) -> None:
    """Every entry must be one plain variable, and a ``binary`` one where that is asked."""
    check_blocks(blocks, name, expression)
    entries = np.zeros(expression.size, dtype=np.intp)
    plain = expression.constant == 0
    for block, matrix in expression.terms.items():
        rows = np.repeat(np.arange(expression.size), np.diff(matrix.indptr))
        entries += np.bincount(rows, minlength=expression.size)
        plain[rows[matrix.data != 1]] = False
        if binary and matrix.nnz and blocks[block].domain != "binary":
            raise InputError(f"'{name}': the switches in '{block}' are not binary variables")
    wrong = np.flatnonzero(~plain | (entries != 1))
    if wrong.size:
        raise InputError(f"'{name}': entry {wrong[0]} is an expression; name a variable, and tie it by a row")


def check_name(program: str, name: str, taken: Mapping[str, object], kind: str) -> None:
    """A name must be an identifier that is not taken."""
    if not isinstance(name, str) or not _IDENTIFIER.fullmatch(name):
        raise InputError(f"{kind} '{name}': a name must match [a-z][a-z0-9_]*")
    if name in taken:
        raise InputError(f"{kind} '{name}' exist already in program '{program}'")


def check_rows(blocks: Mapping[str, Block], name: str, rows: Rows) -> None:
    """Rows must be comparisons of expressions over these blocks, with sides that are numbers."""
    if not isinstance(rows, Rows):
        raise InputError(f"rows '{name}': {rows!r} is no comparison; write one, such as x.sum() <= 5")
    check_blocks(blocks, name, rows.expression)
    if np.isnan(rows.lower).any() or np.isnan(rows.upper).any():
        raise InputError(f"rows '{name}': a side is not a number (NaN); use -inf and inf where there is none")


def check_blocks(blocks: Mapping[str, Block], name: str, expression: Expression) -> None:
    """An expression must be one of these blocks, with finite coefficients and constants."""
    if not isinstance(expression, Expression):
        raise InputError(f"'{name}': {expression!r} is no expression of variables; wrap numbers: constant([1, 2])")
    for block, matrix in expression.terms.items():
        if block not in blocks or blocks[block].size != matrix.shape[1]:
            raise InputError(f"'{name}' uses variables '{block}', which are not those of this program")
        if not np.isfinite(matrix.data).all():
            raise InputError(f"'{name}': a coefficient of '{block}' is infinite or NaN; leave such terms out")
    if not np.isfinite(expression.constant).all():
        raise InputError(f"'{name}': a constant is infinite or NaN; an infinite side belongs to the comparison")


def shape_of(name: str, shape: Any) -> tuple[int, ...]:
    """A shape as a tuple of lengths."""
    try:
        full = tuple(operator.index(length) for length in (shape if isinstance(shape, tuple | list) else (shape,)))
    except TypeError:
        full = (-1,)
    if min(full, default=0) < 0:
        raise InputError(
            f"variables '{name}': the shape is {shape!r}; it must be a whole number ≥ 0 or a tuple of them"
        )
    return full


def sides_of(what: str, lower: ArrayLike, upper: ArrayLike, shape: tuple[int, ...]) -> tuple[Vector, Vector]:
    """Lower and upper bounds as flat arrays of their own, known to be numbers with something finite between them."""
    try:
        low, high = (
            np.broadcast_to(np.asarray(side, dtype=np.float64), shape).ravel().copy() for side in (lower, upper)
        )
    except (TypeError, ValueError) as error:
        raise InputError(f"{what}: bounds must be numbers, one for all or an array of shape {shape}: {error}") from None
    wrong = np.flatnonzero(~((low <= high) & (low < np.inf) & (high > -np.inf)))
    if wrong.size:
        raise InputError(
            f"{what}, entry {wrong[0]}: no number lies between {low[wrong[0]]} and {high[wrong[0]]}; a lower bound "
            "exceeds its upper bound, is not a number, or is infinite on the wrong side"
        )
    return low, high


def inwards(low: Vector, high: Vector) -> tuple[Vector, Vector]:
    """Bounds of integers at integers, since solvers round such bounds with tolerances of their own, some wrongly."""
    return np.ceil(low - 1e-9) + 0.0, np.floor(high + 1e-9) + 0.0  # + 0.0 turns −0.0 into 0.0
