"""A ``ConcreteModel``, as its user has left it, as a standard form."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
import pyomo.environ as pyo
from numpy.typing import NDArray
from pyomo.common.gc_manager import PauseGC

from oamip.errors import InputError
from oamip.program import StandardForm
from oamip.solving.backend import Built
from oamip.solving.compiling import refuse_false_rows
from oamip_pyomo.columns import columns_of, limits
from oamip_pyomo.linear import LinearReader
from oamip_pyomo.rows import RowReader
from oamip_pyomo.sets import sets_of
from oamip_pyomo.standing import standing

__all__ = ["compile_model"]

Vector: TypeAlias = NDArray[np.float64]

# What is read, and what states nothing by itself. Anything else that is active would be lost without a word.
READ = {pyo.Block, pyo.Constraint, pyo.Objective, pyo.SOSConstraint, pyo.Var}
MUTE = {
    pyo.BooleanVar,
    pyo.BuildAction,
    pyo.BuildCheck,
    pyo.Expression,
    pyo.ExternalFunction,
    pyo.Param,
    pyo.RangeSet,
    pyo.Set,
    pyo.Suffix,
}


def compile_model(built: Built) -> StandardForm:
    """The standard form: columns, rows and sets of the program first, then the user's own; the program's other atoms.

    Raises:
        InputError: something in the model is not mixed-integer linear, or variables of the program are not on it or
            stand for others; the message names it.
        InfeasibleProgram: a constraint without free variables does not hold.
    """
    _refuse_unread(built.model)
    built = standing(built)
    with PauseGC():  # reading makes as many small objects as building
        columns = columns_of(built)
        bounds = limits(columns.variables)
        width = len(columns.variables)
        read = LinearReader(columns.variables)
        rows = RowReader(read, columns.variables)
        rows.collect(built)
        A, row_lower, row_upper = rows.arrays()
        cost, constant, sense = _objective(built.model, read, width)
        sets = sets_of(built, columns.variables)
    atoms = built.program.atoms(width)  # the user's own columns, which come last, have no part in them
    form = StandardForm(
        A=A,
        row_lower=row_lower,
        row_upper=row_upper,
        column_lower=bounds.lower,
        column_upper=bounds.upper,
        integer=bounds.integer,
        cost=cost,
        constant=constant,
        sense=sense,
        columns=columns.spans,
        rows=rows.spans,
        epigraphs=atoms["epigraphs"],
        indicators=atoms["indicators"],
        sos1=sets,
    )
    refuse_false_rows(form, rows.constants)
    return form


def _refuse_unread(model: Any) -> None:
    for block in model.block_data_objects(active=True, descend_into=True):
        for component in block.component_objects(active=True, descend_into=False):
            if component.ctype not in READ | MUTE and len(component):
                raise InputError(
                    f"{component.ctype.__name__} '{component.name}' is not mixed-integer linear; replace it by "
                    "constraints (a pyomo TransformationFactory may do so) or deactivate it"
                )


def _objective(model: Any, read: LinearReader, width: int) -> tuple[Vector, float, Literal["min", "max"]]:
    active = list(model.component_data_objects(pyo.Objective, active=True, descend_into=True))
    if len(active) != 1:
        names = ", ".join(objective.name for objective in active) or "none"
        raise InputError(f"the model must have exactly one active objective, and has {names}: (de)activate others")
    (objective,) = active
    found = read(objective.expr, objective)
    cost = np.zeros(width)
    cost[np.array(found.columns)] = found.coefficients
    return cost, found.constant, "min" if objective.sense == pyo.minimize else "max"
