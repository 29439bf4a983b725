"""Rows of a matrix as PuLP constraints whose expressions come into being when somebody looks at them.

An expression of a thousand terms costs a thousand entries of a dictionary, and most are never looked at between build
and compile. A `DeferredConstraint` makes its ``expr`` on the first look and is a plain ``LpConstraint`` from then on.
While it has none, nobody can have changed it, and it says what its row in the matrix says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from pulp import LpAffineExpression, LpConstraint

__all__ = ["DeferredConstraint", "MatrixRow", "Source", "terms_of"]

Objects: TypeAlias = NDArray[np.object_]
Indices: TypeAlias = NDArray[np.intp]
Vector: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Source:
    """A matrix (CSR) over variables (``LpVariable``, one per column of the program)."""

    matrix: sp.csr_array
    variables: Objects


class MatrixRow(NamedTuple):
    """One row of a source."""

    source: Source
    row: int

    def arrays(self) -> tuple[Indices, Vector]:
        """Columns and coefficients."""
        matrix = self.source.matrix
        run = slice(matrix.indptr[self.row], matrix.indptr[self.row + 1])
        return matrix.indices[run], matrix.data[run]

    def expression(self) -> Any:
        """An ``LpAffineExpression``."""
        columns, coefficients = self.arrays()
        pairs = zip(self.source.variables[columns].tolist(), coefficients.tolist(), strict=True)
        return LpAffineExpression(pairs)


class DeferredConstraint(LpConstraint):  # type: ignore[misc]
    """A row of a matrix, related to its right side by a sense of PuLP."""

    def __init__(self, row: MatrixRow, sense: int, name: str, right: float) -> None:
        super().__init__(None, sense, name, right)
        del self.expr
        self.matrix_row = row

    def __getattr__(self, name: str) -> Any:
        # Python asks this for what is not there: of PuLP's own attributes, that is the expression alone.
        if name != "expr" or "matrix_row" not in self.__dict__:
            raise AttributeError(f"an LpConstraint has no attribute '{name}'")
        self.expr = self.__dict__.pop("matrix_row").expression()
        self.__class__ = LpConstraint
        return self.expr

    def __reduce_ex__(self, protocol: Any) -> Any:
        getattr(self, "expr")  # noqa: B009  # whoever copies a row looks at it: the copy is about copied variables
        return LpConstraint.__reduce_ex__(self, protocol)


def terms_of(constraint: Any) -> Any:
    """The `MatrixRow` of a constraint that nobody has looked at, else its ``LpAffineExpression``."""
    stored = vars(constraint)
    return stored["matrix_row"] if "matrix_row" in stored and "expr" not in stored else constraint.expr
