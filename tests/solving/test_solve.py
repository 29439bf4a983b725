"""From a program, or a user's native model, to a checked solution: the same through every language."""

from __future__ import annotations

import numpy as np
import pyomo.environ as pyo
import pytest

from oamip.errors import InputError
from oamip.options import Options
from oamip.program import LogSumExp, Program
from oamip.solution import Solve
from oamip.solving import backend_names, find_backend, solve, solve_built, solver_for

every_backend = pytest.mark.parametrize("backend", backend_names())


def program(seed: int) -> Program:
    rng = np.random.default_rng(seed)
    built = Program("mixed")
    n, x = built.variables("n", (2, 3), 0, 6, domain="integer"), built.variables("x", 4, 0, 5)
    built.variables("unused", 2, -1, 1)
    built.add("cap", rng.integers(0, 5, (5, 6)) @ n.reshape(-1) + rng.random((5, 4)) @ x <= rng.integers(8, 25, 5))
    built.add("tie", x[0] - x[1] == 0.5)
    built.maximize((n * rng.integers(1, 6, (2, 3))).sum() + x.sum() - 2)
    return built


@every_backend
@pytest.mark.parametrize("seed", range(3))
def test_every_backend_finds_the_same_optimum(backend: str, seed: int) -> None:
    ours, yardstick = solve(program(seed), backend=backend), solve(program(seed))
    assert ours.held == yardstick.held == "proven"
    assert ours.objective == pytest.approx(yardstick.objective)
    assert ours["n"].shape == (2, 3)
    assert (ours.backend, ours.solver) == (backend, "highs")
    assert ours.seconds.total >= ours.seconds.solve > 0
    assert (ours.rows, ours.columns) == (6, 12)


@every_backend
def test_epigraphs_pass_through_every_backend(backend: str) -> None:
    built = Program("soft")
    keep, loss = built.variables("keep", 4, 0, 1), built.variables("loss", 2)
    logits = (np.random.default_rng(1).normal(size=(6, 4)) @ keep).reshape(2, 3)
    built.epigraph("softmax", LogSumExp(), logits, loss)
    built.minimize(loss.sum())
    solution = solve(built, backend=backend)
    assert solution.held == "proven"
    assert solution.objective == pytest.approx(LogSumExp().value(solution.value(logits)).sum())


def test_a_users_pyomo_rows_and_variables_reach_the_solver_the_check_and_the_model() -> None:
    built = find_backend("pyomo").build(program(0))
    model = built.model
    free = solve_built(built, backend="pyomo")
    model.spare = pyo.Var(["a", "b"], domain=pyo.NonNegativeIntegers, bounds=(0, 3))
    model.mine = pyo.Constraint(expr=sum(model.n[0, j] for j in range(3)) + model.spare["a"] <= 1)
    model.least = pyo.Constraint(expr=model.spare["a"] + model.spare["b"] >= 3.5)
    tied = solve_built(built, backend="pyomo")
    assert tied.held == "proven"
    assert tied.objective < free.objective
    assert tied["n"][0].sum() <= 1 + 1e-9
    assert tied.columns == free.columns + 2
    assert [model.n[i, j].value for i in range(2) for j in range(3)] == tied["n"].ravel().tolist()
    assert model.spare["a"].value + model.spare["b"].value >= 4
    assert pyo.value(model.mine.body) <= 1 + 1e-9
    model.never = pyo.Constraint(expr=model.spare["a"] <= -1)
    assert solve_built(built, backend="pyomo").clash == ("never",)


def test_a_start_with_the_users_columns_must_have_them_too() -> None:
    built = find_backend("pyomo").build(program(0))
    built.model.spare = pyo.Var(bounds=(0, 1))
    with pytest.raises(InputError, match="the program has 13 columns"):
        solve_built(built, Options(start=np.zeros(12)), backend="pyomo")


@every_backend
def test_solver_for_gives_what_formulations_take(backend: str) -> None:
    settled: Solve = solver_for(backend, "highs")
    assert settled(program(1), Options(gap_relative=0.5)).backend == backend
    assert settled(program(1)).verified


def test_the_callers_program_is_left_alone() -> None:
    built = program(2)
    before = built.compile()
    solve(built)
    after = built.compile()
    assert (before.A != after.A).nnz == 0
    assert (before.column_lower == after.column_lower).all()
