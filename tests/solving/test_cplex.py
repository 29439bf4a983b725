"""What CPLEX is asked is what it does, and what it says is what is meant; within 1000 columns and 1000 rows."""

from __future__ import annotations

import itertools
import math
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import linprog

from oamip.errors import InputError, SolveError
from oamip.options import Options, Progress
from oamip.program import LogSumExp, Perspective, Program, Rows, StandardForm, SumSquares, constant
from oamip.solving import Outcome, Session, solve, solve_with_cuts
from oamip.solving.drivers.cplex import CplexDriver
from oamip.solving.drivers.highs import HighsDriver

cplex = pytest.importorskip("cplex")
CPLEX = CplexDriver()


def outcome(program: Program, **options: object) -> Outcome:
    with CPLEX.open(program.compile(), Options(**options)) as session:
        return session.solve()


def linear(sense: str = "max") -> Program:
    program = Program()
    x = program.variables("x", 3, 0, 1)
    program.add("sum", x.sum() <= 2)
    program.add("band", Rows(x[0] - x[2], np.array([-0.5]), np.array([0.5])))
    program.add("tie", x[1] + x[2] == 1.25)
    objective = (x * [3.0, 2.0, 1.0]).sum() + 1
    program.maximize(objective) if sense == "max" else program.minimize(-1 * objective)
    return program


# ── optima ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("integer", [False, True])
def test_random_programs_with_every_kind_of_row_agree_with_highs(seed: int, integer: bool) -> None:
    rng = np.random.default_rng(seed)
    program = Program()
    x = program.variables("x", 8, -4, 6, domain="integer" if integer else "continuous")
    free = program.variables("free", 2)
    program.variables("unused", 2, 1, 2)
    inside = rng.integers(-2, 3, 8)
    A, G = rng.integers(-5, 6, (7, 8)), rng.normal(size=(7, 2))
    lower = np.array([-np.inf, -3.0, 0.0, -2.0, -np.inf, -1e15, -40.0]) + A @ inside
    upper = np.array([4.0, np.inf, 0.0, 5.0, np.inf, 2.0, -30.0 + 35.0]) + A @ inside
    program.add("rows", Rows(A @ x + 0.3 * (G @ free), lower + 2, upper + 2))
    program.add("box", Rows(free, np.full(2, -7.0), np.full(2, 9.0)))
    objective = (x * rng.integers(-9, 10, 8)).sum() + (free * rng.normal(size=2)).sum() - 2.5
    program.minimize(objective) if seed % 2 else program.maximize(objective)
    ours, theirs = solve(program, solver=CPLEX), solve(program)
    assert ours.reason == theirs.reason == "optimal"
    assert ours.held == "proven"
    assert ours.objective == pytest.approx(theirs.objective, abs=1e-5)
    assert ours.bound == pytest.approx(theirs.objective, abs=1e-4)


