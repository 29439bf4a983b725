"""A program as an ``LpProblem``: one ``LpVariable`` per column, one or two ``LpConstraint``s per row, one objective."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pulp import (
    LpAffineExpression,
    LpConstraintEQ,
    LpConstraintGE,
    LpConstraintLE,
    LpContinuous,
    LpInteger,
    LpMaximize,
    LpMinimize,
    LpProblem,
)

from oamip.program import Block, Program, RowBlock
from oamip.solving.backend import Built
from oamip_pulp.collector import paused_collector
from oamip_pulp.deferred import DeferredConstraint, MatrixRow, Source
from oamip_pulp.naming import entry_names, set_keys
from oamip_pulp.ranges import Range

__all__ = ["build"]

Objects: TypeAlias = NDArray[np.object_]

ENDINGS = ("_lower", "_upper")  # of the two constraints of a `Range`


def build(program: Program) -> Built:
    """The native model of a program, its variables and constraints by the names of their blocks."""
    problem = LpProblem(program.name.replace(" ", "_"), LpMinimize if program.sense == "min" else LpMaximize)
    with paused_collector():
        taken: set[str] = set()
        columns = {name: _variables(problem, block, taken) for name, block in program.blocks.items()}
        every = np.concatenate([np.empty(0, dtype=object), *(np.ravel(entries) for entries in columns.values())])
        problem._add_variables(every)  # PuLP would only know those that stand in a row
        taken = set()
        rows = {name: _constraints(problem, block, program, every, taken) for name, block in program.rows.items()}
        _add_sets(problem, program, every)
        problem.setObjective(_objective(program, every))
    return Built(model=problem, columns=columns, program=program, rows=rows)


def _shaped(entries: Iterable[Any], shape: tuple[int, ...]) -> Any:
    """Entries as an array of objects, and the entry itself where the shape is ()."""
    flat = list(entries)
    if not shape:
        return flat[0]
    array = np.empty(len(flat), dtype=object)
    for i, entry in enumerate(flat):  # numpy would look into expressions, which are dictionaries, for more dimensions
        array[i] = entry
    array.flags.writeable = False  # they stand for the columns and rows of the program, and are recognised by identity
    return array.reshape(shape)


def _variables(problem: Any, block: Block, taken: set[str]) -> Any:
    category = LpContinuous if block.domain == "continuous" else LpInteger
    lower = [low if np.isfinite(low) else None for low in block.lower.tolist()]
    upper = [high if np.isfinite(high) else None for high in block.upper.tolist()]
    described = zip(entry_names(block.name, block.shape, taken), lower, upper, strict=True)
    return _shaped((problem.add_variable(name, low, high, category) for name, low, high in described), block.shape)


def _constraints(problem: Any, block: RowBlock, program: Program, every: Objects, taken: set[str]) -> Any:
    source = Source(program.flatten(block.expression), every)
    lower = (block.lower - block.expression.constant).tolist()
    upper = (block.upper - block.expression.constant).tolist()
    entries, named = [], {}
    for i, name in enumerate(entry_names(block.name, block.expression.shape, taken, ("", *ENDINGS))):
        entry, constraints = _row(name, MatrixRow(source, i), lower[i], upper[i])
        entries.append(entry)
        named.update(constraints)
    problem.extend(named)
    return _shaped(entries, block.expression.shape)


def _row(name: str, row: MatrixRow, lower: float, upper: float) -> tuple[Any, dict[str, Any]]:
    """What stands for a row in `Built.rows`, and the constraints that state it."""
    if lower == upper:
        entry = DeferredConstraint(row, LpConstraintEQ, name, upper)
    elif lower == -np.inf and upper == np.inf:
        return row.expression(), {}
    elif lower == -np.inf:
        entry = DeferredConstraint(row, LpConstraintLE, name, upper)
    elif upper == np.inf:
        entry = DeferredConstraint(row, LpConstraintGE, name, lower)
    else:
        below, above = (name + ending for ending in ENDINGS)
        pair = Range(
            DeferredConstraint(row, LpConstraintGE, below, lower),
            DeferredConstraint(row, LpConstraintLE, above, upper),
        )
        return pair, {below: pair.lower, above: pair.upper}
    return entry, {name: entry}


def _add_sets(problem: Any, program: Program, every: Objects) -> None:
    for sets in program.atoms()["sos1"]:
        for key, members in zip(set_keys(sets.name, sets.rows), every[sets.members].tolist(), strict=True):
            problem.sos1[key] = {variable: weight for weight, variable in enumerate(members, start=1)}


def _objective(program: Program, every: Objects) -> Any:
    row = program.flatten(program.objective.reshape(-1))
    terms = zip(every[row.indices].tolist(), row.data.tolist(), strict=True)
    return LpAffineExpression(terms, constant=float(program.objective.constant[0]))
