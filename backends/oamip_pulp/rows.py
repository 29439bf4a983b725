"""The constraints of a problem as rows ``lower ≤ expression ≤ upper``: the program's, then the user's own."""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from pulp import LpAffineExpression, LpConstraint, LpConstraintEQ, LpConstraintGE, LpConstraintLE

from oamip.errors import InputError
from oamip.program import Span
from oamip.solving.backend import Built
from oamip.solving.compiling import unused_name
from oamip_pulp.coefficients import is_number
from oamip_pulp.deferred import MatrixRow, terms_of
from oamip_pulp.ranges import Range

__all__ = ["Row", "Rows", "rows_of"]

Keys: TypeAlias = Mapping[int, str]


class Row(NamedTuple):
    """``lower ≤ terms ≤ upper``: a matrix row, or an ``LpAffineExpression`` without its constant, as PuLP reads it."""

    terms: Any
    lower: float
    upper: float


@dataclass(frozen=True)
class Rows:
    """All rows, and the spans that name them."""

    spans: list[Span]
    rows: list[Row]

    @property
    def expressions(self) -> dict[int, Any]:
        """The rows that are expressions and not rows of a matrix, by their numbers."""
        return {i: row.terms for i, row in enumerate(self.rows) if not isinstance(row.terms, MatrixRow)}

    def add(self, name: str, shape: tuple[int, ...], rows: list[Row]) -> None:
        """Append rows under one name."""
        self.spans.append(Span(name, len(self.rows), shape))
        self.rows.extend(rows)

    def span(self, i: int) -> Span:
        """The span in which row ``i`` lies."""
        return self.spans[bisect.bisect_right(self.spans, i, key=lambda span: span.start) - 1]

    def name(self, i: int) -> str:
        """The name of row ``i``."""
        return self.span(i).entry(i)


def rows_of(built: Built) -> Rows:
    """The rows as they now stand; where a user has deleted some, the others of the block keep their names.

    Raises:
        InputError: a constraint has a sense that is none, or no number on its right side; the message names it.
    """
    # PuLP 3.3 deprecates this mapping in favour of a list, which has lost the names that PuLP gave itself.
    standing: dict[Any, Any] = built.model._constraints
    keys = {id(constraint): str(key) for key, constraint in standing.items()}
    rows, ours = Rows([], []), set[int]()
    for name, entries in built.rows.items():
        shape, flat = (entries.shape, entries.ravel().tolist()) if isinstance(entries, np.ndarray) else ((), [entries])
        _add_block(rows, Span(name, 0, shape), [_standing(entry, keys) for entry in flat])
        ours.update(id(constraint) for entry in flat for constraint in _constraints(entry))
    taken = {span.name for span in rows.spans}
    for key, constraint in standing.items():
        if id(constraint) not in ours:
            rows.add(unused_name(str(key), taken), (), [_row(constraint, str(key))])
    return rows


def _add_block(rows: Rows, block: Span, found: list[dict[str, Row]]) -> None:
    if all(len(kept) == 1 for kept in found):
        rows.add(block.name, block.shape, [row for kept in found for row in kept.values()])
        return
    for i, kept in enumerate(found):
        for key, row in kept.items():
            rows.add(block.entry(i) if len(kept) == 1 else key, (), [row])


def _standing(entry: Any, keys: Keys) -> dict[str, Row]:
    """What is left of an entry of `Built.rows`: one row mostly, none when it was deleted, two when a range differs."""
    if isinstance(entry, LpConstraint):
        key = keys.get(id(entry))
        return {} if key is None else {key: _row(entry, key)}
    if isinstance(entry, LpAffineExpression):
        return {"": Row(entry, -math.inf, math.inf)}
    found = {keys[id(each)]: _row(each, keys[id(each)]) for each in entry if id(each) in keys}
    if len(found) < 2:
        return found
    low, high = found.values()
    if not _same(low.terms, high.terms):
        return found
    return {"": Row(low.terms, max(low.lower, high.lower), min(low.upper, high.upper))}


def _row(constraint: Any, name: str) -> Row:
    sense, constant = constraint.sense, constraint.constant
    if sense not in (LpConstraintLE, LpConstraintEQ, LpConstraintGE):
        raise InputError(f"constraint '{name}' has sense {sense!r}; give it one of LpConstraintLE, EQ and GE")
    if not is_number(constant):
        raise InputError(f"constraint '{name}' has {constant!r} on its right side; give it a finite number")
    right = -float(constant)
    lower = -math.inf if sense == LpConstraintLE else right
    upper = math.inf if sense == LpConstraintGE else right
    return Row(terms_of(constraint), lower, upper)


def _same(terms: Any, others: Any) -> bool:
    if isinstance(terms, MatrixRow) and isinstance(others, MatrixRow):
        return terms == others
    left, right = (each.expression() if isinstance(each, MatrixRow) else each for each in (terms, others))
    return dict.__eq__(left, right)  # PuLP's own comparison makes a constraint


def _constraints(entry: Any) -> tuple[Any, ...]:
    return entry if isinstance(entry, Range) else (entry,)
