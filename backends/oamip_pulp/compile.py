"""An ``LpProblem``, as its user has left it, as a standard form."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from pulp import LpMinimize

from oamip.errors import InputError
from oamip.program import StandardForm
from oamip.program.logic import CompiledSOS1
from oamip.solving.backend import Built
from oamip.solving.compiling import refuse_false_rows
from oamip_pulp.coefficients import coefficients, is_number
from oamip_pulp.collector import paused_collector
from oamip_pulp.columns import columns_of, limits
from oamip_pulp.deferred import MatrixRow
from oamip_pulp.reading import read
from oamip_pulp.rows import Rows
from oamip_pulp.sets import Sets

__all__ = ["compile_problem"]

Vector: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.intp]


def compile_problem(built: Built) -> StandardForm:
    """The standard form: columns, rows and sets of the program first, then the user's own; the program's other atoms.

    Raises:
        InputError: something in the problem is no number or not mixed-integer linear; the message names it.
        InfeasibleProgram: a constraint without variables does not hold.
    """
    with paused_collector():  # reading makes as many small objects as building
        reading = read(built)
        columns = columns_of(built, reading.mentioned)
        bounds = limits(columns.variables)
        width = len(columns.variables)
        count = sum(map(len, reading.rows.expressions.values()))
        in_rows, in_objective, in_sets = np.split(columns.mentioned, [count, count + len(reading.objective)])
        A, lower, upper = _arrays(reading.rows, in_rows, width)
        cost, constant = _objective(reading.objective, in_objective, width)
    atoms = built.program.atoms(width)  # the user's own columns, which come last, have no part in them
    form = StandardForm(
        A=A,
        row_lower=lower,
        row_upper=upper,
        column_lower=bounds.lower,
        column_upper=bounds.upper,
        integer=bounds.integer,
        cost=cost,
        constant=constant,
        sense="min" if built.model.sense == LpMinimize else "max",
        columns=columns.spans,
        rows=tuple(reading.rows.spans),
        epigraphs=atoms["epigraphs"],
        indicators=atoms["indicators"],
        sos1=_compiled(reading.sets, in_sets),
    )
    refuse_false_rows(form)
    return form


def _arrays(rows: Rows, columns: Indices, width: int) -> tuple[sp.csr_array, Vector, Vector]:
    numbers = list(rows.expressions)
    data = coefficients(list(rows.expressions.values()), lambda k: f"constraint '{rows.name(numbers[k])}'")
    pieces, place = [], 0
    for row in rows.rows:
        if isinstance(row.terms, MatrixRow):
            pieces.append(row.terms.arrays())
        else:
            run = slice(place, place + len(row.terms))
            pieces.append((columns[run], data[run]))
            place = run.stop
    triple = (
        np.concatenate([np.empty(0), *(values for _, values in pieces)]),
        np.concatenate([np.empty(0, dtype=np.intp), *(places for places, _ in pieces)]),
        np.cumsum([0, *(values.size for _, values in pieces)]),
    )
    A = sp.csr_array(triple, shape=(len(rows.rows), width))
    A.eliminate_zeros()
    A.sort_indices()
    lower = np.array([row.lower for row in rows.rows], dtype=np.float64)
    return A, lower, np.array([row.upper for row in rows.rows], dtype=np.float64)


def _objective(expression: Any, columns: Indices, width: int) -> tuple[Vector, float]:
    if not is_number(expression.constant):
        raise InputError(f"the objective has the constant {expression.constant!r}; give it a finite number")
    cost = np.zeros(width)
    cost[columns] = coefficients([expression], lambda _: "the objective")
    return cost, float(expression.constant)


def _compiled(sets: list[Sets], columns: Indices) -> tuple[CompiledSOS1, ...]:
    parts = np.split(columns, np.cumsum([len(each.members) for each in sets])[:-1]) if sets else []
    return tuple(CompiledSOS1(each.name, part.reshape(each.shape)) for each, part in zip(sets, parts, strict=True))
