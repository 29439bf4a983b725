"""Pyomo: a program as a ``ConcreteModel`` that its users may extend, and back.

    >>> import pyomo.environ as pyo
    >>> from oamip.program import Program
    >>> program = Program("blend")
    >>> share = program.variables("share", 3, lower=0)
    >>> program.add("whole", share.sum() == 1)
    >>> backend = PyomoBackend()
    >>> model = (built := backend.build(program)).model
    >>> model.spare = pyo.Var(bounds=(0, 1))
    >>> model.limit = pyo.Constraint(expr=model.share[0] + model.spare <= 0.5)
    >>> form = backend.compile(built)
    >>> form.column_name(3), form.row_name(0), form.row_name(1)
    ('spare', 'whole', 'limit')

A block ``share`` is the ``Var`` ``model.share`` and a row block ``whole`` the ``Constraint`` ``model.whole``: a scalar
block is a scalar component, other blocks are indexed from 0, by an integer or by a tuple. A name that the model has
taken already (by Pyomo itself, or by a block where rows have the same name) gets a trailing ``_``; the components are
always at hand in ``built.columns`` and ``built.rows``.

A block of SOS1 sets is an indexed ``SOSConstraint``. Indicators and epigraphs have no counterpart among Pyomo's linear
components: the model alone lacks them, and `PyomoBackend.compile` attaches them again, to the variables of a copy
(``dataclasses.replace(built, model=built.model.clone())``) too.

Between `build` and `compile` users may add, change, fix, deactivate and delete as they are used to. What is not
mixed-integer linear is refused by name. Pyomo itself is imported on the first call only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.program import Program, StandardForm
from oamip.solving.backend import Built

__all__ = ["PyomoBackend"]

Vector: TypeAlias = NDArray[np.float64]


class PyomoBackend:
    """Builds ``ConcreteModel``s and reads them back."""

    name = "pyomo"
    language = "pyomo"
    install = "pip install 'pyomo>=6.10' packaging"

    def build(self, program: Program) -> Built:
        """A ``ConcreteModel`` of everything but the indicators and the epigraphs."""
        from oamip_pyomo.build import build

        return build(program)

    def compile(self, built: Built) -> StandardForm:
        """The standard form of the model as it now stands.

        Raises:
            InputError: a component is not mixed-integer linear, a fixed variable has no value, the model has not
                exactly one active objective, or variables of the program were deleted; the message names it.
            InfeasibleProgram: a constraint in which nothing is left to decide does not hold.
        """
        from oamip_pyomo.compile import compile_model

        return compile_model(built)

    def load(self, built: Built, values: Mapping[str, Vector]) -> None:
        """Set ``Var.value`` from values by span name, those of fixed variables aside; spans not given stay as they are.

        Raises:
            InputError: an array has not as many entries as its span.
        """
        from oamip_pyomo.columns import columns_of, load
        from oamip_pyomo.standing import standing

        load(columns_of(standing(built)), values)
