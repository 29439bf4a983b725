"""Reading one Pyomo expression as ``Σ a_j x_j + constant``.

It goes through the visitor that Pyomo's own writers use, so parameters, named expressions and products with fixed
variables mean what they mean there. Pyomo's ``LinearStandardFormCompiler`` stands on the same visitor, but loses what
the checker and the messages need: it drops rows that hold trivially, doubles ranged rows, and calls a row of fixed
variables infeasible when it misses by one rounding. The tests compare with it.
"""

from __future__ import annotations

from array import array
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyomo.environ as pyo
from numpy.typing import NDArray
from pyomo.repn.linear import LinearRepnVisitor
from pyomo.repn.util import VarRecorder

from oamip.errors import InputError

__all__ = ["Linear", "LinearReader"]

Vector: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.intp]


class Linear(NamedTuple):
    """``Σ_k coefficients[k] · x[columns[k]] + constant``; no column twice, fixed variables are in the constant."""

    columns: Indices
    coefficients: Vector
    constant: float


class LinearReader:
    """Reads expressions over the given variables (``VarData``, one per column).

    One reader serves one compile: named expressions that several rows share are read once.
    """

    def __init__(self, variables: list[Any]) -> None:
        self._position = {id(variable): j for j, variable in enumerate(variables)}
        free = {id(variable): variable for variable in variables if not variable.fixed}
        self._visitor = LinearRepnVisitor({}, var_recorder=VarRecorder(free, pyo.SortComponents.unsorted))

    def __call__(self, expression: Any, place: Any) -> Linear:
        """Read an expression; ``place`` is the component that it stands in, to be named in errors.

        Raises:
            InputError: it is not linear, has a coefficient without a value, or uses a variable of another model.
        """
        found = self._visitor.walk_expression(expression)
        if found.nonlinear is not None:
            raise InputError(
                f"{_kind(place)} '{place.name}' is not linear: {_short(expression)}; "
                "linearise it, or add the convex part to the program as an epigraph"
            )
        try:
            columns = np.fromiter(map(self._position.__getitem__, found.linear), dtype=np.intp)
            coefficients = array("d", found.linear.values())  # which, unlike numpy, refuses an InvalidNumber
            return Linear(columns, np.array(coefficients), float(found.constant))
        except KeyError as missing:
            stranger = self._visitor.var_map[missing.args[0]].name
            raise InputError(
                f"{_kind(place)} '{place.name}' uses variable '{stranger}', which is not on this model"
            ) from None
        except ValueError as error:  # Pyomo's InvalidNumber: a parameter without a value, a division by zero
            raise InputError(f"{_kind(place)} '{place.name}' has no number where it needs one: {error}") from None


def _kind(component: Any) -> str:
    return str(component.ctype.__name__).lower()


def _short(expression: Any, width: int = 80) -> str:
    text = " ".join(str(expression).split())
    return text if len(text) <= width else text[: width - 1] + "…"
