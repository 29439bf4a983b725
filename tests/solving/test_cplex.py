"""What is peculiar to CPLEX; what every solver must do is asked in `test_every_driver.py`."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import linprog

from oamip.errors import InputError, SolveError
from oamip.options import Options
from oamip.program import Program, Rows
from oamip.solving import Outcome, solve
from oamip.solving.drivers.cplex import CplexDriver
from oamip.testing import instances

cplex = pytest.importorskip("cplex")
CPLEX = CplexDriver()


def outcome(program: Program, **options: object) -> Outcome:
    with CPLEX.open(program.compile(), Options(**options)) as session:
        return session.solve()


def linear() -> Program:
    program = Program()
    x = program.variables("x", 3, 0, 1)
    program.add("sum", x.sum() <= 2)
    program.add("band", Rows(x[0] - x[2], np.array([-0.5]), np.array([0.5])))
    program.add("tie", x[1] + x[2] == 1.25)
    program.maximize((x * [3.0, 2.0, 1.0]).sum() + 1)
    return program


# ── the model ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("lower", "upper", "best"),
    [
        (np.inf, np.inf, None),
        (-np.inf, -np.inf, None),
        (1 + 1e-12, 1.0, 1.0),
        (-1e19, 0.5, 0.5),  # −1e19 + 1e19 would be 0
        (-0.5, 1e19, 20.0),
    ],
)
def test_sides_of_rows(lower: float, upper: float, best: float | None) -> None:
    for later in (False, True):
        program = Program()
        x = program.variables("x", 2, -10, 10)
        rows = Rows(x.sum(), np.array([lower]), np.array([upper]))
        program.maximize(x.sum())
        if not later:
            program.add("row", rows)
        with CPLEX.open(program.compile(), Options()) as session:
            if later:
                session.add_rows(sp.csr_array(np.ones((1, 2))), rows.lower, rows.upper)
            claim = session.solve()
        if best is None:
            assert (claim.reason, claim.x) == ("infeasible", None)
        else:
            assert claim.reason == "optimal"
            assert claim.bound == pytest.approx(best)


def test_a_number_that_is_none_is_refused() -> None:
    form = linear().compile()
    for field in ("cost", "row_upper", "column_lower"):
        broken = replace(form, **{field: np.full_like(getattr(form, field), np.nan)})
        with pytest.raises(SolveError, match="CPLEX does not take the model of 3 rows and 3 columns"):
            CPLEX.open(broken, Options())
    with CPLEX.open(form, Options()) as session, pytest.raises(SolveError, match="CPLEX does not take the new rows"):
        session.add_rows(sp.csr_array([[np.nan, 1.0, 0.0]]), np.zeros(1), np.ones(1))


# ── options ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_tolerances_out_of_range_are_named() -> None:
    options = Options(feasibility=1e-12, integrality=0.7, gap_relative=3.0, seed=2**31, start=np.zeros(3))
    named = [warning.partition(":")[0] for warning in solve(linear(), options, solver=CPLEX).warnings]
    assert named == [f"option {name}" for name in ("start", "gap_relative", "feasibility", "integrality", "seed")]
    assert outcome(linear()).warnings == ()


def test_memory_limit_is_one_of_the_tree_and_says_so(knapsack: Program) -> None:
    claim = outcome(knapsack, memory_limit=2**17, time_limit=20.0)
    assert claim.reason == "memory_limit"
    assert claim.x is not None
    assert claim.warnings == ("option memory_limit: CPLEX limits by it the branch-and-bound tree only",)


def test_every_option_reaches_its_parameter(knapsack: Program) -> None:
    log = outcome(
        knapsack,
        time_limit=77.0,
        node_limit=3,
        gap_relative=0.0125,
        gap_absolute=0.5,
        feasibility=1e-8,
        integrality=1e-7,
        threads=2,
        seed=123,
    ).log
    said = dict(line.split() for line in log.splitlines() if line.startswith("CPXPARAM_"))
    values = {name.removeprefix("CPXPARAM_"): float(value) for name, value in said.items()}
    assert values["MIP_Limits_Nodes"] == 3
    assert values["MIP_Tolerances_MIPGap"] == pytest.approx(0.0125)
    assert values["MIP_Tolerances_AbsMIPGap"] == pytest.approx(0.5)
    assert values["Simplex_Tolerances_Feasibility"] == pytest.approx(1e-8)
    assert values["Simplex_Tolerances_Optimality"] == pytest.approx(1e-8)
    assert values["MIP_Tolerances_Integrality"] == pytest.approx(1e-7)
    assert values["Threads"] == 2
    assert values["RandomSeed"] == 123
    assert 76 < values["TimeLimit"] <= 77


def test_two_threads_repeat_their_run(knapsack: Program) -> None:
    runs = [outcome(knapsack, node_limit=200, threads=2, seed=5) for _ in range(2)]
    assert runs[0].bound == runs[1].bound
    np.testing.assert_array_equal(runs[0].x, runs[1].x)


def test_bad_raw_options_are_named(knapsack: Program) -> None:
    for name in ("no_such", "mip.tolerances", "mip.tolerances.no_such", "_env", "reset"):
        with pytest.raises(InputError, match=f"raw option '{name}' is not a parameter of CPLEX 22"):
            CPLEX.open(knapsack.compile(), Options(raw={name: 1}))
    for name, value in (("threads", "many"), ("threads", -5), ("threads", 1.5), ("mip.tolerances.mipgap", 5.0)):
        with pytest.raises(InputError, match=f"option '{name}' of CPLEX does not take the value {value!r}"):
            CPLEX.open(knapsack.compile(), Options(raw={name: value}))


def test_a_refusal_prints_nothing_and_a_log_tells_everything_once(
    capfd: pytest.CaptureFixture[str], knapsack: Program
) -> None:
    log = solve(knapsack, Options(node_limit=0), solver=CPLEX).log
    solve(too_large(), solver=CPLEX)
    assert capfd.readouterr() == ("", "")
    assert log.count("Root node processing") <= log.count("Presolve time") < 4
    assert "120 binaries" in log


def test_starts_are_rounded_and_one_that_is_no_point_is_a_named_warning() -> None:
    hard = instances.split()
    with CPLEX.open(hard.program.compile(), Options(time_limit=0.2)) as session:
        session.set_start(hard.point + 3e-7)
        claim = session.solve()
        np.testing.assert_allclose(claim.x, hard.point, atol=1e-6)
        assert claim.warnings == ()
        session.restart()
        session.set_start(1 - hard.point)
        assert session.solve().warnings == ("option start: CPLEX could make no point of it",)


def test_a_search_begins_with_what_the_last_one_has_found(knapsack: Program) -> None:
    form = knapsack.compile()
    with CPLEX.open(form, Options()) as session:
        first, again = session.solve(node_limit=400), session.solve(node_limit=10)
    assert form.objective(again.x) >= form.objective(first.x) - 1e-6


# ── licences ───────────────────────────────────────────────────────────────────────────────────────────────────────


def too_large() -> Program:
    program = Program()
    x = program.variables("x", 1001, domain="binary")
    program.maximize(x.sum())
    return program


def test_a_model_beyond_the_licence_is_named() -> None:
    solution = solve(too_large(), solver=CPLEX)
    assert (solution.reason, solution.held, dict(solution.values)) == ("licence", "none", {})
    assert solution.bound == math.inf
    (warning,) = solution.warnings
    assert "CPLEX Error  1016: Community Edition. Problem size limits exceeded." in warning
    assert "1001 columns and 0 rows" in warning
    assert "name another solver" in warning


def test_rows_added_beyond_the_licence_are_named_and_can_be_taken_out() -> None:
    with CPLEX.open(linear().compile(), Options()) as session:
        before = session.solve()
        session.add_rows(sp.csr_array(np.ones((1000, 3))), np.full(1000, -np.inf), np.full(1000, 1e6))
        assert session.solve().reason == "licence"
        session.drop_rows(np.arange(1000))
        assert session.solve().bound == pytest.approx(before.bound)


@pytest.mark.parametrize("code", [32023, 32201])
def test_no_licence_at_all_is_a_reason_and_not_an_exception(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise cplex.exceptions.CplexSolverError(f"CPLEX Error {code}: Licensing problem: key invalid.", None, code)

    monkeypatch.setattr(cplex, "Cplex", refuse)
    solution = solve(linear(), solver=CPLEX)
    assert solution.reason == "licence"
    assert f"CPLEX Error {code}" in solution.warnings[0]
    with CPLEX.open(linear().compile(), Options()) as session:
        session.add_rows(sp.csr_array(np.ones((1, 3))), np.zeros(1), np.ones(1))
        assert session.solve().reason == "licence"


# ── sessions ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_relaxing_keeps_the_basis_and_restart_drops_it() -> None:
    rng = np.random.default_rng(3)
    program = Program()
    x = program.variables("x", 300, 0, 1, domain="integer")
    program.add("rows", rng.random((200, 300)) @ x <= 60)
    program.maximize((x * rng.random(300)).sum())
    form = program.compile()
    with CPLEX.open(form, Options(node_limit=0)) as session:

        def iterations() -> int:
            assert session.solve().reason == "optimal"
            return int(session._cplex.solution.progress.get_num_iterations())  # type: ignore[attr-defined]

        session.set_integer(np.zeros(300, dtype=bool))
        first = iterations()
        session.set_integer(form.integer)
        session.solve()
        session.set_integer(np.zeros(300, dtype=bool))
        assert iterations() < 0.2 * first
        session.restart()
        assert iterations() > 0.5 * first


# ── atoms that CPLEX knows ─────────────────────────────────────────────────────────────────────────────────────────


def sets_of_either_sign(seed: int, low: float) -> tuple[Program, float]:
    """Two sets of four members that may be negative, and the optimum: CPLEX itself finds it nine times in ten."""
    rng = np.random.default_rng(seed)
    c, A, b = rng.normal(size=9), rng.normal(size=(3, 9)), rng.normal(size=3) + 0.3
    program = Program()
    x = program.variables("x", 9, low, 3)
    program.add("rows", A @ x <= b)
    program.sos1("sets", x[:8].reshape(2, 4))
    program.maximize((c * x).sum())
    best = -math.inf
    for pair in itertools.product(range(4), range(4, 8)):
        free = np.isin(np.arange(9), [*pair, 8])
        found = linprog(-c[free], A_ub=A[:, free], b_ub=b, bounds=(-2, 3))
        best = max(best, -found.fun if found.status == 0 else -math.inf)
    return program, best


@pytest.mark.parametrize("widened", [False, True])
def test_sets_with_negative_members_are_solved_to_the_true_optimum(widened: bool) -> None:
    for seed in range(24):
        program, best = sets_of_either_sign(seed, 0.0 if widened else -2.0)
        row = sp.csr_array(np.ones((1, 9)))
        with CPLEX.open(program.compile(), Options()) as session:
            session.add_rows(row, np.array([-99.0]), np.array([99.0]))
            if widened:
                session.solve()
                session.set_bounds(np.arange(9), np.full(9, -2.0), np.full(9, 3.0))
            claim = session.solve()
            assert (claim.x is None) == math.isinf(best)
            if claim.x is not None:
                assert session.form.objective(claim.x) == pytest.approx(best, abs=1e-6)
                assert claim.x.shape == (9,)


def test_a_closed_session_is_closed_twice_without_harm(tmp_path: Path) -> None:
    session = CPLEX.open(linear().compile(), Options(log_file=tmp_path / "log"))
    session.solve()
    session.close()
    session.close()
    with pytest.raises(ValueError, match="end"):
        session.solve()


def measure(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def test_build_is_a_matter_of_milliseconds() -> None:
    rng = np.random.default_rng(0)
    program = Program()
    x = program.variables("x", 900, 0, 1, domain="binary")
    A = sp.csr_array(rng.random((900, 900)) * (rng.random((900, 900)) < 0.125))
    program.add("rows", A @ x <= 100)
    form = program.compile()
    assert min(measure(lambda: CPLEX.open(form, Options()).close()) for _ in range(3)) < 0.1
