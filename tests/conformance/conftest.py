"""How users of each language write a row and read an answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from oamip.solving import Built
from oamip.testing import Native, UserRow


def extend_program(built: Built, row: UserRow) -> Built:
    terms = [(built.columns[name] * weights).sum() for name, weights in row.coefficients.items()]
    built.model.add(row.name, sum(terms[1:], terms[0]) <= row.upper)
    return built


def extend_pyomo(built: Built, row: UserRow) -> Built:
    import pyomo.environ as pyo

    total = 0
    for name, weights in row.coefficients.items():
        component = built.columns[name]
        for index in np.ndindex(weights.shape):
            key = index if len(index) > 1 else index[0] if index else None
            total += weights[index] * component[key]
    built.model.add_component(row.name, pyo.Constraint(expr=total <= row.upper))
    return built


def read_pyomo(built: Built, name: str) -> Any:
    import pyomo.environ as pyo

    shape = built.program.blocks[name].shape
    return np.reshape([pyo.value(entry) for entry in built.columns[name].values()], shape)


def extend_cvxpy(built: Built, row: UserRow) -> Built:
    import cvxpy as cp

    total = sum(cp.sum(cp.multiply(weights, built.columns[name])) for name, weights in row.coefficients.items())
    mine = (total <= row.upper).set_label(row.name)
    return replace(built, model=cp.Problem(built.model.objective, [*built.model.constraints, mine]))


def read_cvxpy(built: Built, name: str) -> Any:
    return built.columns[name].value


def extend_pulp(built: Built, row: UserRow) -> Built:
    import pulp

    pairs = [
        (variable, weight)
        for name, weights in row.coefficients.items()
        for variable, weight in zip(np.ravel(built.columns[name]), weights.ravel().tolist(), strict=True)
    ]
    model = built.model
    model += pulp.LpAffineExpression(pairs) <= row.upper, row.name
    return built


def read_pulp(built: Built, name: str) -> Any:
    columns = np.asarray(built.columns[name], dtype=object)
    return np.reshape([variable.varValue for variable in columns.ravel()], columns.shape)


NATIVE = {
    "matrix": Native(extend_program),
    "pyomo": Native(extend_pyomo, read_pyomo),
    "cvxpy": Native(extend_cvxpy, read_cvxpy),
    "pulp": Native(extend_pulp, read_pulp),
}


@pytest.fixture(scope="session")
def native() -> dict[str, Native]:
    return NATIVE