@pytest.mark.parametrize(
    ("lower", "upper", "best"),
    [
        (5.0, 3.0, None),  # by the sign rule of ranged rows this would be [3, 5]
        (np.inf, np.inf, None),
        (-np.inf, -np.inf, None),
        (1 + 1e-12, 1.0, 1.0),
        (-np.inf, np.inf, 20.0),
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


def test_rows_without_entries_and_programs_without_rows() -> None:
    program = Program()
    x = program.variables("x", 2, -1, 1)
    program.minimize(x.sum() + 4.5)
    assert solve(program, solver=CPLEX).objective == pytest.approx(2.5)
    program.add("idle", Rows(x * 0, np.array([-1.0, -np.inf]), np.array([1.0, 0.0])))
    assert solve(program, solver=CPLEX).objective == pytest.approx(2.5)
    program.add("never", Rows(x[:1] * 0, np.array([1.0]), np.array([2.0])))
    assert outcome(program).reason == "infeasible"


def test_a_number_that_is_none_is_refused() -> None:
    form = linear().compile()
    for field in ("cost", "row_upper", "column_lower"):
        broken = replace(form, **{field: np.full_like(getattr(form, field), np.nan)})
        with pytest.raises(SolveError, match="CPLEX does not take the model of 3 rows and 3 columns"):
            CPLEX.open(broken, Options())
    with CPLEX.open(form, Options()) as session, pytest.raises(SolveError, match="CPLEX does not take the new rows"):
        session.add_rows(sp.csr_array([[np.nan, 1.0, 0.0]]), np.zeros(1), np.ones(1))


# ── statuses ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("sense", ["minimize", "maximize"])
@pytest.mark.parametrize("integer", [False, True])
def test_infeasible_and_unbounded_are_told_apart(sense: str, integer: bool) -> None:
    sign = 1 if sense == "maximize" else -1
    for contradict in (False, True):
        program = Program()
        x = program.variables("x", 3, 0, domain="integer" if integer else "continuous")
        program.add("one", x[0] - x[1] >= 1)
        if contradict:
            program.add("other", x[0] - x[1] <= 0)
        getattr(program, sense)(sign * (x[2] + x[0]))
        solution = solve(program, solver=CPLEX)
        assert solution.reason == ("infeasible" if contradict else "unbounded")
        assert solution.held == "none"
        assert math.isinf(solution.bound)
        assert not contradict or set(solution.clash) == {"one", "other"}


def test_integer_infeasible_and_unbounded_relaxation() -> None:
    program = Program()
    n = program.variables("n", 2, 0, domain="integer")
    program.add("odd", 2 * n[0] + 0 * n[1] == 1)
    program.minimize(-n[1])
    assert outcome(program).reason == "infeasible"
    quiet = outcome(program, progress=lambda progress: not math.isnan(progress.objective), stop_at_objective=1.0)
    assert quiet.reason == "infeasible"  # the second solve has no objective to tell of, or to stop at


def test_telling_apart_keeps_the_time_limit_and_the_objective(split: Program) -> None:
    ray = split.variables("ray", 1, 0)
    split.minimize(split.objective - ray.sum())
    began = time.perf_counter()
    with CPLEX.open(split.compile(), Options(time_limit=0.5)) as session:
        claim = session.solve()
        assert claim.reason == "time_limit"
        assert time.perf_counter() - began < 1.5
        stopping = session.solve(stop_at_bound=-5.0, stop_at_objective=5.0)
        assert stopping.reason == "time_limit"  # the second solve has no objective to stop at
        session.set_bounds(np.array([40]), np.zeros(1), np.ones(1))
        session.set_integer(np.zeros(41, dtype=bool))
        relaxed = session.solve(time_limit=math.inf)
        assert relaxed.x is not None
        assert relaxed.bound == pytest.approx(session.form.objective(relaxed.x))


def test_time_limit_with_and_without_a_point(knapsack: Program, split: Program) -> None:
    began = time.perf_counter()
    some = solve(knapsack, Options(time_limit=0.3), solver=CPLEX)
    none = solve(split, Options(time_limit=0.3), solver=CPLEX)
    assert time.perf_counter() - began < 2.0
    assert (some.reason, some.held) == ("time_limit", "feasible")
    assert 0 < some.gap < 0.1
    assert (none.reason, none.held, dict(none.values)) == ("time_limit", "none", {})
    assert math.isfinite(none.bound)
    assert solve(knapsack, Options(time_limit=0.0), solver=CPLEX).reason == "time_limit"


def test_gap_and_node_limits(knapsack: Program) -> None:
    wide = solve(knapsack, Options(gap_relative=0.05), solver=CPLEX)
    assert (wide.reason, wide.held) == ("gap_limit", "proven")
    assert 1e-6 < wide.gap <= 0.05
    assert outcome(knapsack, gap_relative=0.05).reason == "optimal"
    assert outcome(knapsack, gap_absolute=5000.0).reason == "optimal"
    few = solve(knapsack, Options(node_limit=10), solver=CPLEX)
    assert (few.reason, few.held) == ("node_limit", "feasible")
    assert 0 < few.nodes <= 10


def test_every_solve_of_a_session_has_a_tree_of_its_own(knapsack: Program) -> None:
    with CPLEX.open(knapsack.compile(), Options()) as session:
        first = session.solve(node_limit=400)
        again = session.solve(node_limit=50)
    assert (first.reason, again.reason) == ("node_limit", "node_limit")
    assert 50 < first.nodes <= 400
    assert 0 < again.nodes <= 50
    assert again.x is not None
    form = knapsack.compile()
    assert form.objective(again.x) >= form.objective(first.x) - 1e-6  # it began with what the first had found


def test_memory_limit_is_one_of_the_tree_and_says_so(knapsack: Program) -> None:
    claim = outcome(knapsack, memory_limit=2**17, time_limit=20.0)
    assert claim.reason == "memory_limit"
    assert claim.x is not None
    assert claim.warnings == ("option memory_limit: CPLEX limits by it the branch-and-bound tree only",)


# ── options ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_tolerances_out_of_range_are_named() -> None:
    options = Options(feasibility=1e-12, integrality=0.7, gap_relative=3.0, seed=2**31, start=np.zeros(3))
    named = [warning.partition(":")[0] for warning in solve(linear(), options, solver=CPLEX).warnings]
    assert named == [f"option {name}" for name in ("start", "gap_relative", "feasibility", "integrality", "seed")]
    assert outcome(linear()).warnings == ()


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


def test_threads_and_repetition(knapsack: Program) -> None:
    for threads in (1, 2):
        runs = [outcome(knapsack, node_limit=200, threads=threads, seed=5) for _ in range(2)]
        assert runs[0].bound == runs[1].bound
        np.testing.assert_array_equal(runs[0].x, runs[1].x)


def test_raw_options_win_hold_once_and_bad_ones_are_named(knapsack: Program) -> None:
    with CPLEX.open(knapsack.compile(), Options(time_limit=0.4)) as session:
        assert session.solve(raw={"mip.limits.nodes": 0}).reason == "node_limit"
        assert session.solve().reason == "time_limit"
    for name in ("no_such", "mip.tolerances", "mip.tolerances.no_such", "_env", "reset"):
        with pytest.raises(InputError, match=f"raw option '{name}' is not a parameter of CPLEX 22"):
            CPLEX.open(knapsack.compile(), Options(raw={name: 1}))
    for name, value in (("threads", "many"), ("threads", -5), ("threads", 1.5), ("mip.tolerances.mipgap", 5.0)):
        with pytest.raises(InputError, match=f"option '{name}' of CPLEX does not take the value {value!r}"):
            CPLEX.open(knapsack.compile(), Options(raw={name: value}))


def test_the_log_is_kept_and_written_and_nothing_is_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], knapsack: Program
) -> None:
    solution = solve(knapsack, Options(node_limit=0, log_file=tmp_path / "cplex.log"), solver=CPLEX)
    solve(too_large(), solver=CPLEX)
    assert capfd.readouterr() == ("", "")
    assert solution.log.count("Root node processing") <= solution.log.count("Presolve time") < 4
    assert "120 binaries" in solution.log
    assert (tmp_path / "cplex.log").read_text() == solution.log


