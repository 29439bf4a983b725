"""The backend without a language: a program is its own model.

Nothing stands between the program and the solver here, so it is the fast path, and the yardstick: what any other
backend compiles must equal what this one compiles, up to the order of rows.

    >>> import numpy as np
    >>> from oamip.program import Program
    >>> program = Program("knapsack")
    >>> take = program.variables("take", 3, domain="binary")
    >>> program.add("weight", np.array([[2.0, 3.0, 4.0]]) @ take <= 5)
    >>> backend = MatrixBackend()
    >>> built = backend.build(program)
    >>> built.model.add("pair", take[0] + take[1] <= 1)
    >>> [span.name for span in backend.compile(built).rows]
    ['weight', 'pair']
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.program import Program, StandardForm
from oamip.solving.backend import Built

__all__ = ["MatrixBackend"]

Vector: TypeAlias = NDArray[np.float64]


class MatrixBackend:
    """Compiles a program directly; ``Built.model`` is the program, and users add to it as they made it."""

    name = "matrix"
    language = "oamip"
    install = "pip install oamip"

    def build(self, program: Program) -> Built:
        """The program itself, with its own blocks as native variables and its own row blocks as native rows."""
        return Built(model=program, columns=program.blocks, program=program, rows=program.rows)

    def compile(self, built: Built) -> StandardForm:
        """The standard form of the program as it now stands."""
        program: Program = built.model
        return program.compile()

    def load(self, built: Built, values: Mapping[str, Vector]) -> None:
        """Nothing: a block of a program holds no value, `Solution` does."""
