"""A program as a ``ConcreteModel``: one ``Var`` per block, one ``Constraint`` per row block, one objective.

Components are filled entry by entry from arrays and hold no rules, so that a model can be cloned and pickled. The terms
of a row are made when somebody looks at them (`oamip_pyomo.deferred`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pyomo.environ as pyo
from numpy.typing import NDArray
from pyomo.common.gc_manager import PauseGC
from pyomo.core.expr.numeric_expr import LinearExpression
from pyomo.core.expr.relational_expr import EqualityExpression, InequalityExpression, RangedExpression

from oamip.program import Block, CompiledSOS1, Program, RowBlock
from oamip.solving.backend import Built
from oamip_pyomo.built import PyomoBuilt
from oamip_pyomo.deferred import Source, defer

__all__ = ["build"]

Objects: TypeAlias = NDArray[np.object_]

DOMAINS = {"continuous": pyo.Reals, "integer": pyo.Integers, "binary": pyo.Binary}


def build(program: Program) -> Built:
    """The native model of a program, its variables and constraints by the names of their blocks."""
    model = pyo.ConcreteModel(name=program.name)
    # Thousands of small objects without a cycle among them: the collector would only look at each again and again. The
    # context manager restores it, also on an error.
    with PauseGC():
        columns = {name: _declare(model, name, _variables(block)) for name, block in program.blocks.items()}
        every = _entries(columns.values())
        rows = {}
        for name, block in program.rows.items():
            rows[name] = _declare(model, name, _empty_constraint(block))
            _fill(rows[name], block, program, every)
        _declare(model, "objective", _objective(program, every))
        sets = {each.name: _sets(model, each, every) for each in program.atoms()["sos1"]}
    return PyomoBuilt(model=model, columns=columns, program=program, rows=rows, sets=sets)


def _declare(model: Any, name: str, component: Any) -> Any:
    while hasattr(model, name):
        name += "_"
    model.add_component(name, component)
    return component


def _keys(shape: tuple[int, ...]) -> Sequence[Any]:
    """Keys of a native component in C order: integers for one dimension, tuples for more."""
    return range(shape[0]) if len(shape) == 1 else list(np.ndindex(*shape))


def _variables(block: Block) -> Any:
    pairs = list(zip(block.lower.tolist(), block.upper.tolist(), strict=True))
    domain = DOMAINS[block.domain]
    if not block.shape:
        return pyo.Var(bounds=pairs[0], domain=domain)
    bounds = dict(zip(_keys(block.shape), pairs, strict=True))
    return pyo.Var(*map(range, block.shape), bounds=bounds, domain=domain)


def _entries(components: Any) -> Objects:
    """All variables in column order, as an array that can be indexed by the columns of a sparse matrix."""
    flat = [entry for component in components for entry in component.values()]
    array = np.empty(len(flat), dtype=object)
    array[:] = flat
    return array


def _empty_constraint(block: RowBlock) -> Any:
    return pyo.Constraint(*map(range, block.expression.shape))


def _fill(constraint: Any, block: RowBlock, program: Program, every: Objects) -> None:
    source = Source(program.flatten(block.expression), every)
    lower, upper = block.lower - block.expression.constant, block.upper - block.expression.constant
    limits = zip(_keys(block.expression.shape), lower.tolist(), upper.tolist(), strict=True)
    for i, (key, low, high) in enumerate(limits):
        constraint[key if constraint.is_indexed() else None] = _relation(low, defer(source, i), high)


def _relation(low: float, body: Any, high: float) -> Any:
    """A row as Pyomo would make it of a tuple; one that is free on both sides stays an (infinite) inequality."""
    if low == high:
        return EqualityExpression((body, high))
    if low == -np.inf:
        return InequalityExpression((body, high), False)
    return InequalityExpression((low, body), False) if high == np.inf else RangedExpression((low, body, high), False)


def _sets(model: Any, sets: CompiledSOS1, every: Objects) -> Any:
    constraint = _declare(model, sets.name, pyo.SOSConstraint(range(sets.rows), sos=1, var={}, index={}))
    for i, members in enumerate(every[sets.members].tolist()):
        constraint.add(i, members, list(range(1, len(members) + 1)))
    return constraint


def _objective(program: Program, every: Objects) -> Any:
    row = program.flatten(program.objective.reshape(-1))
    expression = LinearExpression(
        constant=float(program.objective.constant[0]),
        linear_coefs=row.data.tolist(),
        linear_vars=every[row.indices].tolist(),
    )
    return pyo.Objective(expr=expression, sense=pyo.minimize if program.sense == "min" else pyo.maximize)
