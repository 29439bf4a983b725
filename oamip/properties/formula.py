"""Formulas of linear comparisons, and their disjunctive normal form."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from oamip.properties.sexpressions import Expression, Malformed, shown

__all__ = ["Clause", "Row", "clauses", "conjunction"]

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_NAME = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class Row:
    """``Σ terms[v] · v ≤ bound``; no factor is 0."""

    terms: Mapping[str, float]
    bound: float


Clause: TypeAlias = tuple[Row, ...]
"""Rows that hold together."""


def clauses(formula: Expression, limit: int) -> list[Clause]:
    """The disjunctive normal form: the formula holds if all rows of any one clause do.

    Raises:
        Malformed: it is no formula of ``and``, ``or``, ``<=``, ``>=``, ``=`` over linear terms, or needs more than
            ``limit`` clauses or rows.
    """
    if not isinstance(formula, list) or not formula or not isinstance(formula[0], str):
        raise Malformed(f"'{shown(formula)}' is no condition")
    operator, *parts = formula
    if operator == "or":
        options = [clause for part in parts for clause in clauses(part, limit)]
    elif operator == "and":
        shared, choices = conjunction((clauses(part, limit) for part in parts), limit)
        options = [(*shared, *choice) for choice in choices]
    elif operator in ("<=", ">=", "=") and len(parts) == 2:
        options = [_comparison(operator, _linear(parts[0]), _linear(parts[1]))]
    else:
        raise Malformed(f"'{shown(formula)}' is not read; write it with and, or, <= and >=, each with two sides")
    return options


def conjunction(parts: Iterable[Sequence[Clause]], limit: int) -> tuple[list[Row], list[Clause]]:
    """Several disjunctions that hold together: the rows that hold in every case, and the cases.

    Raises:
        Malformed: there are more than ``limit`` cases, or a hundred times as many rows in all of them.
    """
    shared: list[Row] = []
    choices: list[Clause] = [()]
    for options in parts:
        if len(options) == 1:
            shared += options[0]
            continue
        if len(choices) * len(options) > limit:
            raise Malformed(f"the conditions unfold to more than {limit} cases; split them into several files")
        choices = [(*chosen, *option) for chosen in choices for option in options]
    if len(choices) > 1 and len(choices) * (len(shared) + len(choices[0])) > 100 * limit:
        raise Malformed(f"the conditions unfold to more than {100 * limit} rows; split them into several files")
    return shared, choices


def _comparison(operator: str, left: dict[str, float], right: dict[str, float]) -> Clause:
    below, above = _row(left, right), _row(right, left)
    return {"<=": (below,), ">=": (above,), "=": (below, above)}[operator]


def _row(left: Mapping[str, float], right: Mapping[str, float]) -> Row:
    """``left ≤ right``; the constant of a term stands under the empty name."""
    difference = _sum(left, right, -1.0)
    bound = -difference.pop("", 0.0)
    if not all(map(math.isfinite, (bound, *difference.values()))):
        raise Malformed("a number is too large")
    return Row({name: factor for name, factor in difference.items() if factor}, bound)


def _linear(term: Expression) -> dict[str, float]:
    """A linear term as variable → factor, its constant under the empty name."""
    if isinstance(term, str):
        if _NUMBER.fullmatch(term):
            return {"": float(term)}
        if _NAME.fullmatch(term):
            return {term: 1.0}
        raise Malformed(f"'{term}' is neither a number nor a name")
    operator, *parts = term or [""]
    values = [_linear(part) for part in parts]
    if operator in ("+", "-") and values:
        total = values[0] if operator == "+" or len(values) > 1 else _sum({}, values[0], -1.0)
        for value in values[1:]:
            total = _sum(total, value, 1.0 if operator == "+" else -1.0)
        return total
    if operator == "*" and len(values) == 2 and any(set(value) == {""} for value in values):
        constant, other = values if set(values[0]) == {""} else reversed(values)
        return {name: constant[""] * factor for name, factor in other.items()}
    if operator == "/" and len(values) == 2 and set(values[1]) == {""} and values[1][""]:
        return {name: factor / values[1][""] for name, factor in values[0].items()}
    raise Malformed(f"'{shown(term)}' is no linear term")


def _sum(left: Mapping[str, float], right: Mapping[str, float], factor: float) -> dict[str, float]:
    return {name: left.get(name, 0.0) + factor * right.get(name, 0.0) for name in {**left, **right}}