# ── starts, stops, interruptions ───────────────────────────────────────────────────────────────────────────────────


def planted() -> tuple[Program, np.ndarray]:
    """A market split of 7 × 60 with a solution that nothing finds."""
    rng = np.random.default_rng(8)
    parts, side = rng.integers(0, 100, (7, 60)), rng.integers(0, 2, 60).astype(float)
    program = Program("planted")
    x = program.variables("x", 60, domain="binary")
    program.add("balance", parts @ x == parts @ side)
    program.minimize(x.sum())
    return program, side


def test_start_is_honoured_where_nothing_finds_a_point_and_can_be_replaced() -> None:
    program, side = planted()
    partly = np.where(np.arange(60) < 50, side, np.nan)
    with CPLEX.open(program.compile(), Options(time_limit=0.3)) as session:
        assert session.solve().x is None
        for start in (side, side + 3e-7, partly):
            session.restart()
            session.set_start(start)
            claim = session.solve()
            assert claim.x is not None
            np.testing.assert_allclose(claim.x, side, atol=1e-6)
            assert claim.warnings == ()
        session.restart()
        session.set_start(1 - side)
        wrong = session.solve()
        assert wrong.x is None
        assert wrong.warnings == ("option start: CPLEX could make no point of it",)
        session.restart()
        session.set_start(None)
        assert session.solve().x is None


