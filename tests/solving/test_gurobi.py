"""What is peculiar to Gurobi; what every solver must do is asked in `test_every_driver.py`."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from gurobipy import GurobiError

from oamip.errors import InputError, SolveError
from oamip.options import Options
from oamip.program import Perspective, Program, Rows, StandardForm, SumSquares
from oamip.solution import Solution
from oamip.solving import Outcome
from oamip.solving import solve as solve_with
from oamip.solving.drivers.gurobi import GurobiDriver
from oamip.testing import instances

DRIVER = GurobiDriver()


def solve(program: Program, options: Options | None = None) -> Solution:
    return solve_with(program, options, solver="gurobi")


def outcome(form: StandardForm, options: Options | None = None) -> Outcome:
    with DRIVER.open(form, options or Options()) as session:
        return session.solve()


def random_linear(seed: int, *, integer: bool) -> StandardForm:
    rng = np.random.default_rng(seed)
    program = Program()
    x = program.variables("x", 8, -2, 10, domain="integer" if integer else "continuous")
    lower, upper = rng.integers(-9, 0, 6).astype(float), rng.integers(9, 40, 6).astype(float)
    lower[[0, 3]], upper[[1, 3]] = -np.inf, np.inf
    lower[2] = upper[2] = 4
    program.add("rows", Rows(rng.integers(-4, 9, (6, 8)) @ x, lower, upper))
    objective = (x * rng.integers(1, 9, 8)).sum() + 3
    (program.maximize if seed % 2 else program.minimize)(objective)
    return program.compile()


# ── sessions ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_numbers_that_are_none_are_refused() -> None:
    form = random_linear(0, integer=False)
    with DRIVER.open(form, Options()) as session, pytest.raises(SolveError, match="Gurobi does not take the new rows"):
        session.add_rows(sp.csr_array(np.full((1, 8), np.nan)), np.array([0.0]), np.array([1.0]))


def test_neither_the_start_nor_the_last_point_is_remembered() -> None:
    hard = instances.split()
    with DRIVER.open(hard.program.compile(), Options(time_limit=0.2)) as session:
        session.set_start(hard.point)
        assert session.solve().x is not None
        session.set_start(None)
        assert session.solve().x is None


def test_a_closed_session_cannot_be_used() -> None:
    session = DRIVER.open(random_linear(0, integer=False), Options())
    session.close()
    with pytest.raises(GurobiError):
        session.restart()


def test_linear_solves_continue_from_the_last_basis() -> None:
    rng = np.random.default_rng(1)
    program = Program()
    x = program.variables("x", 200, 0)
    program.add("rows", rng.random((200, 200)) @ x <= 1 + rng.random(200))
    program.maximize((x * rng.random(200)).sum())
    with DRIVER.open(program.compile(), Options(raw={"Method": 1})) as session:
        cold = session.solve()
        session.add_rows(sp.csr_array(rng.random((1, 200))), np.array([-np.inf]), np.array([1.0]))
        warm = session.solve()
    assert iterations(warm.log) < 0.5 * iterations(cold.log)


def iterations(log: str) -> int:
    return int(log.partition("Solved in ")[2].split()[0])


# ── options ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_wrong_raw_options_are_named(knapsack: Program) -> None:
    for name, value in {"no_such": 1, "Node*": 1, "Threads": "many", "MIPGap": -1.0, "Seed": 2**70}.items():
        with pytest.raises(InputError, match=f"option '{name.replace('*', '.')}' with the value {value!r}"):
            solve(knapsack, Options(raw={name: value}))


def test_raw_options_of_one_solve_do_not_stay(knapsack: Program) -> None:
    with DRIVER.open(knapsack.compile(), Options(time_limit=0.2)) as session:
        assert session.solve(raw={"SolutionLimit": 1}).reason == "interrupted"
        assert session.solve().reason == "time_limit"
        with pytest.raises(InputError, match="'no_such'"):
            session.solve(raw={"no_such": 1})
        with pytest.raises(InputError, match="'WLSSecret'"):  # belongs into the options that open the session
            session.solve(raw={"WLSSecret": "x"})


def test_every_option_reaches_gurobi() -> None:
    form = random_linear(1, integer=True)
    options = Options(
        time_limit=17.0,
        node_limit=5,
        gap_relative=1e-3,
        gap_absolute=1e-2,
        feasibility=1e-8,
        integrality=1e-7,
        threads=2,
        seed=3,
        memory_limit=4_000_000_000,
        stop_at_objective=1e4,
        stop_at_bound=-1e4,
    )
    said = outcome(form, options).log
    wanted = {"TimeLimit": 17, "NodeLimit": 5, "MIPGap": 1e-3, "MIPGapAbs": 1e-2, "FeasibilityTol": 1e-8, "Threads": 2}
    wanted |= {"OptimalityTol": 1e-8, "IntFeasTol": 1e-7, "Seed": 3, "SoftMemLimit": 4, "BestObjStop": 1e4}
    wanted |= {"BestBdStop": -1e4}
    told = dict(line.split() for line in said.splitlines() if len(line.split()) == 2 and line.split()[0] in wanted)
    assert {name: float(value) for name, value in told.items()} == pytest.approx(wanted)
    defaults = outcome(form, Options()).log
    assert not any(name in defaults for name in ("TimeLimit", "NodeLimit", "SoftMemLimit", "BestObjStop", "BestBdStop"))


def test_tolerances_out_of_range_are_named_warnings() -> None:
    form = random_linear(1, integer=True)
    assert outcome(form).warnings == ()
    small, large = Options(feasibility=1e-12, integrality=0.0), Options(feasibility=0.1, integrality=0.3)
    for options in (small, large):
        texts = outcome(form, options).warnings
        assert [text.partition(":")[0] for text in texts] == ["option feasibility", "option integrality"]


# ── licence ────────────────────────────────────────────────────────────────────────────────────────────────────────


def wide(columns: int, *, curved: bool) -> Program:
    program = Program("wide")
    x = program.variables("x", columns - 1, 0, 1)
    t = program.variables("t", 1)
    if curved:
        program.epigraph("square", SumSquares(), x.reshape(1, columns - 1), t)
    program.minimize(t.sum() - x.sum())
    return program


@pytest.mark.parametrize(("columns", "curved"), [(2001, False), (201, True)])
def test_a_model_too_large_for_the_licence(columns: int, curved: bool) -> None:
    solution = solve(wide(columns, curved=curved))
    if solution.reason != "licence":
        pytest.skip("this machine has a licence without limits")
    assert (solution.held, solution.bound) == ("none", -math.inf)
    (text,) = solution.warnings
    assert "Model too large for size-limited license" in text
    assert f"{columns} columns" in text
    assert "GRB_LICENSE_FILE" in text
    assert "solver='highs'" in text
    with pytest.raises(SolveError, match="size-limited license"):
        solution["x"]
    assert solve(wide(200 if curved else 2000, curved=curved)).reason == ("optimal" if curved else "unbounded")


def test_no_licence_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, knapsack: Program) -> None:
    monkeypatch.setenv("GRB_LICENSE_FILE", str(tmp_path / "none.lic"))
    solution = solve(knapsack)
    assert (solution.reason, solution.held) == ("licence", "none")
    assert "none.lic" in solution.warnings[0]
    assert "20 rows and 120 columns" in solution.warnings[0]
    monkeypatch.delenv("GRB_LICENSE_FILE")
    assert solve(knapsack, Options(node_limit=1)).held == "feasible"


def test_raw_options_can_name_a_licence_server(knapsack: Program) -> None:
    solution = solve(knapsack, Options(raw={"TokenServer": "127.0.0.1", "TSPort": 1}))
    assert solution.reason == "licence"
    assert "Failed to connect to token server '127.0.0.1' (port 1)" in solution.warnings[0]


# ── atoms ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def perspective_fit(seed: int, *, size: float, binary: bool) -> Program:
    """Ten pairs w of values up to ``size`` that only the cone ties to their y."""
    rng = np.random.default_rng(seed)
    program = Program("fit")
    w = program.variables("w", (10, 2), -size, size)
    y = program.variables("y", 10, 0, 1, domain="binary" if binary else "continuous")
    t = program.variables("t", 10)
    places = np.kron(np.eye(10), [[1, 0], [0, 1], [0, 0]])
    switch = np.kron(np.eye(10), [[0], [0], [1]])
    program.epigraph("cone", Perspective(), (places @ w.reshape(-1) + switch @ y).reshape(10, 3), t)
    program.add("fit", rng.normal(size=(5, 20)) @ w.reshape(-1) >= rng.random(5) * size)
    program.minimize(t.sum() / size**2 + (y * rng.uniform(0.2, 0.6, 10)).sum())
    return program


@pytest.mark.parametrize(("size", "binary"), [(1.0, True), (1.0, False), (1e3, False)])
def test_perspectives_pass_our_check_where_tolerances_are_roots(size: float, binary: bool) -> None:
    for seed in range(14, 20):  # 17 left dust in w where y is 0; of size 1e3 the barrier method stalled in nearly all
        solution = solve(perspective_fit(seed, size=size, binary=binary))
        assert solution.held == "proven", solution.warnings
        assert solution.verdict is not None
        assert solution.verdict.violation < 1e-7


@pytest.mark.parametrize("seed", range(4))
def test_points_of_continuous_quadratic_programs_are_exact(seed: int) -> None:
    rng = np.random.default_rng(seed)
    program = Program()
    x, t = program.variables("x", 10, -3, 3), program.variables("t", 4)
    arguments = rng.normal(size=(20, 10)) @ x + rng.normal(size=20)
    program.epigraph("square", SumSquares(), arguments.reshape(4, 5), t)
    program.add("reach", rng.normal(size=(3, 10)) @ x >= rng.random(3))
    program.minimize(t.sum())
    solution = solve(program)
    assert solution.held == "proven"
    assert solution.verdict is not None
    assert solution.verdict.violation < 1e-7


def test_a_start_may_leave_out_what_the_driver_added() -> None:
    rng = np.random.default_rng(0)
    program = Program()
    x, t = program.variables("x", 6, -3, 3, domain="integer"), program.variables("t", 1)
    program.epigraph("affine", SumSquares(), (rng.normal(size=(4, 6)) @ x + 0.5).reshape(1, 4), 2 * t - 3)
    program.add("reach", rng.normal(size=(3, 6)) @ x >= rng.random(3) + 1)
    program.minimize(t.sum())
    best, form = solve(program), program.compile()
    start = np.concatenate([best["x"], best["t"]])
    claim = outcome(form, Options(start=start, raw={"SolutionLimit": 1, "Presolve": 0}))
    assert claim.x is not None
    assert form.objective(claim.x) == pytest.approx(best.objective, abs=1e-5)
