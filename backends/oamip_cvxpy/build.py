"""A program as a ``Problem``: one ``Variable`` per block, whole sparse matrices, no loop over entries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import cvxpy as cp
import numpy as np
import scipy.sparse as sp
from cvxpy.atoms.affine.sum import sum as add_up
from numpy.typing import NDArray

from oamip.program import Block, Expression, Program, Span, StandardForm
from oamip_cvxpy.atoms import constrain
from oamip_cvxpy.built import Atom, CvxpyBuilt, Sides
from oamip_cvxpy.columns import flat

__all__ = ["build"]

Vector: TypeAlias = NDArray[np.float64]


def build(program: Program) -> CvxpyBuilt:
    """The native problem of a program."""
    form = program.compile()
    columns = {name: _variable(block) for name, block in program.blocks.items()}
    entries = {name: flat(variable) for name, variable in columns.items()}
    states: dict[Any, Sides | Atom] = {}
    rows: dict[str, tuple[Any, ...]] = {}
    for span in form.rows:
        stated = dict(_rows(program.rows[span.name].expression, span, form, entries))
        rows[span.name] = tuple(stated)
        states |= stated
    states |= dict(_crossed(program))
    states |= dict(_atoms(form, entries, list(columns.values())))
    total = add_up(_affine(program.objective, entries)) + form.constant
    objective = cp.Minimize(total) if form.sense == "min" else cp.Maximize(total)
    return CvxpyBuilt(
        model=cp.Problem(objective, list(states)),
        columns=columns,
        program=program,
        rows=rows,
        form=form,
        objective=objective,
        states=states,
    )


def _variable(block: Block) -> Any:
    """A variable with the bounds of its block; those that cross, which CVXPY does not take, are left to `_crossed`."""
    crossed = block.lower > block.upper
    low, high = np.where(crossed, -np.inf, block.lower), np.where(crossed, np.inf, block.upper)
    # Some interfaces of CVXPY forget the bounds of a Boolean, so that one with bounds of its own is an integer here.
    plain = block.domain == "binary" and bool((low == 0).all() and (high == 1).all())
    bounded = not plain and bool((np.isfinite(low) | np.isfinite(high)).any())
    return cp.Variable(
        block.shape,
        name=block.name,
        boolean=plain,
        integer=block.domain != "continuous" and not plain,
        bounds=[low.reshape(block.shape), high.reshape(block.shape)] if bounded else None,
    )


def _affine(expression: Expression, entries: Mapping[str, Any]) -> Any:
    """The entries of an expression without its constant, as a vector."""
    parts = [cp.Constant(matrix) @ entries[name] for name, matrix in expression.terms.items() if matrix.shape[1]]
    return sum(parts[1:], start=parts[0]) if parts else cp.Constant(np.zeros(expression.size))


def _rows(
    expression: Expression, span: Span, form: StandardForm, entries: Mapping[str, Any]
) -> Iterator[tuple[Any, Sides]]:
    """The constraints of a row block, each with what it states. A row that is free on both sides has none."""
    lower, upper = form.row_lower[span.slice], form.row_upper[span.slice]
    equal = lower == upper
    kinds = (
        (equal, True, True),
        (~equal & np.isfinite(lower), True, False),
        (~equal & np.isfinite(upper), False, True),
    )
    for chosen, below, above in kinds:
        rows = np.flatnonzero(chosen)
        if not rows.size:
            continue
        left = _affine(expression if chosen.all() else expression.reshape(-1).take(rows), entries)
        right = (upper if above else lower)[rows]
        constraint = left == right if below and above else left <= right if above else left >= right
        constraint.label = span.name
        yield constraint, Sides(rows + span.start, lower=below, upper=above)


def _crossed(program: Program) -> Iterator[tuple[Any, Sides]]:
    """Constraints that never hold, for bounds that cross; the form has those bounds already."""
    for block in program.blocks.values():
        crossed = block.lower > block.upper
        if crossed.any():
            constraint = cp.Constant(block.lower[crossed]) <= cp.Constant(block.upper[crossed])
            constraint.label = f"bounds of {block.name}"
            yield constraint, Sides(np.empty(0, dtype=np.intp), lower=False, upper=False)


def _atoms(form: StandardForm, entries: Mapping[str, Any], variables: list[Any]) -> Iterator[tuple[Any, Atom]]:
    def affine(matrix: sp.csr_array, constant: Vector) -> Any:
        parts = [cp.Constant(constant)]
        for span in form.columns:
            block = matrix[:, span.slice]
            if block.nnz:
                parts.append(cp.Constant(block) @ entries[span.name])
        return sum(parts[1:], start=parts[0])

    every: tuple[Atom, ...] = (*form.epigraphs, *form.indicators, *form.sos1)
    for atom in every:
        if atom.rows:
            yield constrain(atom, affine, variables), atom
