"""A ``Problem``, as its user has left it, as a standard form."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import cvxpy as cp
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from oamip.program import Span, StandardForm
from oamip.solving.backend import Built
from oamip.solving.compiling import refuse_false_rows
from oamip_cvxpy.additions import Linear, linear, linear_objective, stuff
from oamip_cvxpy.built import CvxpyBuilt, Sides, as_cvxpy
from oamip_cvxpy.columns import Columns, columns_of, limits

__all__ = ["Compiled", "compile_model"]

Vector: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Compiled:
    """A form, and the same problem in CVXPY over exactly its columns.

    ``value`` is the objective turned so that it is minimised, ``constraints`` ours and the user's, those reduced.
    """

    form: StandardForm
    columns: Columns
    value: Any
    constraints: tuple[Any, ...]


def compile_model(built: Built) -> Compiled:
    """The program's rows and columns first, then the user's own.

    Raises:
        InputError: something that the user added is not mixed-integer linear; the message names it.
        InfeasibleProgram: a row without variables does not hold.
    """
    built = as_cvxpy(built)
    columns = columns_of(built)
    model = built.model
    present = [constraint for constraint in model.constraints if constraint in built.states]
    form = _remaining(built, present)
    parts = _added(built)
    if parts:
        columns = _with_auxiliaries(columns, parts)
        form = _extended(form, columns, parts, isinstance(model.objective, cp.Maximize))
    refuse_false_rows(form)
    return Compiled(
        form,
        columns,
        _value(model.objective, parts),
        (*present, *(c for part in parts for c in part.constraints if c.size)),
    )


# ── ours ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _remaining(built: CvxpyBuilt, present: list[Any]) -> StandardForm:
    """The form with what our remaining constraints state; those that were left out leave nothing behind."""
    form = built.form
    gone = [state for constraint, state in built.states.items() if constraint not in set(present)]
    if not gone:
        return form
    lower, upper = form.row_lower.copy(), form.row_upper.copy()
    for state in gone:
        if isinstance(state, Sides) and state.lower:
            lower[state.rows] = -np.inf
        if isinstance(state, Sides) and state.upper:
            upper[state.rows] = np.inf
    emptied = np.isinf(lower) & np.isinf(upper) & (np.isfinite(form.row_lower) | np.isfinite(form.row_upper))
    left_out = {id(state) for state in gone}
    return replace(
        form,
        A=form.A[~emptied],
        row_lower=lower[~emptied],
        row_upper=upper[~emptied],
        rows=_spans(form, ~emptied),
        epigraphs=tuple(atom for atom in form.epigraphs if id(atom) not in left_out),
        indicators=tuple(atom for atom in form.indicators if id(atom) not in left_out),
        sos1=tuple(atom for atom in form.sos1 if id(atom) not in left_out),
    )


def _spans(form: StandardForm, kept: NDArray[np.bool_]) -> tuple[Span, ...]:
    """Names of the rows that are kept: those of a whole block stay one span, others have one each."""
    spans: list[Span] = []
    start = 0
    for span in form.rows:
        rows = np.flatnonzero(kept[span.slice]) + span.start
        if rows.size == span.size:
            spans.append(Span(span.name, start, span.shape))
        else:
            spans += [Span(span.entry(int(row)), start + k, ()) for k, row in enumerate(rows)]
        start += rows.size
    return tuple(spans)


# ── the user's ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _added(built: CvxpyBuilt) -> list[Linear]:
    """The user's objective, if there is one, and then the user's constraints."""
    parts = [] if built.model.objective is built.objective else [linear_objective(built.model.objective)]
    for position, constraint in enumerate(built.model.constraints):
        if constraint not in built.states:
            label = getattr(constraint, "label", None)
            parts.append(linear(constraint, str(label) if label else f"constraints[{position}]"))
    return parts


def _with_auxiliaries(columns: Columns, parts: list[Linear]) -> Columns:
    """With the variables that CVXPY has made."""
    expressions = [*(c for part in parts for c in part.constraints), *(p.value for p in parts if p.value is not None)]
    known = {variable.id for variable in columns.variables}
    found = {v.id: v for expression in expressions for v in expression.variables() if v.id not in known}
    return columns.plus([f"cvxpy{k}" for k in range(1, len(found) + 1)], found.values())


def _value(objective: Any, parts: list[Linear]) -> Any:
    """The objective that is minimised: the user's if there is one, else ours."""
    for part in parts:
        if part.value is not None:
            return part.value
    return -objective.args[0] if isinstance(objective, cp.Maximize) else objective.args[0]


def _extended(form: StandardForm, columns: Columns, parts: list[Linear], maximise: bool) -> StandardForm:
    rows, width = form.shape
    sides = [limits(variable) for variable in columns.variables[len(form.columns) :]]
    lower, upper, integer = ([side[k] for side in sides] for k in range(3))
    more = stuff(parts, columns, {span.name for span in form.rows}, rows)
    new_objective = any(part.value is not None for part in parts)
    if new_objective:
        sign = -1.0 if maximise else 1.0
        cost, constant = sign * more.cost + 0.0, sign * more.constant
    else:
        cost, constant = np.concatenate([form.cost, np.zeros(columns.width - width)]), form.constant
    return replace(
        form,
        A=sp.vstack([_widened(form.A, columns.width), more.A], format="csr"),
        row_lower=np.concatenate([form.row_lower, more.lower]),
        row_upper=np.concatenate([form.row_upper, more.upper]),
        column_lower=np.concatenate([form.column_lower, *lower]),
        column_upper=np.concatenate([form.column_upper, *upper]),
        integer=np.concatenate([form.integer, *integer]),
        cost=cost,
        constant=constant,
        sense="max" if maximise else "min",
        columns=columns.spans,
        rows=(*form.rows, *more.spans),
        epigraphs=tuple(
            replace(e, B=_widened(e.B, columns.width), T=_widened(e.T, columns.width)) for e in form.epigraphs
        ),
        indicators=tuple(replace(i, R=_widened(i.R, columns.width)) for i in form.indicators),
    )


def _widened(matrix: sp.csr_array, width: int) -> sp.csr_array:
    return sp.csr_array((matrix.data, matrix.indices, matrix.indptr), shape=(matrix.shape[0], width))
