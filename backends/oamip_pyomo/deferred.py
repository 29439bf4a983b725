"""Rows of a matrix as Pyomo expressions that come into being when somebody looks at them.

A row of a thousand terms is a thousand Pyomo objects, and most rows are never looked at between build and compile. A
`Deferred` expression is a ``LinearExpression`` that still has to be made: to read any attribute of it, ``__class__``
included, makes it one in place, so that code which dispatches on classes never meets anything else. One that is still
`Deferred` when the model is compiled has been seen by nobody, so nobody can have changed it, and it says what its row
in the matrix says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from pyomo.core.expr.numeric_expr import LinearExpression, NumericExpression

__all__ = ["Deferred", "Source", "defer", "origin"]

Objects: TypeAlias = NDArray[np.object_]

_ARGUMENTS = NumericExpression._args_  # the slot itself, which is read without `__getattribute__`


@dataclass(frozen=True)
class Source:
    """A matrix (CSR) over variables (``VarData``, one per column)."""

    matrix: sp.csr_array
    variables: Objects


class Deferred(LinearExpression):  # type: ignore[misc]
    """An expression whose terms are not made yet; the slot of its arguments holds its `origin`."""

    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        _make(self)
        return getattr(self, name)


def defer(source: Source, row: int) -> Deferred:
    """The expression of a row."""
    expression: Deferred = object.__new__(Deferred)
    _ARGUMENTS.__set__(expression, (source, row))
    return expression


def origin(expression: Deferred) -> tuple[Source, int]:
    """Where the row of an expression stands that nobody has looked at."""
    found: tuple[Source, int] = _ARGUMENTS.__get__(expression)
    return found


def _make(expression: Any) -> None:
    source, row = origin(expression)
    run = slice(source.matrix.indptr[row], source.matrix.indptr[row + 1])
    expression.__class__ = LinearExpression
    variables = source.variables[source.matrix.indices[run]].tolist()
    expression.__init__(linear_coefs=source.matrix.data[run].tolist(), linear_vars=variables)