@pytest.mark.parametrize("sense", ["max", "min"])
def test_stops_at_objective_and_bound_in_both_senses(knapsack: Program, sense: str) -> None:
    sign = 1.0 if sense == "max" else -1.0
    if sense == "min":
        knapsack.minimize(-1 * knapsack.objective)
    good = solve(knapsack, Options(stop_at_objective=sign * 53_000.0), solver=CPLEX)
    assert good.reason == "objective_limit"
    assert sign * good.objective >= 53_000
    far = solve(knapsack, Options(stop_at_bound=sign * 53_620.0), solver=CPLEX)
    assert far.reason == "objective_limit"
    assert sign * far.bound <= 53_620


def test_points_are_of_this_run_and_feasible(knapsack: Program) -> None:
    form = knapsack.compile()
    with CPLEX.open(form, Options(time_limit=0.3)) as session:
        first = session.solve()
        assert len(first.points) > 1
        values = [form.objective(point) for point in first.points]
        assert values == sorted(values)
        session.set_bounds(np.arange(60), np.zeros(60), np.zeros(60))
        second = session.solve()
        assert all(np.abs(point[:60]).max() < 1e-6 for point in second.points)


def test_progress_interrupts_and_the_incumbent_is_kept(knapsack: Program) -> None:
    seen: list[Progress] = []

    def watch(progress: Progress) -> bool:
        seen.append(progress)
        assert threading.current_thread() is threading.main_thread()
        return progress.seconds > 0.4

    knapsack.maximize(knapsack.objective + 1000)
    solution = solve(knapsack, Options(progress=watch), solver=CPLEX)
    assert (solution.reason, solution.held) == ("interrupted", "feasible")
    assert len(seen) > 4  # CPLEX lets other threads run while it works
    assert seen[-1].bound >= seen[-1].objective
    assert seen[-1].nodes > 0
    assert seen[-1].x is not None
    assert knapsack.compile().objective(seen[-1].x) == pytest.approx(seen[-1].objective)


def test_progress_interrupts_a_linear_solve_too() -> None:
    rng = np.random.default_rng(1)
    program = Program()
    x = program.variables("x", 900, 0)
    program.add("rows", rng.random((900, 900)) @ x <= 1 + rng.random(900))
    program.maximize((x * rng.random(900)).sum())
    claim = outcome(program, progress=lambda progress: True)
    assert claim.reason == "interrupted"
    assert math.isinf(claim.bound)
    assert claim.duals is None


def test_control_c_interrupts_and_the_incumbent_is_kept(knapsack: Program) -> None:
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    solution = solve(knapsack, Options(time_limit=20), solver=CPLEX)
    timer.join()
    assert (solution.reason, solution.held) == ("interrupted", "feasible")


def test_an_error_in_the_progress_callback_comes_out(knapsack: Program) -> None:
    def fail(progress: Progress) -> bool:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        solve(knapsack, Options(progress=fail), solver=CPLEX)


