"""What every solver must do alike, asked of all in one way; what is peculiar to one stands in a file of its own.

`oamip.testing` asks more of them, through every language (tests/conformance); nothing here is asked there as strictly.
"""

from __future__ import annotations

import gc
import itertools
import math
import os
import signal
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import Bounds, LinearConstraint, milp

from oamip.errors import InputError, MissingDependency
from oamip.options import Options, Progress
from oamip.program import LogSumExp, Perspective, Program, Rows, StandardForm, SumSquares, check, constant
from oamip.solution import Solution
from oamip.solving import Driver, Outcome, Session, driver_names, find_driver, solve, solve_with_cuts
from oamip.testing import instances

LATE = 4.0  # seconds beyond a limit that a busy machine explains


def every_driver(*needs: str) -> pytest.MarkDecorator:
    """Each driver that has these abilities and atoms; skipped by name where its solver is not installed."""
    found = []
    for name in driver_names():
        try:
            driver = find_driver(name)
        except MissingDependency as missing:
            found.append(pytest.param(None, id=name, marks=pytest.mark.skip(str(missing))))
            continue
        if {*driver.support.abilities, *driver.support.atoms}.issuperset(needs):
            found.append(pytest.param(driver, id=name))
    return pytest.mark.parametrize("driver", found)


either_sense = pytest.mark.parametrize("sign", [pytest.param(1, id="max"), pytest.param(-1, id="min")])


def solved(driver: Driver, program: Program, **options: Any) -> Solution:
    return solve(program, Options(**options), solver=driver)


def claimed(driver: Driver, form: StandardForm, **options: Any) -> Outcome:
    with driver.open(form, Options(**options)) as session:
        return session.solve()


def told(claim: Outcome | Solution) -> list[str]:
    """What the warnings are about."""
    return [warning.partition(":")[0] for warning in claim.warnings]


# ── optima ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def random_program(seed: int, *, integer: bool = True) -> Program:
    """Equalities, ranges, free, empty and single rows; free, fixed, unused and unbounded columns; either sense."""
    rng = np.random.default_rng(seed)
    program = Program("mixed")
    n = program.variables("n", 4, domain="integer" if integer else "continuous")
    z = program.variables("z", 4, 0, 1, domain="binary" if integer else "continuous")
    y = program.variables("y", 4, np.where(rng.random(4) < 0.5, -np.inf, -2.0), np.inf)
    program.variables("unused", 2, [1.0, 3.0], [2.0, 3.0])
    A = rng.normal(size=(6, 4))
    mixed = A @ n + rng.normal(size=(6, 4)) @ z + rng.normal(size=(6, 4)) @ y
    program.add("free", Rows(mixed[:1], np.array([-np.inf]), np.array([np.inf])))
    program.add("range", Rows(mixed[1:3], np.array([-3.0, -2.0]), np.array([4.0, 2.5])))
    program.add("equal", mixed[3:4] == rng.normal())
    program.add("empty", 0 * n[0] + 0 * y[0] <= 1)
    program.add("box", Rows(np.eye(4) @ n, np.full(4, -3.0), np.full(4, 3.0)))
    program.add("low", y - np.abs(A[:4]) @ z >= -5)
    program.add("high", y + 0.5 * n <= 6.1)
    objective = (n * rng.normal(size=4)).sum() + (z * rng.normal(size=4)).sum() + (y * rng.random(4)).sum() + 100 / 3
    program.minimize(objective) if seed % 2 else program.maximize(-1 * objective)
    return program


def optimum(form: StandardForm) -> float | str:
    """The optimum, or the reason why there is none, through an interface that is not ours."""
    sign = 1.0 if form.sense == "min" else -1.0
    found = milp(
        sign * form.cost,
        integrality=form.integer.astype(int),
        bounds=Bounds(form.column_lower, form.column_upper),
        constraints=LinearConstraint(form.A, form.row_lower, form.row_upper),
        options={"mip_rel_gap": 1e-9},
    )
    assert found.status in (0, 2, 3), found.message
    return form.objective(found.x) if found.status == 0 else "infeasible" if found.status == 2 else "unbounded"


