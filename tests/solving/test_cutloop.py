"""The cut loop against a conic solver, brute force and calculus."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import cvxpy as cp
import numpy as np
import pytest

from oamip.options import Options, Progress
from oamip.program import LogSumExp, Perspective, Program, StandardForm, SumSquares, concatenate, constant
from oamip.solving import Refined, master, solve, solve_with_cuts
from oamip.solving.drivers.highs import HighsDriver
from oamip.solving.epigraphs import Epigraphs
from oamip.solving.outcome import Outcome
from oamip.solving.session import Session


class CrossEntropy:
    """Mean cross entropy of logits ``M keep`` (samples · classes rows) with labels, plus a price on what is kept."""

    def __init__(self, seed: int, *, samples: int = 20, columns: int = 30, classes: int = 5, binary: bool = False):
        rng = np.random.default_rng(seed)
        self.labels = rng.integers(0, classes, samples)
        self.M = rng.normal(size=(samples * classes, columns)) * 1.5
        self.shape, self.budget = (samples, classes), 0.4 * columns
        self.picked = np.arange(samples) * classes + self.labels
        self.program = Program("cross entropy")
        keep = self.program.variables("keep", columns, 0, 1, domain="binary" if binary else "continuous")
        loss = self.program.variables("loss", samples)
        logits = self.M @ keep
        self.program.epigraph("softmax", LogSumExp(), logits.reshape(*self.shape), loss + logits.take(self.picked))
        self.program.add("budget", keep.sum() <= self.budget)
        self.program.minimize(loss.mean() + 0.3 * keep.mean())

    def value(self, keep: np.ndarray) -> float:
        logits = (self.M @ keep).reshape(self.shape)
        losses = LogSumExp().value(logits) - logits.ravel()[self.picked]
        return float(losses.mean() + 0.3 * keep.mean())

    def conic(self) -> float:
        keep = cp.Variable(self.M.shape[1], bounds=[0, 1])
        logits = cp.reshape(self.M @ keep, self.shape, order="C")
        loss = cp.sum(cp.log_sum_exp(logits, axis=1)) - cp.sum((self.M @ keep)[self.picked])
        objective = loss / self.shape[0] + 0.3 * cp.sum(keep) / self.M.shape[1]
        problem = cp.Problem(cp.Minimize(objective), [cp.sum(keep) <= self.budget])
        problem.solve(solver="CLARABEL")
        return float(problem.value)


def refined(program: Program, **options: object) -> Refined:
    return solve_with_cuts(program.compile(), HighsDriver(), Options(**options))


@pytest.mark.parametrize("seed", range(3))
def test_cross_entropy_agrees_with_a_conic_solver(seed: int) -> None:
    it = CrossEntropy(seed)
    solution = solve(it.program)
    assert (solution.reason, solution.held) == ("optimal", "proven")
    assert solution.gap <= 1e-6
    assert solution.rounds < 60
    assert solution.objective == pytest.approx(it.conic(), rel=1e-5)
    assert solution.objective == pytest.approx(it.value(solution["keep"]), rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_binary_cross_entropy_agrees_with_brute_force(seed: int) -> None:
    it = CrossEntropy(seed, samples=8, columns=9, classes=3, binary=True)
    solution = solve(it.program)
    points = (np.array(point, dtype=float) for point in itertools.product((0, 1), repeat=9))
    best = min(it.value(point) for point in points if point.sum() <= it.budget)
    assert solution.held == "proven"
    assert solution.objective == pytest.approx(best, rel=1e-6)


def test_the_bound_is_one_and_the_incumbent_is_one() -> None:
    it = CrossEntropy(4, samples=15, columns=20)
    optimum = it.conic()
    for rounds in (2, 5, 9):
        count = itertools.count(1)
        claim = refined(it.program, progress=lambda _, n=count, most=rounds: next(n) >= most).outcome
        assert claim.reason == "interrupted"
        assert claim.x is not None
        assert claim.bound <= optimum + 1e-7
        assert it.program.compile().objective(claim.x) >= optimum - 1e-7


@pytest.mark.parametrize("free", [False, True])
def test_least_squares_agrees_with_calculus(free: bool) -> None:
    rng = np.random.default_rng(0)
    A, b = rng.normal(size=(12, 4)), rng.normal(size=12)
    program = Program()
    limit = np.inf if free else 50.0
    w, t = program.variables("w", 4, -limit, limit), program.variables("t", 12)
    program.epigraph("fit", SumSquares(), (A @ w - b).reshape(12, 1), t)
    program.minimize(t.sum() - 0.5 * w.sum())
    best = np.linalg.solve(2 * A.T @ A, 2 * A.T @ b + 0.5)
    solution = solve(program)
    assert solution.held == "proven"
    assert solution.objective == pytest.approx(((A @ best - b) ** 2).sum() - 0.5 * best.sum(), rel=1e-5)
    np.testing.assert_allclose(solution["w"], best, atol=5e-3)


def test_mixed_integer_least_squares_agrees_with_brute_force() -> None:
    rng = np.random.default_rng(5)
    A, b = rng.normal(size=(10, 4)), rng.normal(size=10)
    program = Program()
    pick, w, t = (
        program.variables("pick", 4, domain="binary"),
        program.variables("w", 4, -3, 3),
        program.variables("t", 10),
    )
    program.add("above", w <= 3 * pick)
    program.add("below", w >= -3 * pick)
    program.add("few", pick.sum() <= 2)
    program.epigraph("fit", SumSquares(), (A @ w - b).reshape(10, 1), t)
    program.minimize(t.sum())
    best = math.inf
    for pair in itertools.combinations(range(4), 2):
        best = min(best, float(np.linalg.lstsq(A[:, pair], b, rcond=None)[1][0]))
    solution = solve(program)
    assert solution.held == "proven"
    assert solution.objective == pytest.approx(best, rel=1e-5)


def test_an_epigraph_that_no_column_carries_is_a_constraint() -> None:
    program = Program()
    x = program.variables("x", 3, -9, 9)
    program.epigraph("ball", SumSquares(), x.reshape(1, 3), constant([4.0]))
    program.maximize(x.sum())
    solution = solve(program)
    assert solution.held == "proven"
    assert solution.objective == pytest.approx(2 * math.sqrt(3), rel=1e-5)


def test_infeasible_and_unbounded() -> None:
    program = Program()
    x = program.variables("x", 3, -9, 9)
    program.epigraph("ball", SumSquares(), x.reshape(1, 3), constant([4.0]))
    program.add("far", x.sum() >= 4)
    solution = solve(program)
    assert (solution.reason, solution.held, set(solution.clash)) == ("infeasible", "none", {"ball", "far"})
    unbounded = Program()
    y, t = unbounded.variables("y", 1), unbounded.variables("t", 1)
    unbounded.epigraph("square", SumSquares(), y.reshape(1, 1), t)
    unbounded.minimize(-t.sum())
    assert solve(unbounded).reason == "unbounded"


def test_one_time_limit_for_all_rounds() -> None:
    it = CrossEntropy(0, samples=100, columns=60, classes=10, binary=True)
    to_a_point = solve(it.program, Options(progress=lambda told: math.isfinite(told.objective))).seconds.solve
    limit = 0.3 + 3.0 * to_a_point
    solution = solve(it.program, Options(time_limit=limit))
    assert (solution.reason, solution.held) == ("time_limit", "feasible")
    assert solution.seconds.solve < limit + 4.0  # what is left for each round is asked on a clock of our own, below
    assert solution.verified
    assert 0 < solution.gap < 1


class Watched:
    """HiGHS on a clock that each solve moves on by ``takes`` seconds; notes (elapsed, time limit, any integers)."""

    name, support = HighsDriver.name, HighsDriver.support

    def __init__(self, takes: float, *, fails: int | None = None) -> None:
        self.takes, self.fails, self.now = takes, fails, 0.0
        self.solves: list[tuple[float, float, bool]] = []

    def open(self, form: StandardForm, options: Options) -> Session:
        session = HighsDriver().open(form, options)
        solve_it = session.solve

        def watched(**changes: Any) -> Outcome:
            self.solves.append((self.now, changes.get("time_limit", options.time_limit), session.form.integer.any()))
            outcome = solve_it(**{**changes, "time_limit": 9.0})  # the clock here is not the solver's
            self.now += self.takes
            return replace(outcome, reason="error") if len(self.solves) == self.fails else outcome

        session.solve = watched  # type: ignore[method-assign]
        return session


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("fails", [None, 3])
@pytest.mark.parametrize("limit", [5.0, 500.0])
def test_every_round_gets_only_what_is_left_of_the_time(
    binary: bool, fails: int | None, limit: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = CrossEntropy(0, samples=8, columns=9, classes=3, binary=binary)
    driver = Watched(0.1 * limit / 5, fails=fails)
    monkeypatch.setattr(master, "time", SimpleNamespace(perf_counter=lambda: 1e6 + driver.now))
    outcome = solve_with_cuts(it.program.compile(), driver, Options(time_limit=limit)).outcome
    assert len(driver.solves) > 5
    assert {integer for *_, integer in driver.solves} == ({False, True} if binary else {False})
    for number, (elapsed, given, integer) in enumerate(driver.solves, 1):
        left = limit - elapsed
        patient = integer or (fails is not None and number == fails + 1)  # the solve from cold has all that is left
        assert given == pytest.approx(left if patient else min(left, master.PATIENCE), abs=1e-6)
    assert outcome.seconds == pytest.approx(driver.now)


def test_no_round_begins_when_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Watched(1.0)
    monkeypatch.setattr(master, "time", SimpleNamespace(perf_counter=lambda: driver.now))
    claim = solve_with_cuts(CrossEntropy(1).program.compile(), driver, Options(time_limit=4.0)).outcome
    assert claim.reason == "time_limit"
    assert [given for _, given, _ in driver.solves] == pytest.approx([4.0, 3.0, 2.0, 1.0])


def test_gap_stops_start_and_objective_stops() -> None:
    it = CrossEntropy(1)
    exact = solve(it.program)
    loose = solve(it.program, Options(gap_relative=0.05))
    assert (loose.reason, loose.held) == ("gap_limit", "proven")
    assert loose.rounds < exact.rounds
    start = np.concatenate([value.ravel() for value in exact.values.values()])
    assert solve(it.program, Options(start=start, gap_relative=0.05)).objective <= exact.objective + 1e-9
    early = solve(it.program, Options(stop_at_objective=exact.objective + 0.05))
    assert early.reason == "objective_limit"
    assert early.objective <= exact.objective + 0.05


def test_progress_tells_of_the_loop_and_not_of_its_masters() -> None:
    it, seen = CrossEntropy(2), []
    solve(it.program, Options(progress=lambda progress: seen.append(progress) or False))
    assert all(isinstance(progress, Progress) for progress in seen)
    bounds = [progress.bound for progress in seen if math.isfinite(progress.bound)]
    objectives = [progress.objective for progress in seen if math.isfinite(progress.objective)]
    assert bounds == sorted(bounds)
    assert objectives == sorted(objectives, reverse=True)
    assert "tangents" in seen[-1].message


def test_a_gap_out_of_reach_ends_with_an_honest_one() -> None:
    it = CrossEntropy(3)
    solution = solve(it.program, Options(gap_relative=0.0, gap_absolute=0.0, time_limit=20))
    assert solution.held in ("feasible", "proven")
    assert solution.gap < 1e-6
    assert solution.objective == pytest.approx(it.conic(), rel=1e-5)
    if solution.reason == "gap_limit":
        assert any("cut loop" in warning for warning in solution.warnings)


@pytest.mark.parametrize("seed", range(2))
def test_a_bound_that_stays_flat_for_long_does_not_end_the_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    program = Program()
    x, t = program.variables("x", 10, -3, 3), program.variables("t", 4)
    arguments = rng.normal(size=(20, 10)) @ x + rng.normal(size=20)
    program.epigraph("square", SumSquares(), arguments.reshape(4, 5), t)
    program.add("reach", rng.normal(size=(3, 10)) @ x >= rng.random(3))
    program.minimize(t.sum())
    solution = solve(program)
    conic = solve(program, backend="cvxpy", solver="clarabel", route="native")
    assert solution.held == "proven"
    assert solution.objective == pytest.approx(conic.objective, rel=1e-5)


@pytest.mark.parametrize("slope", [1e-4, 1e-6])
def test_what_only_tangents_bound_is_not_unbounded(slope: float) -> None:
    program = Program()
    x, t = program.variables("x", 2), program.variables("t", 1)
    program.epigraph("square", SumSquares(), x.reshape(1, 2), t)
    program.minimize(t.sum() * slope - x.sum())
    solution = solve(program)
    assert (solution.reason, solution.held) == ("optimal", "proven")
    assert solution.objective == pytest.approx(-0.5 / slope)


@pytest.mark.parametrize("solver", ["gurobi", "cplex"])
def test_nor_is_it_beside_logic_that_a_solver_takes_as_it_is(solver: str) -> None:
    pytest.importorskip({"gurobi": "gurobipy", "cplex": "cplex"}[solver])
    program = Program()
    x, on = program.variables("x", 2), program.variables("on", 1, domain="binary")
    t = program.variables("t", 1)
    program.epigraph("soft", LogSumExp(), x.reshape(1, 2), t)
    program.indicator("far", on, x[:1] >= 1)
    program.minimize(t.sum() - (x * [0.6, 0.4]).sum() + on.sum())
    solution = solve(program, solver=solver)
    assert (solution.reason, solution.held) == ("optimal", "proven")
    assert solution.objective == pytest.approx(-0.6 * math.log(0.6) - 0.4 * math.log(0.4), abs=1e-5)


def test_what_is_unbounded_is_called_so() -> None:
    program = Program()
    x, t = program.variables("x", 2), program.variables("t", 1)
    program.epigraph("soft", LogSumExp(), x.reshape(1, 2), t)
    program.minimize(t.sum() - 2 * x.sum())
    solution = solve(program)
    assert (solution.reason, solution.held) == ("unbounded", "none")


def test_a_bound_variable_that_rows_hold_up_is_not_lowered() -> None:
    program = Program()
    x, t, s = program.variables("x", 2, -1, 1), program.variables("t", 1), program.variables("s", 1, 0, 1)
    program.epigraph("soft", LogSumExp(), x.reshape(1, 2), t)
    program.add("held", t - s >= 4)
    program.minimize(t.sum() + x.sum())
    solution = solve(program)
    assert solution.held == "proven"
    assert solution.objective == pytest.approx(2.0)


def test_a_column_that_loosens_one_row_and_tightens_another_carries_neither() -> None:
    program = Program()
    x, t = program.variables("x", (2, 1), -2, 2), program.variables("t", 1, -9, 9)
    program.epigraph("square", SumSquares(), x, concatenate([t + 3, 3 - t]))
    program.maximize(x.sum() + 0.5 * t.sum())
    solution = solve(program)
    conic = solve(program, backend="cvxpy", solver="clarabel", route="native")
    assert solution.held == "proven"
    assert solution.objective == pytest.approx(conic.objective, rel=1e-5)


@pytest.mark.parametrize("excess", [0.5, -0.5])
def test_a_program_without_variables_is_decided_by_its_constants(excess: float) -> None:
    program = Program()
    program.add("fixed", constant(np.array([excess])) <= 0)
    solution = solve(program)
    assert solution.reason == ("infeasible" if excess > 0 else "optimal")


# ── what is easily turned round ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_tangent_without_its_dust_still_holds_wherever_the_tangent_does(sign: float) -> None:
    program = Program()
    x, t = program.variables("x", 2, [2e6, -1], [3e6, 1]), program.variables("t", 1)
    small = np.diag([sign * 4e-10, 1.0]) @ x  # of the argument, and so of the tangent, at slopes about 1
    program.epigraph("square", SumSquares(), (small + 0.5).reshape(1, 2), t)
    program.minimize(t.sum())
    epigraphs = Epigraphs(program.compile())
    at = epigraphs.at(np.array([2.5e6, 0.3, -9.0]))
    ((R, r), (thin, relaxed)) = (
        epigraphs.all[0].cuts(at.arguments[0], np.zeros(1, dtype=int)),
        epigraphs.tangents(at, 0.0),
    )
    assert R[[0], [0]] != 0
    assert (thin.toarray()[0, 0], thin.nnz) == (0.0, 2)
    for corner in itertools.product((2e6, 3e6), (-1.0, 1.0)):
        height = (R @ np.array([*corner, 0.0]) - r)[0] / -R[[0], [2]][0]  # the least t that the tangent allows
        assert thin @ np.array([*corner, height]) <= relaxed + 1e-12
    gained = min(R[[0], [0]][0] * 2e6, R[[0], [0]][0] * 3e6)
    assert relaxed[0] == pytest.approx(r[0] - gained, abs=1e-12)


@pytest.mark.parametrize(
    ("value", "fixed"), [(2.9999996, 3.0), (3.0000004, 3.0), (-1.0000004, -1.0), (-0.9999996, -1.0)]
)
def test_integers_are_fixed_at_the_nearest_one(value: float, fixed: float) -> None:
    program = Program()
    n = program.variables("n", 1, -5, 5, domain="integer")
    program.minimize(n.sum())
    it = master.Master(program.compile(), HighsDriver(), Options(), Options())
    with it.session as session:
        it.fix(np.array([value]))
        assert (session.form.column_lower[0], session.form.column_upper[0]) == (fixed, fixed)
        assert session.solve().bound == fixed
        it.release()
        assert (session.form.column_lower[0], session.form.integer.all()) == (-5.0, True)


def test_masters_are_solved_to_half_the_gap_and_no_finer(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    honest = master.Master.solve

    def heard(self: master.Master, **changes: Any) -> Outcome:
        asked.extend([changes["gap_relative"]] if "gap_relative" in changes else [])
        return honest(self, **changes)

    monkeypatch.setattr(master.Master, "solve", heard)
    it = CrossEntropy(3, samples=12, columns=14, classes=3, binary=True)
    floors = []
    for gap in (1e-3, 0.8e-2, 1.4e-2):
        asked.clear()
        solution = solve(it.program, Options(gap_relative=gap))
        assert (solution.held, solution.gap <= gap) == ("proven", True)
        assert all(0.5 * gap <= one <= 1e-2 for one in asked)
        floors.append(min(asked) / gap)
    assert min(floors) == 0.5


@pytest.mark.parametrize("solver", ["highs", "cbc"])
def test_a_steep_perspective_is_solved_though_the_bound_rests_for_many_rounds(solver: str) -> None:
    program = Program()
    y, w, t = program.variables("y", 2, 0, 1), program.variables("w", (2, 2), -4, 4), program.variables("t", 2)
    for i in range(2):  # with steepest = 1e4 a tangent halves w / y at one place, and the master moves to another
        arguments = concatenate([w.reshape(-1)[2 * i : 2 * i + 2], y[i : i + 1]]).reshape(1, 3)
        program.epigraph(f"square_{i}", Perspective(), arguments, t[i : i + 1])
    program.add("link", w.sum() == -4)
    program.add("some", 2 * y.sum() >= 1)
    program.minimize(t.sum() + 1.5 * y.sum())
    solution = solve(program, solver=solver)
    assert (solution.held, solution.objective) == ("proven", pytest.approx(7.0, rel=1e-5))  # w = −1, y = 1


def test_rows_of_masters_with_integers_are_held_finely_enough_to_close_the_gap() -> None:
    # HiGHS holds rows of programs with integers to a tolerance of their own; at 1e-6 this ended with a gap of 4e-6.
    program = Program()
    x, t = program.variables("x", 3, -3, 3), program.variables("t", 2)
    on = program.variables("on", 2, domain="binary")
    W = np.array([[1.0, -1.0, 0.0], [-2.0, 0.0, -2.0], [0.0, -2.0, 2.0], [-2.0, -2.0, 2.0]])
    program.epigraph("square", SumSquares(), (W @ x + [1.0, 1.0, 1.0, 2.0]).reshape(2, 2), t)
    program.add("row", x.sum() >= 0)
    program.add("some", on.sum() >= 1)
    program.indicator("far", on[:1], x[:1] >= 1.0)
    program.maximize((x * [-1.0, 1.0, -1.0]).sum() - t.sum() - 2 * on[0] - 0.5 * on[1])
    solution = solve(program, solver="highs")
    assert (solution.held, solution.objective) == ("proven", pytest.approx(-0.1875, rel=3e-6))