def test_overlapping_solves_in_threads_are_right_and_leave_control_c_alone(knapsack: Program) -> None:
    forms = [random_form(seed, integer=True) for seed in range(4)]
    claims: dict[int, float] = {}

    def work(number: int) -> None:
        outcome(knapsack, time_limit=0.3 + 0.1 * number)
        claims[number] = cold(forms[number], Options()).bound

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    with HighsDriver().open(forms[0], Options()) as session:
        assert claims[0] == pytest.approx(session.solve().bound)
    assert claims == {number: pytest.approx(cold(form, Options()).bound) for number, form in enumerate(forms)}
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process")  # newer Pythons warn of forks beside threads
def test_a_fork_solves_with_an_old_session_and_a_new_one() -> None:
    form = random_form(0, integer=True)
    with CPLEX.open(form, Options()) as session:
        optimum = session.solve().bound
        child = os.fork()
        if child == 0:
            right = abs(session.solve().bound - optimum) < 1e-6 and abs(cold(form, Options()).bound - optimum) < 1e-6
            os._exit(0 if right else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert session.solve().bound == pytest.approx(optimum)


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
    with CPLEX.open(random_form(0, integer=False), Options()) as session:
        before = session.solve()
        session.add_rows(sp.csr_array(np.ones((1000, 8))), np.full(1000, -np.inf), np.full(1000, 1e6))
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


# ── hot sessions ───────────────────────────────────────────────────────────────────────────────────────────────────


def random_form(seed: int, *, integer: bool) -> StandardForm:
    rng = np.random.default_rng(seed)
    program = Program()
    x = program.variables("x", 8, 0, 10, domain="integer" if integer else "continuous")
    program.add("rows", rng.integers(0, 9, (5, 8)) @ x <= rng.integers(20, 60, 5))
    objective = (x * rng.integers(1, 9, 8)).sum() + 3
    program.maximize(objective) if seed % 2 else program.minimize(-1 * objective)
    return program.compile()


def cold(form: StandardForm, options: Options) -> Outcome:
    with CPLEX.open(form, options) as session:
        return session.solve()


@pytest.mark.parametrize("integer", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_hot_equals_cold_through_random_changes(seed: int, integer: bool) -> None:
    form, rng = random_form(seed, integer=integer), np.random.default_rng(seed)
    with CPLEX.open(form, Options()) as hot, Session(form, Options(), cold) as again:
        rows = 0

        def change() -> tuple[object, ...]:
            nonlocal rows
            kind = rng.integers(0, 7)
            columns = rng.choice(8, 3, replace=False)
            if kind == 0 or (kind == 1 and rows < 2):
                count = int(rng.integers(1, 4))
                rows += count
                upper = rng.uniform(2, 30, count)
                lower = np.where(rng.random(count) < 0.5, -np.inf, 0.0)
                return "add_rows", sp.csr_array(rng.random((count, 8)) * (rng.random((count, 8)) < 0.7)), lower, upper
            if kind == 1:
                which = rng.choice(rows, rows // 2, replace=False)
                rows -= which.size
                return "drop_rows", which
            if kind == 2:
                return "set_bounds", columns, np.zeros(3), rng.integers(0, 12, 3).astype(float)
            if kind == 3:
                return "set_objective", rng.normal(size=8), float(rng.normal())
            if kind == 4:
                return "set_integer", rng.random(8) < 0.5
            if kind == 5:
                return "set_integer", np.zeros(8, dtype=bool)
            return "set_start", np.where(rng.random(8) < 0.5, np.nan, 0.0)

        for _ in range(25):
            name, *arguments = change()
            for session in (hot, again):
                getattr(session, name)(*arguments)
            ours, theirs = hot.solve(), again.solve()
            assert ours.reason == theirs.reason == "optimal"
            assert ours.bound == pytest.approx(theirs.bound, rel=1e-5, abs=1e-5)
            assert hot.form.objective(ours.x) == pytest.approx(theirs.bound, rel=1e-5, abs=1e-5)
            linear = not hot.form.integer.any()
            assert (ours.duals is not None) == linear
            if linear:
                assert_duals_prove_the_bound(hot.form, ours)
        assert (hot.form.A != again.form.A).nnz == 0


def assert_duals_prove_the_bound(form: StandardForm, claim: Outcome) -> None:
    """Weak duality with the duals as they are: one per row, reduced costs ``c − Aᵀy``."""
    assert claim.duals is not None
    assert claim.duals.shape == form.row_lower.shape
    reduced = form.cost - claim.duals @ form.A
    best = np.maximum if form.sense == "max" else np.minimum
    sides = [np.where(claim.duals == 0, 0.0, side) for side in (form.row_lower, form.row_upper)]
    with np.errstate(invalid="ignore"):
        rows = best(claim.duals * sides[0], claim.duals * sides[1])
    columns = best(reduced * form.column_lower, reduced * form.column_upper)
    assert rows.sum() + columns.sum() + form.constant == pytest.approx(claim.bound, rel=1e-6, abs=1e-5)


@pytest.mark.parametrize("sense", ["max", "min"])
def test_duals_of_a_linear_program_prove_its_bound(sense: str) -> None:
    program = linear(sense)
    assert_duals_prove_the_bound(program.compile(), outcome(program))


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


@pytest.mark.parametrize("seed", range(4))
def test_indicators_and_sets_agree_with_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    program = Program()
    z = program.variables("z", 3, domain="binary")
    x = program.variables("x", 4, -2, 3)
    c, price, on = rng.normal(size=4), rng.normal(size=3), rng.random(3) < 0.5
    W, low, high = rng.normal(size=(3, 4)), np.array([-np.inf, -0.5, 0.3]), np.array([0.2, 0.5, 0.3])
    program.indicator("when", z, Rows(W @ x, low, high), on=on)
    program.sos1("one", x[:3].reshape(1, 3))
    program.maximize((c * x).sum() + (price * z).sum() - 1)
    form = program.compile()
    best = -math.inf
    for switch, member in itertools.product(itertools.product((0, 1), repeat=3), range(3)):
        active = np.array(switch, dtype=bool) == on
        plain = Program()
        y = plain.variables("y", 4, *(np.where(np.isin(np.arange(4), [member, 3]), side, 0.0) for side in (-2, 3)))
        if active.any():
            plain.add("rows", Rows(W[active] @ y, low[active], high[active]))
        plain.maximize((c * y).sum() - 1)
        fixed = solve(plain)
        if fixed.held == "proven":
            best = max(best, fixed.objective + float(price @ switch))
    claim = cold(form, Options())
    assert claim.reason == "optimal"
    assert form.objective(claim.x) == pytest.approx(best, abs=1e-6)
    assert form.indicators[0].excess(claim.x).max() <= 1e-6
    assert form.sos1[0].excess(claim.x).max() <= 1e-6


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


def test_relaxing_a_program_with_logic_keeps_the_logic() -> None:
    program = Program()
    n = program.variables("n", 2, 0, 3.5, domain="integer")
    program.sos1("one", n.reshape(1, 2))
    program.maximize(n.sum())
    with CPLEX.open(program.compile(), Options()) as session:
        assert session.solve().bound == pytest.approx(3.0)
        session.set_integer(np.zeros(2, dtype=bool))
        relaxed = session.solve()
        assert relaxed.bound == pytest.approx(3.5)
        assert relaxed.duals is None


def test_sums_of_squares_agree_with_brute_force_hot_and_cold() -> None:
    rng = np.random.default_rng(5)
    A, b = rng.normal(size=(10, 4)), rng.normal(size=10)
    program = Program()
    pick = program.variables("pick", 4, domain="binary")
    w, t = program.variables("w", 4, -3, 3), program.variables("t", 5)
    program.add("above", w <= 3 * pick)
    program.add("below", w >= -3 * pick)
    program.add("few", pick.sum() <= 2)
    program.epigraph("fit", SumSquares(), (A @ w - b).reshape(5, 2), t + 1)
    program.minimize(t.sum())
    best = {
        size: min(
            float(np.linalg.lstsq(A[:, some], b, rcond=None)[1][0]) - 5
            for some in itertools.combinations(range(4), size)
        )
        for size in (1, 2, 4)
    }
    solution = solve(program, solver=CPLEX)
    assert (solution.held, solution.rounds) == ("proven", 1)
    assert solution.objective == pytest.approx(best[2], abs=1e-6)
    with CPLEX.open(program.compile(), Options()) as session:
        session.solve()
        session.add_rows(sp.csr_array(np.eye(1, 13)[:, :4].repeat(4, axis=0).cumsum(axis=0) @ np.eye(4, 13)), *ends(4))
        session.drop_rows(np.array([0, 1, 2, 3]))
        session.add_rows(sp.csr_array(np.concatenate([np.ones(4), np.zeros(9)])[None]), np.zeros(1), np.ones(1))
        assert session.solve().bound == pytest.approx(best[1], abs=1e-6)
        session.drop_rows(np.array([0]))
        session.set_integer(np.zeros(13, dtype=bool))
        relaxed = session.solve()
        assert relaxed.reason == "optimal"
        assert relaxed.bound <= best[2] + 1e-6
        assert relaxed.duals is None
        session.set_integer(program.compile().integer)
        assert session.solve().bound == pytest.approx(best[2], abs=1e-6)


def ends(rows: int) -> tuple[np.ndarray, np.ndarray]:
    return np.full(rows, -np.inf), np.zeros(rows)


def test_a_ball_that_no_column_carries() -> None:
    program = Program()
    x = program.variables("x", 3, -9, 9)
    program.epigraph("ball", SumSquares(), x.reshape(1, 3), constant([4.0]))
    program.maximize(x.sum())
    solution = solve(program, solver=CPLEX)
    assert solution.held == "proven"
    assert solution.objective == pytest.approx(2 * math.sqrt(3), abs=1e-6)
    program.add("far", x.sum() >= 4)
    assert outcome(program).reason == "infeasible"
    loose = Program()
    y, t = loose.variables("y", 1), loose.variables("t", 1)
    loose.epigraph("square", SumSquares(), y.reshape(1, 1), t)
    loose.maximize(t.sum())
    assert outcome(loose).reason == "unbounded"


@pytest.mark.parametrize("seed", range(4))
def test_perspectives_agree_with_brute_force(seed: int) -> None:
    rng, k = np.random.default_rng(seed), 5
    curve, price = rng.random(k) + 0.2, rng.random(k) * 0.5
    program = Program()
    w, y = program.variables("w", k, 0, 2), program.variables("y", k, domain="binary")
    t = program.variables("t", k)
    program.add("link", w <= 2 * y)
    program.add("total", w.sum() >= 2)
    first, second = np.kron(np.eye(k), [[1.0], [0.0]]), np.kron(np.eye(k), [[0.0], [1.0]])
    program.epigraph("cone", Perspective(), (first @ w + second @ y).reshape(k, 2), t)
    program.minimize((price * y).sum() + (curve * t).sum())
    best = math.inf
    for some in itertools.product((False, True), repeat=k):
        on = np.array(some)
        if on.any():
            share = (1 / curve[on]) / (1 / curve[on]).sum() * 2
            best = min(best, float(price[on].sum() + (curve[on] * share**2).sum()))
    solution = solve(program, solver=CPLEX)
    assert (solution.held, solution.rounds) == ("proven", 1)
    assert solution.objective == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize("binary", [False, True])
def test_the_cut_loop_on_cplex_is_right(binary: bool) -> None:
    rng = np.random.default_rng(2)
    M = rng.normal(size=(6 * 3, 9)) * 1.5
    program = Program("softmax")
    keep = program.variables("keep", 9, 0, 1, domain="binary" if binary else "continuous")
    loss = program.variables("loss", 6)
    program.epigraph("softmax", LogSumExp(), (M @ keep).reshape(6, 3), loss)
    program.add("count", keep.sum() == 4)
    program.minimize(loss.mean())
    solution = solve(program, solver=CPLEX)
    assert solution.held == "proven"
    if not binary:
        assert solution.objective == pytest.approx(solve(program).objective, rel=1e-5)
        return
    points = (np.array(point, dtype=float) for point in itertools.product((0, 1), repeat=9) if sum(point) == 4)
    best = min(float(LogSumExp().value((M @ point).reshape(6, 3)).mean()) for point in points)
    assert solution.objective == pytest.approx(best, rel=1e-6)
    loop = solve_with_cuts(program.compile(), CPLEX, Options())
    assert loop.live < loop.cuts  # idle tangents were dropped, so duals were heard


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