@every_driver()
@pytest.mark.parametrize("integer", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_random_programs_of_every_kind_of_row_and_column(driver: Driver, seed: int, integer: bool) -> None:
    program = random_program(seed, integer=integer)
    solution = solved(driver, program)
    assert (solution.reason, solution.held) == ("optimal", "proven")
    assert solution.objective == pytest.approx(optimum(program.compile()), rel=2e-6)
    assert solution.bound == pytest.approx(solution.objective, rel=2e-6)
    assert solution.verified


@every_driver()
@pytest.mark.parametrize(
    ("lower", "upper", "best"),
    [
        (5.0, 3.0, None),  # by the sign rule of ranged rows in MPS files, and of CPLEX, this would be [3, 5]
        (-np.inf, np.inf, 20.0),
        (-1e15, 0.5, 0.5),
        (-0.5, 1e15, 20.0),
    ],
)
def test_sides_of_rows(driver: Driver, lower: float, upper: float, best: float | None) -> None:
    for later in (False, True):
        program = Program()
        x = program.variables("x", 2, -10, 10)
        rows = Rows(x.sum(), np.array([lower]), np.array([upper]))
        program.maximize(x.sum())
        if not later:
            program.add("row", rows)
        with driver.open(program.compile(), Options()) as session:
            if later:
                session.add_rows(sp.csr_array(np.ones((1, 2))), rows.lower, rows.upper)
            claim = session.solve()
            if later:
                session.drop_rows(np.array([0]))
                assert session.solve().bound == pytest.approx(20.0)
        if best is None:
            assert (claim.reason, claim.x) == ("infeasible", None)
        else:
            assert claim.reason == "optimal"
            assert claim.bound == pytest.approx(best)


@every_driver()
@pytest.mark.parametrize("huge", [1e9, 1e17, 3e19])
def test_a_huge_side_of_a_row_takes_no_digit_of_the_other(driver: Driver, huge: float) -> None:
    for later in (False, True):
        program = Program()
        x = program.variables("x", 2, -10, 10)
        sides = np.array([-1 / 3, -huge]), np.array([huge, 2 / 7])
        program.minimize(x[0] - x[1])
        if not later:
            program.add("rows", Rows(x * 1.0, *sides))
        with driver.open(program.compile(), Options()) as session:
            if later:
                session.add_rows(sp.csr_array(np.eye(2)), *sides)
            claim = session.solve()
        assert claim.x is not None
        np.testing.assert_allclose(claim.x, [-1 / 3, 2 / 7], atol=2e-7)


@every_driver()
def test_rows_without_entries_count(driver: Driver) -> None:
    program = Program()
    n = program.variables("n", 2, -1, 3, domain="integer")
    program.minimize(n.sum() + 4.5)
    assert solved(driver, program).objective == pytest.approx(2.5)
    program.add("idle", Rows(n * 0, np.array([-1.0, -np.inf]), np.array([1.0, 0.0])))
    assert solved(driver, program).objective == pytest.approx(2.5)
    program.add("never", Rows(n[:1] * 0, np.array([1.0]), np.array([2.0])))
    assert claimed(driver, program.compile()).reason == "infeasible"


# ── programs without an optimum ────────────────────────────────────────────────────────────────────────────────────


@every_driver()
@either_sense
@pytest.mark.parametrize("integer", [False, True])
def test_infeasible_and_unbounded_are_told_apart(driver: Driver, sign: int, integer: bool) -> None:
    for contradict in (False, True):
        program = Program()
        x = program.variables("x", 3, 0, domain="integer" if integer else "continuous")
        program.add("one", x[0] - x[1] >= 1)
        if contradict:
            program.add("other", x[0] - x[1] <= 0)
        (program.maximize if sign > 0 else program.minimize)(sign * (x[2] + x[0]))
        solution = solved(driver, program)
        assert solution.reason == ("infeasible" if contradict else "unbounded")
        assert (solution.held, solution.bound) == ("none", sign * math.inf)
    between = Program()
    (between.maximize if sign > 0 else between.minimize)(between.variables("n", 2, 0.2, 0.8, domain="integer").sum())
    assert solved(driver, between).reason == "infeasible"


@every_driver()
def test_telling_them_apart_keeps_to_the_limits_and_to_the_objective(driver: Driver, split: Program) -> None:
    ray = split.variables("ray", 1, 0, domain="integer")
    split.minimize(2 - ray.sum())
    seen: list[Progress] = []
    asked = {"stop_at_bound": -1.0, "stop_at_objective": 5.0} if driver.support.objective_limit else {}
    # Without an objective the bound is 0, which passes −1 at once; nothing is known of the program all the same.
    with driver.open(split.compile(), Options(time_limit=0.4, progress=seen.append, **asked)) as session:
        claim = session.solve()
        assert (claim.reason, claim.x, claim.bound) == ("time_limit", None, -math.inf)
        assert all(math.isnan(progress.objective) and math.isnan(progress.bound) for progress in seen)
        session.set_bounds(np.array([40]), np.zeros(1), np.ones(1))
        session.set_integer(np.zeros(41, dtype=bool))
        assert session.solve(progress=None, stop_at_bound=None, stop_at_objective=None).bound == pytest.approx(1.0)


# ── limits ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def turned(knapsack: Program, sign: int) -> Program:
    """The knapsack in either sense, with a constant: it counts as well, and turns the sign of all values."""
    objective = sign * knapsack.objective - 60_000
    (knapsack.maximize if sign > 0 else knapsack.minimize)(objective)
    return knapsack


@every_driver()
@either_sense
def test_time_limit_with_a_point(driver: Driver, knapsack: Program, sign: int) -> None:
    program = turned(knapsack, sign)
    for limit in (0.3, 1.0, 4.0):  # on a busy machine a solver may have come to no point so soon
        solution = solved(driver, program, time_limit=limit)
        assert solution.seconds.solve < limit + LATE
        if solution.held != "none":
            break
    assert (solution.reason, solution.held) == ("time_limit", "feasible")
    assert solution.verified
    value, bound = sign * (solution.objective + 60_000), sign * (solution.bound + 60_000)
    assert 40_000 < value < bound < 56_000


@every_driver()
def test_time_limit_without_a_point(driver: Driver, split: Program) -> None:
    solution = solved(driver, split, time_limit=0.3)
    assert (solution.reason, solution.held, dict(solution.values)) == ("time_limit", "none", {})
    assert math.isnan(solution.objective)
    assert 15 < solution.bound <= 20
    assert solved(driver, split, time_limit=0.0).reason == "time_limit"


@every_driver()
def test_a_linear_program_that_was_stopped_has_no_false_point_or_bound(driver: Driver) -> None:
    rng = np.random.default_rng(0)
    program = Program()
    x = program.variables("x", 300, 0)
    program.add("rows", rng.normal(size=(300, 300)) @ x <= rng.random(300))
    program.add("sum", x.sum() <= 100)
    program.maximize((x * rng.random(300)).sum())
    claims: dict[str, Outcome] = {}
    with driver.open(program.compile(), Options()) as session:
        for asked, reason in (({"time_limit": 0.02}, "time_limit"), ({"progress": lambda _: True}, "interrupted")):
            claims[reason] = session.solve(**asked)
            session.restart()
        best, form = session.solve().bound, session.form
    for reason, claim in claims.items():
        assert (claim.reason, claim.duals) == (reason, None)
        assert claim.bound >= best - 1e-6
        assert claim.x is None or check(form, claim.x).accepted  # the simplex method may have come to one


@every_driver("node_limit", "gap")
def test_gap_and_node_limits_and_a_tree_for_each_solve(driver: Driver, knapsack: Program) -> None:
    form = knapsack.compile()
    with driver.open(form, Options(time_limit=20)) as session:
        first, again = session.solve(node_limit=40), session.solve(node_limit=5)
        assert first.reason == again.reason == "node_limit"
        assert 20 < first.nodes <= 40
        assert 0 < again.nodes <= 5
        session.restart()
        for gap, allowed in (("gap_relative", 0.05), ("gap_absolute", 2000.0)):
            claim = session.solve(**{gap: allowed})
            value = form.objective(claim.x)
            assert claim.reason == "optimal"
            assert 1e-5 * value < claim.bound - value <= (allowed * value if gap == "gap_relative" else allowed)
            session.restart()
    assert solved(driver, knapsack, gap_relative=0.05).reason == "gap_limit"


@every_driver("objective_limit")
@either_sense
def test_stops_at_objective_and_bound(driver: Driver, knapsack: Program, sign: int) -> None:
    program = turned(knapsack, sign)
    good, far = sign * 52_900.0 - 60_000, sign * 53_690.0 - 60_000
    reached = solved(driver, program, stop_at_objective=good, time_limit=20)
    assert (reached.reason, reached.held) == ("objective_limit", "feasible")
    assert sign * (reached.objective - good) >= 0
    passed = solved(driver, program, stop_at_bound=far, time_limit=20)
    assert passed.reason == "objective_limit"
    assert sign * (passed.bound - far) <= 0
    beyond = {"stop_at_objective": sign * 60_000.0 - 60_000, "stop_at_bound": sign * 50_000.0 - 60_000}
    assert solved(driver, program, node_limit=1, **beyond).reason == "node_limit"


# ── starts ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@every_driver("start")
def test_a_start_is_held_where_nothing_finds_a_point_and_can_be_replaced(driver: Driver) -> None:
    hard = instances.split()
    form, point = hard.program.compile(), hard.point
    starts = {
        "none": None,
        "whole": point,
        "partial": np.where(np.arange(60) < 55, point, np.nan),
        "wrong": 1 - point,
        "none again": None,
    }
    with driver.open(form, Options(time_limit=0.2)) as session:
        for kind, start in starts.items():
            session.restart()
            session.set_start(start)
            claim = session.solve()
            if claim.x is None and kind in ("whole", "partial"):
                claim = session.solve(time_limit=3.0)  # on a busy machine it may not have come to it
            if start is None or kind == "wrong":
                assert claim.x is None, kind
            else:
                assert claim.x is not None, kind
                assert check(form, claim.x).accepted
                assert form.objective(claim.x) == pytest.approx(hard.value)
                assert claim.warnings == ()


# ── watching ───────────────────────────────────────────────────────────────────────────────────────────────────────


@every_driver("progress")
def test_progress_interrupts_and_the_incumbent_is_kept(driver: Driver, knapsack: Program) -> None:
    knapsack.maximize(knapsack.objective + 1000)
    seen: list[Progress] = []

    def watch(progress: Progress) -> bool:
        seen.append(progress)
        assert threading.current_thread() is threading.main_thread()
        return progress.seconds > 0.4 and progress.nodes > 0

    solution = solved(driver, knapsack, progress=watch, time_limit=20)
    assert (solution.reason, solution.held) == ("interrupted", "feasible")
    assert len(seen) > 4  # other threads run while the solver works
    last, form = seen[-1], knapsack.compile()
    assert 45_000 < last.objective <= solution.objective * (1 + 1e-7)
    assert last.objective <= last.bound < 56_000
    assert (last.x is not None) == driver.support.hot  # a solver in a process of its own tells of no points
    if last.x is not None:
        assert form.objective(last.x) == pytest.approx(last.objective)
        assert check(form, last.x).accepted


@every_driver("progress")
def test_an_error_in_the_progress_callback_comes_out_and_the_session_lives_on(
    driver: Driver, knapsack: Program
) -> None:
    def fail(progress: Progress) -> bool:
        raise RuntimeError("mine")

    with driver.open(knapsack.compile(), Options(node_limit=10**5)) as session:
        with pytest.raises(RuntimeError, match="mine"):
            session.solve(progress=fail)
        assert session.solve(node_limit=1).reason == "node_limit"


def control_c_works() -> bool:
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    return True


@every_driver()
def test_control_c_keeps_the_incumbent_and_works_afterwards(driver: Driver, knapsack: Program) -> None:
    handler = signal.getsignal(signal.SIGINT)
    timer = threading.Timer(0.4, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    solution = solved(driver, knapsack, time_limit=20)
    timer.join()
    assert (solution.reason, solution.held) == ("interrupted", "feasible")
    assert solution.bound > solution.objective
    assert signal.getsignal(signal.SIGINT) is handler
    assert control_c_works()


@every_driver("hot")
def test_better_points_are_of_this_run_and_in_the_columns_of_the_form(driver: Driver, knapsack: Program) -> None:
    take = knapsack.blocks["take"]
    knapsack.add("band", Rows(take.sum(), np.array([5.0]), np.array([70.0])))  # may have a slack column
    with driver.open(knapsack.compile(), Options(node_limit=40)) as session:
        for fixed in (0, 60):
            session.set_bounds(np.arange(fixed), np.zeros(fixed), np.zeros(fixed))
            claim, form = session.solve(), session.form
            values = [form.objective(x) for x in claim.points]
            assert len(values) > 1
            assert values == sorted(values)
            assert values[-1] == pytest.approx(form.objective(claim.x))
            assert all(check(form, x).accepted for x in claim.points)


# ── options ────────────────────────────────────────────────────────────────────────────────────────────────────────

NODES = {  # the option of each solver that limits its nodes
    "cbc": "maxNodes",
    "cplex": "mip.limits.nodes",
    "gurobi": "NodeLimit",
    "highs": "mip_max_nodes",
    "scip": "limits/totalnodes",
}


@every_driver()
def test_raw_options_win_for_one_solve(driver: Driver, knapsack: Program) -> None:
    with driver.open(knapsack.compile(), Options(time_limit=0.3)) as session:
        assert session.solve(time_limit=20, node_limit=50, raw={NODES[driver.name]: 0}).reason == "node_limit"
        assert session.solve().reason == "time_limit"


@every_driver()
def test_what_it_cannot_do_is_a_named_warning(driver: Driver) -> None:
    form = random_program(1, integer=False).compile()
    assert claimed(driver, form).warnings == ()
    part = np.where(np.arange(14) < 7, 0.0, np.nan)  # of no use to a solver of linear programs
    assert sorted(told(claimed(driver, form, feasibility=1e-13, start=part))) == ["option feasibility", "option start"]


@every_driver()
def test_numbers_beyond_what_it_takes_are_replaced_and_named(driver: Driver) -> None:
    program = random_program(0)
    for option, beyond in (("threads", 2**31), ("seed", 2**31), ("seed", 2**70)):
        # On a small machine hundreds of threads take minutes to agree.
        solution = solved(driver, program, time_limit=0.0 if option == "threads" else math.inf, **{option: beyond})
        assert solution.reason == ("time_limit" if option == "threads" else "optimal")
        (warning,) = solution.warnings
        expected = "takes no" if option in driver.support.abilities else "has none"
        assert warning.startswith(f"option {option}: ")
        assert expected in warning


@every_driver("gap")
@pytest.mark.parametrize("gap", ["gap_relative", "gap_absolute"])
def test_an_infinite_gap_is_reached_by_the_first_point(driver: Driver, knapsack: Program, gap: str) -> None:
    solution = solved(driver, knapsack, time_limit=20, **{gap: math.inf})
    assert (solution.reason, solution.held, solution.warnings) == ("gap_limit", "proven", ())


@every_driver("objective_limit")
@either_sense
def test_an_infinite_stop_is_reached_by_all_or_by_nothing(driver: Driver, knapsack: Program, sign: int) -> None:
    program = turned(knapsack, sign)
    for stop, all_reach in (("stop_at_objective", -sign * math.inf), ("stop_at_bound", sign * math.inf)):
        assert solved(driver, program, time_limit=20, **{stop: all_reach}).reason == "objective_limit"
        never = solved(driver, program, node_limit=1, **{stop: -all_reach})
        assert (never.reason, never.warnings) == ("node_limit", ())


@every_driver("memory_limit")
def test_memory_limit(driver: Driver, knapsack: Program) -> None:
    claim = claimed(driver, knapsack.compile(), memory_limit=2**20, time_limit=20)
    assert claim.reason == "memory_limit"
    assert claim.x is not None or not claim.nodes


@every_driver()
def test_the_log_is_kept_and_written_and_not_printed(
    driver: Driver,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    knapsack: Program,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.log"
    path.write_text("of another run")
    with driver.open(knapsack.compile(), Options(node_limit=0, log_file=path)) as session:
        logs = [session.solve().log, session.solve().log]
    assert all("120" in log for log in logs)  # columns
    assert path.read_text() == "".join(logs)
    assert claimed(driver, random_program(0).compile()).log
    assert capfd.readouterr() == ("", "")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.log"]


# ── sessions ───────────────────────────────────────────────────────────────────────────────────────────────────────

Change = tuple[str, tuple[Any, ...]]


KINDS = ["add", "add", "drop", "drop", "bounds", "objective", "integer", "start"]


def random_changes(rng: np.random.Generator, form: StandardForm, number: int) -> Iterator[Change]:
    """Changes of every kind; the last but one forgets everything. Columns of atoms stay within their first bounds."""
    width, added = form.shape[1], 0
    box = (form.column_lower, form.column_upper) if form.kinds else (np.full(width, -np.inf), np.full(width, np.inf))
    for step in range(number):
        kind = rng.choice(KINDS) if added > 1 else "add"
        if step == number - 2:
            yield "restart", ()
        elif kind == "add":
            R = rng.integers(-2, 5, (3, width)) * (rng.random((3, width)) < 0.7)
            lower = np.where(rng.random(3) < 0.5, -np.inf, -rng.integers(1, 20, 3).astype(float))
            upper = np.where(rng.random(3) < 0.3, np.inf, rng.integers(1, 40, 3).astype(float))
            added += 3
            yield "add_rows", (sp.csr_array(R.astype(float)), lower, upper)
        elif kind == "drop":
            which = rng.permutation(added)[: added // 2]
            added -= which.size
            yield "drop_rows", (which,)
        elif kind == "bounds":
            columns = rng.choice(width, 3, replace=False)
            upper = np.where(rng.random(3) < 0.1, np.inf, rng.integers(2, 24, 3) / 2)  # some of integers fractional
            low, high = (np.clip(side, *(end[columns] for end in box)) for side in (rng.integers(-6, 1, 3) / 2, upper))
            yield "set_bounds", (columns, low, high)
        elif kind == "objective":
            yield "set_objective", (rng.normal(size=width), float(rng.normal()))
        elif kind == "integer":
            yield "set_integer", (form.integer & (rng.random(width) < rng.choice([0.0, 0.5, 1.0])),)
        else:
            yield "set_start", (np.where(rng.random(width) < 0.5, np.nan, rng.integers(0, 3, width)),)


def assert_duals_prove(form: StandardForm, claim: Outcome) -> None:
    """Weak duality with the duals as they are: one for each row, reduced costs ``c − Aᵀy``."""
    assert claim.duals is not None
    assert claim.duals.shape == form.row_lower.shape
    sign = 1.0 if form.sense == "min" else -1.0

    def value(price: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> float:
        used = np.abs(price) > 1e-7  # a price on a side that does not exist makes this infinite
        return float(price[used] @ np.where(sign * price > 0, lower, upper)[used])

    proven = value(claim.duals, form.row_lower, form.row_upper) + form.constant
    proven += value(form.cost - claim.duals @ form.A, form.column_lower, form.column_upper)
    assert proven == pytest.approx(claim.bound, rel=1e-6, abs=1e-5)


@every_driver("duals")
@pytest.mark.parametrize("seed", range(6))
def test_duals_of_rows_with_one_entry_or_none(driver: Driver, seed: int) -> None:
    rng = np.random.default_rng(seed)
    program = Program()
    x = program.variables("x", 8, -2, np.where(rng.random(8) < 0.5, 10, np.inf))
    A = sp.random_array((9, 8), density=0.3, rng=rng)  # such a row may be a bound, and its price that of the column
    program.add("rows", Rows(A @ x, np.full(9, -4.0), np.full(9, 6.0)))
    program.add("all", x.sum() <= 30)
    (program.minimize if seed % 2 else program.maximize)((x * rng.normal(size=8)).sum() + 3)
    form = program.compile()
    assert_duals_prove(form, claimed(driver, form))


@every_driver()
@pytest.mark.parametrize("integer", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_hot_equals_cold_through_random_changes(driver: Driver, seed: int, integer: bool) -> None:
    form, rng, optima = random_program(seed, integer=integer).compile(), np.random.default_rng(seed), 0
    with driver.open(form, Options(time_limit=20)) as hot, Session(form, Options()) as account:
        for change, arguments in random_changes(rng, form, 14):
            for session in (hot, account):
                getattr(session, change)(*arguments)
            claim, expected = hot.solve(), optimum(account.form)
            if isinstance(expected, str):
                assert (claim.reason, claim.x) == (expected, None)
                continue
            optima += 1
            assert claim.reason == "optimal"
            assert check(account.form, claim.x).accepted
            assert account.form.objective(claim.x) == pytest.approx(expected, rel=1e-5, abs=1e-5)
            assert claim.bound == pytest.approx(expected, rel=1e-5, abs=1e-5)
            if not account.form.integer.any() and driver.support.duals:
                assert_duals_prove(account.form, claim)
            else:
                assert claim.duals is None
        assert (hot.form.A != account.form.A).nnz == 0
    assert optima > 3


@every_driver()
def test_sessions_run_side_by_side_in_threads_and_leave_control_c_alone(driver: Driver, knapsack: Program) -> None:
    forms = [random_program(seed).compile() for seed in range(6)]

    def work(number: int) -> float:
        claimed(driver, knapsack.compile(), time_limit=0.1 + 0.05 * number)
        return claimed(driver, forms[number]).bound

    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(work, range(6)))
    assert together == pytest.approx([optimum(form) for form in forms])
    assert control_c_works()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process")  # newer Pythons warn of forks beside threads
@every_driver()
def test_a_fork_solves_with_an_old_session_and_a_new_one(driver: Driver) -> None:
    form = random_program(0).compile()
    best = optimum(form)
    with driver.open(form, Options()) as session:
        session.solve()
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            right = all(abs(claim.bound - best) < 1e-4 for claim in (session.solve(), claimed(driver, form)))
            os._exit(0 if right else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert session.solve().bound == pytest.approx(best)


@every_driver()
def test_nothing_is_left_of_a_closed_session(driver: Driver, tmp_path: Path) -> None:
    form, files, counts = random_program(0).compile(), Path("/proc/self/fd"), []
    for _ in range(3):
        session = driver.open(form, Options(log_file=tmp_path / "log"))
        session.solve()
        gone = weakref.ref(session)
        session.close()
        session.close()
        del session
        with pytest.raises(InputError, match="no_such"):
            claimed(driver, form, raw={"no_such": 1})
        gc.collect()
        assert gone() is None
        counts.append((len(list(files.iterdir())) if files.is_dir() else 0, threading.active_count()))
    assert counts[1] == counts[2]


# ── atoms that a solver knows, and those that it does not ──────────────────────────────────────────────────────────


def switched(seed: int) -> Program:
    """Indicators on 0 and on 1, of every kind of row, one of them without variables; the cost wants to break them."""
    rng = np.random.default_rng(seed)
    program = Program("switched")
    x, on = program.variables("x", 5, -4, 4), program.variables("on", 7, domain="binary")
    R = rng.integers(-3, 4, (7, 5)).astype(float)
    R[6] = 0
    lower, upper = rng.integers(-6, 0, 7).astype(float), rng.integers(0, 6, 7).astype(float)
    lower[0], upper[1], lower[2] = -np.inf, np.inf, upper[2]
    lower[3], upper[3] = -np.inf, np.inf
    lower[6], upper[6] = 1.0, np.inf
    program.indicator("when", on, Rows(R @ x, lower, upper), on=rng.random(7) < 0.5)
    program.add("some", on.sum() == 3)
    program.maximize((x * rng.normal(size=5)).sum() + (on * rng.normal(size=7)).sum() + 1)
    return program


def exclusive(seed: int) -> Program:
    """Sets of which one member counts, with ranges of 1e3 that a large big-M would blur."""
    rng = np.random.default_rng(seed)
    program = Program("exclusive")
    x = program.variables("x", (3, 4), -1e3, 1e3)
    program.sos1("one", x)
    program.add("sum", rng.random((4, 12)) @ x.reshape(-1) <= rng.integers(50, 500, 4))
    program.maximize((x * rng.normal(size=(3, 4))).sum())
    return program


def squares(seed: int) -> Program:
    """Squares of plain columns and of affine expressions; more on the right side than one column."""
    rng = np.random.default_rng(seed)
    program = Program("squares")
    x, t = program.variables("x", 6, -3, 3, domain="integer"), program.variables("t", 3)
    program.epigraph("plain", SumSquares(), x.reshape(2, 3), t[:2])
    mixed = rng.normal(size=(4, 6)) @ x + rng.normal(size=4)
    program.epigraph("affine", SumSquares(), mixed.reshape(1, 4), (2 * t[2] + 0.5 * t[0] - 3).reshape(1))
    program.add("reach", rng.normal(size=(3, 6)) @ x >= rng.random(3) + 1)
    program.minimize((t * rng.uniform(1, 2, 3)).sum() - 4)
    return program


def perspectives(seed: int, *, binary: bool) -> Program:
    """``w² ≤ t y``, no row that ties w to y but the cone itself; y plain, and y an affine expression."""
    rng = np.random.default_rng(seed)
    program = Program("perspectives")
    w = program.variables("w", (4, 2), -5, 5)
    y, t = program.variables("y", 4, 0, 1, domain="binary" if binary else "continuous"), program.variables("t", 4)
    for name, scale, half in (("plain", 1.0, slice(0, 2)), ("scaled", 0.5, slice(2, 4))):
        places, switch = np.zeros((6, 8)), np.zeros((6, 4))
        places[[0, 1, 3, 4], np.arange(8)[half.start * 2 : half.stop * 2]] = 1
        switch[[2, 5], [half.start, half.start + 1]] = scale
        argument = places @ w.reshape(-1) + switch @ y
        program.epigraph(name, Perspective(100.0), argument.reshape(2, 3), t[half])
    program.add("fit", rng.normal(size=(3, 8)) @ w.reshape(-1) >= rng.random(3) * 2 + 0.5)
    program.minimize(t.sum() + (y * rng.uniform(0.2, 0.6, 4)).sum())
    return program


def softmax(seed: int, *, binary: bool = True) -> Program:
    """Mean cross entropy of logits that nine columns switch on and off, and a price on them."""
    rng = np.random.default_rng(seed)
    M, picked = rng.normal(size=(24, 9)) * 1.5, np.arange(8) * 3 + rng.integers(0, 3, 8)
    program = Program("softmax")
    keep = program.variables("keep", 9, 0, 1, domain="binary" if binary else "continuous")
    loss, logits = program.variables("loss", 8), M @ keep
    program.epigraph("softmax", LogSumExp(), logits.reshape(8, 3), loss + logits.take(picked))
    program.add("budget", Rows(keep.sum(), np.array([1.0]), np.array([3.0])))
    program.minimize(loss.mean() + 0.3 * keep.mean())
    return program


ATOMS: dict[str, Callable[[int], Program]] = {
    "indicator": switched,
    "sos1": exclusive,
    "sum_squares": squares,
    "perspective of switches": lambda seed: perspectives(seed, binary=True),
    "perspective of shares": lambda seed: perspectives(seed, binary=False),
    "log_sum_exp": softmax,
}


def native_atoms(*kinds: str) -> pytest.MarkDecorator:
    """Each driver with each kind of atoms that it takes as they are."""
    found = [
        pytest.param(*param.values, atoms, id=f"{param.id}-{atoms}", marks=param.marks)
        for atoms in kinds
        for param in every_driver(atoms.split()[0]).args[1]
    ]
    return pytest.mark.parametrize(("driver", "atoms"), found)


@cache
def bridged(atoms: str, seed: int) -> float:
    """The optimum of a solver that knows none of them: by bridges, and by cuts."""
    solution = solve(ATOMS[atoms](seed), solver="highs")
    assert (solution.held, find_driver("highs").support.atoms) == ("proven", frozenset())
    return solution.objective


@native_atoms(*ATOMS)
@pytest.mark.parametrize("seed", range(2))
def test_native_atoms_mean_what_bridges_and_cuts_mean(driver: Driver, atoms: str, seed: int) -> None:
    solution = solved(driver, ATOMS[atoms](seed))
    assert (solution.held, solution.rounds) == ("proven", 1)
    assert solution.objective == pytest.approx(bridged(atoms, seed), abs=2e-5)


@native_atoms("indicator", "sos1", "sum_squares", "perspective of switches", "log_sum_exp")
def test_hot_equals_cold_with_atoms(driver: Driver, atoms: str) -> None:
    form, rng, optima = ATOMS[atoms](0).compile(), np.random.default_rng(59), 0
    with driver.open(form, Options(time_limit=20)) as hot, Session(form, Options()) as account:
        for change, arguments in random_changes(rng, form, 7):
            if change == "set_objective" and form.epigraphs:
                arguments = (np.where(form.cost == 0, arguments[0], form.cost), arguments[1])  # or it is unbounded
            for session in (hot, account):
                getattr(session, change)(*arguments)
            claim, cold = hot.solve(), claimed(driver, account.form)
            assert (claim.reason, claim.duals) == (cold.reason, None)
            if claim.x is not None:
                optima += 1
                assert claim.x.shape == form.cost.shape
                assert check(account.form, claim.x).violation < 1e-5
                assert claim.bound == pytest.approx(cold.bound, rel=1e-5, abs=1e-5)
    assert optima > 3


@every_driver("sos1")
def test_relaxing_a_program_with_logic_keeps_the_logic(driver: Driver) -> None:
    program = Program()
    n = program.variables("n", 2, 0, 9, domain="integer")
    program.sos1("one", n.reshape(1, 2))
    program.maximize(n.sum())
    with driver.open(program.compile(), Options()) as session:
        session.set_bounds(np.arange(2), np.zeros(2), np.full(2, 3.5))
        assert session.solve().bound == pytest.approx(3.0)
        session.set_integer(np.zeros(2, dtype=bool))
        relaxed = session.solve()
    assert relaxed.bound == pytest.approx(3.5)
    assert relaxed.duals is None


def switched_without_bounds(number: int) -> Program:
    """Unbounded where the switches are off: of random programs like these SCIP and Gurobi called some optimal."""
    program = Program("endless")
    if number == 0:  # Gurobi: an optimum of −1e100
        x, on = program.variables("x", (), -np.inf, 2, domain="integer"), program.variables("on", 3, domain="binary")
        sides = np.array([-np.inf, 3, -np.inf]), np.array([2.0, 3, -2])
        program.indicator("switched", on, Rows(np.array([-2.0, -1, 3]) * x, *sides), on=[False, True, True])
        program.minimize(x - 4 * on[1] + 2 * on[2])
    elif number == 1:  # SCIP: an optimum of −12
        y = program.variables("y", 3, [-1, -3, -np.inf], domain="integer")
        on = program.variables("on", 3, domain="binary")
        sides = np.array([-np.inf, 3, -6]), np.array([1.0, 3, -3])
        left = np.array([[1, 0, -1], [-3, -3, -3], [2, -2, -1]]) @ y
        program.indicator("switched", on, Rows(left, *sides), on=[True, False, True])
        program.minimize((y * [-2, 2, -2]).sum() + (on * [-2, 2, 2]).sum())
    else:  # SCIP: an optimum of 5
        z, on = program.variables("z", (), -2, domain="integer"), program.variables("on", 2, domain="binary")
        program.indicator("switched", on, np.array([-3.0, -1]) * z == [5, 2], on=[False, True])
        program.minimize(-3 * z + 2 * on[0] - 3 * on[1])
    return program


@every_driver("indicator")
@pytest.mark.parametrize("number", range(3))
def test_unbounded_programs_with_switches_have_no_optimum(driver: Driver, number: int) -> None:
    solution = solved(driver, switched_without_bounds(number), time_limit=20.0)
    assert (solution.reason, solution.held, abs(solution.bound)) == ("unbounded", "none", math.inf)


@every_driver("indicator")
def test_a_bounded_program_with_switches_on_unbounded_columns_keeps_its_optimum(driver: Driver) -> None:
    program = Program()
    x, on = program.variables("x", (), domain="integer"), program.variables("on", (), domain="binary")
    program.indicator("least", on.reshape(1), x.reshape(1) >= -7.5)
    program.add("on", on == 1)
    program.minimize(x)
    solution = solved(driver, program)
    assert (solution.held, solution.objective, solution.warnings) == ("proven", -7.0, ())


@every_driver("sum_squares")
def test_epigraphs_that_no_column_carries_are_constraints_and_may_clash(driver: Driver) -> None:
    program = Program()
    x = program.variables("x", 3, -9, 9)
    program.epigraph("ball", SumSquares(), x.reshape(1, 3), constant([4.0]))
    if "log_sum_exp" in driver.support.atoms:
        program.epigraph("soft", LogSumExp(), x.reshape(1, 3), constant([2.5]))
    program.maximize(x.sum())
    solution = solved(driver, program)
    assert solution.held == "proven"
    assert solution.objective == pytest.approx(2 * math.sqrt(3), rel=1e-5)
    program.add("far", x.sum() >= 4)
    assert claimed(driver, program.compile()).reason == "infeasible"
    loose = Program()
    y, t = loose.variables("y", 1), loose.variables("t", 1)
    loose.epigraph("square", SumSquares(), y.reshape(1, 1), t)
    loose.maximize(t.sum())
    assert claimed(driver, loose.compile()).reason == "unbounded"


@every_driver()
@pytest.mark.parametrize("binary", [False, True])
def test_the_cut_loop_is_right(driver: Driver, binary: bool) -> None:
    form = softmax(0, binary=binary).compile()
    loop = solve_with_cuts(form, driver, Options())
    assert loop.outcome.reason == "optimal"
    assert loop.rounds > 1
    assert loop.live < loop.cuts or not driver.support.duals  # idle tangents were dropped, so duals were heard
    if not binary:
        assert loop.outcome.bound == pytest.approx(solve(softmax(0, binary=False), solver="highs").objective, rel=1e-5)
        return
    (soft,) = form.epigraphs
    best = math.inf
    for chosen in itertools.product((0.0, 1.0), repeat=9):
        if 1 <= sum(chosen) <= 3:
            x = np.array([*chosen, *np.zeros(8)])
            x[9:] = soft.function.value((soft.B @ x + soft.b).reshape(8, 3)) - soft.T @ x
            best = min(best, form.objective(x))
    assert loop.outcome.bound == pytest.approx(best, rel=2e-6)


@every_driver("indicator")
def test_the_cut_loop_takes_indicators_along(driver: Driver) -> None:
    program = switched(1)
    x, top = program.blocks["x"], program.variables("top", 1)
    program.epigraph("softmax", LogSumExp(), x.reshape(1, 5), top)
    program.maximize(program.objective - top.sum())
    loop = solve_with_cuts(program.compile(), driver, Options())
    assert loop.outcome.bound == pytest.approx(solve(program, solver="highs").objective, abs=2e-5)
