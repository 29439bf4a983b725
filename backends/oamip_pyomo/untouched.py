"""Reading constraints whose bodies nobody has looked at since they were built, straight from the matrix."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from pyomo.core.expr.relational_expr import EqualityExpression, InequalityExpression, RangedExpression

from oamip_pyomo.deferred import Deferred, origin
from oamip_pyomo.linear import Linear

__all__ = ["SeenByNobody"]


class SeenByNobody:
    """Reads relations whose body is `Deferred`; the variables (``VarData``, one per column) say what is fixed now."""

    def __init__(self, variables: list[Any]) -> None:
        self._variables = variables
        fixed = [variable.fixed for variable in variables]
        self._fixed = np.array(fixed, dtype=np.bool_) if any(fixed) else None
        self._known: dict[int, bool] = {}  # by the variables of a source

    def __call__(self, relation: Any) -> tuple[float, Linear, float] | None:
        """``(lower, row, upper)``, or ``None`` for a relation that must be read term by term."""
        parts = _parts(relation)
        if parts is None:
            return None
        low, body, high = parts
        source, i = origin(body)
        if not self._stand(source.variables):
            return None
        run = slice(source.matrix.indptr[i], source.matrix.indptr[i + 1])
        return low, self._without_fixed(source.matrix.indices[run], source.matrix.data[run]), high

    def _stand(self, variables: Any) -> bool:
        """Whether the variables of a source are still the first columns: some may have been deleted and made anew."""
        key = id(variables)
        if key not in self._known:
            first = self._variables[: variables.size]
            self._known[key] = all(a is b for a, b in zip(variables.tolist(), first, strict=True))
        return self._known[key]

    def _without_fixed(self, columns: Any, coefficients: Any) -> Linear:
        if self._fixed is None or not self._fixed[columns].any():
            return Linear(columns, coefficients, 0.0)
        fixed = self._fixed[columns]
        terms = zip(coefficients[fixed].tolist(), columns[fixed].tolist(), strict=True)
        constant = math.fsum(coefficient * self._variables[j].value for coefficient, j in terms)
        return Linear(columns[~fixed], coefficients[~fixed], constant)


def _parts(relation: Any) -> tuple[float, Deferred, float] | None:
    """Lower side, body and upper side of a relation of plain numbers and a `Deferred` body, else ``None``."""
    kind = type(relation)
    if kind not in (EqualityExpression, InequalityExpression, RangedExpression):
        return None
    arguments = relation.args
    if kind is RangedExpression:
        low, body, high = arguments
    elif kind is EqualityExpression:
        body, low = arguments
        high = low
    elif type(arguments[0]) is Deferred:
        low, (body, high) = -math.inf, arguments
    else:
        (low, body), high = arguments, math.inf
    return (low, body, high) if type(body) is Deferred and type(low) is float and type(high) is float else None
