"""Every language with every solver does what the suite demands.

In full: `matrix` with each solver, each language with HiGHS. The other pairs go through the core.
"""

from __future__ import annotations

import pytest

from oamip.errors import MissingDependency
from oamip.solving import backend_names, driver_names, find_backend, find_driver
from oamip.testing import Case, Native, cases, check


def chosen(backend: str, solver: str) -> tuple[Case, ...]:
    if solver == "highs":
        return cases()
    return cases("driver") if backend == "matrix" else cases("core")


PAIRS = [
    pytest.param(backend, solver, case, id=f"{backend}-{solver}-{case.name}")
    for backend in backend_names()
    for solver in driver_names()
    for case in chosen(backend, solver)
]


@pytest.mark.parametrize(("backend", "solver", "case"), PAIRS)
def test_conformance(backend: str, solver: str, case: Case, native: dict[str, Native]) -> None:
    try:
        find_backend(backend), find_driver(solver)
    except MissingDependency as missing:
        pytest.skip(str(missing))
    if not check(case, backend=backend, solver=solver, native=native.get(backend)):
        pytest.skip(f"{backend} with {solver} lacks what '{case.name}' needs: {', '.join(sorted(case.needs))}")


def test_our_pairs_are_four_languages_with_five_solvers() -> None:
    assert {"matrix", "pyomo", "cvxpy", "pulp"} <= set(backend_names())
    assert {"highs", "scip", "cbc", "gurobi", "cplex"} <= set(driver_names())
