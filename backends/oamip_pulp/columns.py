"""The variables of a problem as columns: the program's in block order, then the user's own as they are mentioned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pulp import LpBinary, LpContinuous, LpInteger

from oamip.errors import InputError
from oamip.program import Span
from oamip.solving.backend import Built
from oamip.solving.compiling import unused_name
from oamip_pulp.coefficients import is_number

__all__ = ["Columns", "Limits", "columns_of", "limits"]

Vector: TypeAlias = NDArray[np.float64]
Objects: TypeAlias = NDArray[np.object_]
Indices: TypeAlias = NDArray[np.intp]


@dataclass(frozen=True)
class Columns:
    """Names of all columns, the ``LpVariable`` that stands for each, and the columns of the variables mentioned."""

    spans: tuple[Span, ...]
    variables: list[Any]
    mentioned: Indices


@dataclass(frozen=True)
class Limits:
    """What the variables themselves say: bounds, and which are integer."""

    lower: Vector
    upper: Vector
    integer: NDArray[np.bool_]


def columns_of(built: Built, mentioned: Objects) -> Columns:
    """A column for each variable of the program, for each one ``mentioned``, and for each one that the problem knows.

    Variables are told apart by identity: their names need not differ, and comparing them makes constraints.

    Raises:
        InputError: the problem is a copy without the program's variables, on which atoms stand.
    """
    spans = list(built.program.columns())
    variables = [variable for entries in built.columns.values() for variable in np.ravel(entries).tolist()]
    _refuse_copies(built, variables)
    addresses = _addresses(mentioned)
    places = _places(addresses, variables)
    strangers = mentioned[places < 0].tolist()
    own = {id(variable): variable for variable in (*strangers, *built.model._variables)}
    for variable in (*variables, built.model.dummyVar):  # the last is PuLP's own, for solvers that want an objective
        own.pop(id(variable), None)
    taken = {span.name for span in spans}
    for variable in own.values():
        spans.append(Span(unused_name(str(variable.name), taken), len(variables), ()))
        variables.append(variable)
    return Columns(tuple(spans), variables, _places(addresses, variables) if strangers else places)


def _refuse_copies(built: Built, variables: list[Any]) -> None:
    """Rows of a copy are about the copy's variables; atoms that PuLP does not know would stay with the others."""
    if not (built.program.epigraphs or built.program.indicators):
        return
    known = set(map(id, built.model._variables))
    for variable in variables:
        if id(variable) not in known:
            raise InputError(
                f"variable '{variable.name}' of the program is not in this problem, which seems to be a copy, and "
                "indicators or convex functions of the program stand on it: give solve_built the problem that was built"
            )


def limits(variables: list[Any]) -> Limits:
    """Bounds and categories as they now stand.

    Raises:
        InputError: a bound is not a number, or a category is unknown; the message names the variable.
    """
    for variable in variables:
        if variable.cat not in (LpContinuous, LpInteger, LpBinary):
            raise InputError(
                f"variable '{variable.name}' has category {variable.cat!r}; give it one of LpContinuous, LpInteger "
                "and LpBinary"
            )
    binary = np.array([variable.cat == LpBinary for variable in variables], dtype=np.bool_)  # set after it was made
    lower, upper = _bounds(variables, "lowBound", -np.inf), _bounds(variables, "upBound", np.inf)
    return Limits(
        np.where(binary, np.maximum(lower, 0.0), lower),
        np.where(binary, np.minimum(upper, 1.0), upper),
        np.array([variable.cat != LpContinuous for variable in variables], dtype=np.bool_),
    )


def _bounds(variables: list[Any], side: str, missing: float) -> Vector:
    given = [getattr(variable, side) for variable in variables]
    for variable, bound in zip(variables, given, strict=True):
        if not (bound is None or is_number(bound) or bound in (-np.inf, np.inf)):
            raise InputError(f"variable '{variable.name}' has {side} {bound!r}; give it a number or None")
    return np.array([missing if bound is None else bound for bound in given], dtype=np.float64)


def _addresses(variables: Objects) -> Indices:
    # An array of objects is one of their addresses; to ask each for its `id` takes longer than all else in this file.
    return np.frombuffer(variables, dtype=np.intp)


def _places(addresses: Indices, variables: list[Any]) -> Indices:
    """The position of each address among those of ``variables``, −1 for a stranger."""
    if not variables:
        return np.full(addresses.size, -1, dtype=np.intp)
    known = _addresses(np.fromiter(variables, dtype=object))
    order = np.argsort(known)
    nearest = np.searchsorted(known, addresses, sorter=order)
    places = order[np.minimum(nearest, known.size - 1)]
    return np.where(known[places] == addresses, places, -1)
