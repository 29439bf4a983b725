"""PuLP: a program as an ``LpProblem`` that its users may extend, and back.

    >>> import pulp
    >>> from oamip.program import Program
    >>> program = Program("blend")
    >>> share = program.variables("share", 3, lower=0)
    >>> program.add("whole", share.sum() == 1)
    >>> backend = PulpBackend()
    >>> model = (built := backend.build(program)).model
    >>> spare = model.add_variable("spare", 0, 1)
    >>> model += built.columns["share"][0] + spare <= 0.5, "limit"
    >>> form = backend.compile(built)
    >>> form.column_name(3), form.row_name(0), form.row_name(1)
    ('spare', 'whole', 'limit')

A block ``share`` of shape (3,) is the array ``built.columns["share"]`` of the ``LpVariable``s ``share_0``, ``share_1``
and ``share_2``, named as by ``LpVariable.dicts``; a scalar block is one ``LpVariable``. Rows are in ``built.rows`` in
the same manner: as an ``LpConstraint``; as a `Range` of two, ``name_lower`` and ``name_upper``, where both sides are
finite and differ, for PuLP has no such rows; as a bare ``LpAffineExpression`` where neither is finite. SOS1 sets are in
``LpProblem.sos1``. Indicators and epigraphs have no counterpart in PuLP: the ``LpProblem`` alone lacks them, and
`PulpBackend.compile` attaches them again.

Between `build` and `compile` users may add, change and delete as they are used to (to a name of their own, as above:
``built.model += row`` would assign to ``built``, which is frozen). PuLP itself is imported on the first
call only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.program import Program, StandardForm
from oamip.solving.backend import Built
from oamip_pulp.ranges import Range

__all__ = ["PulpBackend", "Range"]

Vector: TypeAlias = NDArray[np.float64]


class PulpBackend:
    """Builds ``LpProblem``s and reads them back."""

    name = "pulp"
    language = "pulp"
    install = "pip install 'pulp>=3.3.2,<4'"

    def build(self, program: Program) -> Built:
        """An ``LpProblem`` of everything but the indicators and the epigraphs."""
        from oamip_pulp.build import build

        return build(program)

    def compile(self, built: Built) -> StandardForm:
        """The standard form of the problem as it now stands.

        Raises:
            InputError: a number is missing or not finite, a category is unknown, or a set is of kind 2; the message
                names it.
            InfeasibleProgram: a constraint without variables does not hold.
        """
        from oamip_pulp.compile import compile_problem

        return compile_problem(built)

    def load(self, built: Built, values: Mapping[str, Vector]) -> None:
        """Set ``varValue`` from values by span name; spans not given stay as they are.

        The problem's ``sol_status`` then says that a solution was found, and its ``status`` is "Not Solved": whether
        the solution is optimal is for `oamip.Solution` to say.

        Raises:
            InputError: an array has not as many entries as its span.
        """
        from oamip_pulp.load import load

        load(built, values)
