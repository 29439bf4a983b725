"""What SCIP is asked is what it does, what it says is what is meant, and its atoms are ours."""

from __future__ import annotations

import itertools
import math
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from oamip.errors import InputError, SolveError
from oamip.options import Options, Progress
from oamip.program import LogSumExp, Perspective, Program, Rows, StandardForm, SumSquares, constant
from oamip.solution import Solution
from oamip.solving import Outcome, Session, solve_with_cuts
from oamip.solving import solve as solve_with
from oamip.solving.drivers.highs import HighsDriver
from oamip.solving.drivers.scip import ScipDriver


def solve(program: Program, options: Options | None = None) -> Solution:
    return solve_with(program, options, solver="scip")


def cold(form: StandardForm, options: Options) -> Outcome:
    with ScipDriver().open(form, options) as session:
        return session.solve()


def outcome(program: Program, **options: object) -> Outcome:
    return cold(program.compile(), Options(**options))


# ── optima ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def linear() -> tuple[Program, float]:
    program = Program()
    x = program.variables("x", 3, 0, 1)
    program.add("sum", x.sum() <= 2)
    program.maximize((x * [3.0, 2.0, 1.0]).sum() + 1)
    return program, 6.0


def equality_and_range() -> tuple[Program, float]:
    program = Program()
    x = program.variables("x", 2)
    program.add("line", x[0] - x[1] == 1)
    program.add("band", Rows(x.sum(), np.array([-3.0]), np.array([5.0])))
    program.minimize(x.sum() * 2 + 10)
    return program, 4.0


def constant_only() -> tuple[Program, float]:
    program = Program()
    program.variables("x", 2, -1, 1)
    program.minimize(program.blocks["x"].sum() * 0 + 4.5)
    return program, 4.5


def zero_and_free_rows() -> tuple[Program, float]:
    program = Program()
    n = program.variables("n", 2, domain="integer")
    program.add("zero", 0 * n >= -1)
    program.add("free", Rows(n, np.full(2, -np.inf), np.full(2, np.inf)))
    program.add("cap", n + 0.5 >= [2.0, 3.0])
    program.minimize(n.sum())
    return program, 5.0


@pytest.mark.parametrize("case", [linear, equality_and_range, constant_only, zero_and_free_rows])
def test_optima(case: Callable[[], tuple[Program, float]]) -> None:
    program, optimum = case()
    solution = solve(program)
    assert (solution.reason, solution.held) == ("optimal", "proven")
    assert solution.objective == pytest.approx(optimum)
    assert solution.bound == pytest.approx(optimum)
    assert solution.verified


def test_free_integer_and_unused_columns() -> None:
    program = Program()
    n, y = program.variables("n", 2, -5, 5, domain="integer"), program.variables("y", ())
    program.variables("unused", 3, 1, 2)
    program.add("tie", 2 * n.sum() + y == 3.5)
    program.add("cap", y <= 0.75)
    program.maximize(y - 0.1 * n[0])
    solution = solve(program)
    best = max(
        3.5 - 2 * (a + b) - 0.1 * a for a in range(-5, 6) for b in range(-5, 6) if 3.5 - 2 * (a + b) <= 0.75 + 1e-9
    )
    assert solution.held == "proven"
    assert solution.objective == pytest.approx(best)
    assert ((solution["unused"] >= 1) & (solution["unused"] <= 2)).all()


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
        solution = solve(program)
        assert solution.reason == ("infeasible" if contradict else "unbounded")
        assert solution.held == "none"
        assert math.isinf(solution.bound)


def test_integer_infeasible_and_unbounded_relaxation() -> None:
    program = Program()
    n = program.variables("n", 2, 0, domain="integer")
    program.add("odd", 2 * n[0] + 0 * n[1] == 1)
    program.minimize(-n[1])
    assert solve(program).reason == "infeasible"


def test_sides_that_cross_are_infeasible_and_those_that_nearly_meet_are_not() -> None:
    for gap, reason in ((0.1, "infeasible"), (1e-12, "optimal")):
        form = linear()[0].compile()
        row, column = np.array([2.0 + gap]), np.array([1.0 + gap, 0.0, 0.0])
        with ScipDriver().open(form, Options()) as session:
            session.add_rows(form.A, row, np.array([2.0]))
            assert session.solve().reason == reason
            session.drop_rows(np.array([0]))
            session.set_bounds(np.arange(3), column, form.column_upper)
            assert session.solve().reason == reason
    program = Program()
    program.variables("n", 1, 0.25, 0.75, domain="integer")
    assert solve(program).reason == "infeasible"


def test_time_limit_with_a_point(knapsack: Program) -> None:
    began = time.perf_counter()
    solution = solve(knapsack, Options(time_limit=0.4))
    assert time.perf_counter() - began < 1.5
    assert (solution.reason, solution.held) == ("time_limit", "feasible")
    assert solution.verified
    assert 0 < solution.gap < 0.1


def test_time_limit_without_a_point(split: Program) -> None:
    solution = solve(split, Options(time_limit=0.3))
    assert (solution.reason, solution.held, dict(solution.values)) == ("time_limit", "none", {})
    assert math.isfinite(solution.bound)
    at_once = solve(split, Options(time_limit=0.0))
    assert (at_once.reason, at_once.held, at_once.bound) == ("time_limit", "none", -math.inf)


def test_gap_node_and_memory_limits(knapsack: Program) -> None:
    wide = outcome(knapsack, gap_relative=0.05)
    assert wide.reason == "optimal"
    assert wide.x is not None
    value = knapsack.compile().objective(wide.x)
    assert 1e-3 * value < wide.bound - value <= 0.05 * value
    absolute = outcome(knapsack, gap_absolute=2000.0)
    assert absolute.x is not None
    assert absolute.bound - knapsack.compile().objective(absolute.x) <= 2000
    few = solve(knapsack, Options(node_limit=1))
    assert (few.reason, few.held) == ("node_limit", "feasible")
    assert few.nodes <= 1
    small = solve(knapsack, Options(memory_limit=5 * 2**20, time_limit=20))
    assert (small.reason, small.held) == ("memory_limit", "feasible")


def test_stops_at_objective_and_bound(knapsack: Program) -> None:
    good = solve(knapsack, Options(stop_at_objective=50_000.0, time_limit=20))
    assert good.reason == "objective_limit"
    assert good.objective >= 50_000
    far = solve(knapsack, Options(stop_at_bound=54_000.0, time_limit=20))
    assert far.reason == "objective_limit"
    assert far.bound <= 54_000


# ── starts ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def known_split() -> tuple[Program, np.ndarray]:
    """A market split whose answer we know, with a continuous column tied to it."""
    rng = np.random.default_rng(4)
    parts, answer = rng.integers(0, 100, (5, 40)), rng.integers(0, 2, 40)
    program = Program()
    side, count = program.variables("side", 40, domain="binary"), program.variables("count", 1)
    program.add("balance", parts @ side == parts @ answer)
    program.add("count", count - side.sum() >= 0)
    program.minimize(count.sum())
    return program, np.append(answer, answer.sum()).astype(float)


@pytest.mark.parametrize("given", ["whole", "integers", "wrong in the continuous part", "nearly integer"])
def test_a_start_is_held_at_once(given: str) -> None:
    program, start = known_split()
    assert solve(program, Options(node_limit=1)).held == "none"
    first, best = start.copy(), start[-1]
    if given == "integers":
        first[-1] = np.nan
    elif given == "wrong in the continuous part":
        first[-1] = best - 3
    elif given == "nearly integer":
        first[:-1] += 1e-6 * (0.5 - start[:-1])
        first[-1] += 1
    solution = solve(program, Options(node_limit=1, start=first))
    assert (solution.reason, solution.held) == ("node_limit", "feasible")
    assert solution.objective == pytest.approx(best, abs=1.1)
    assert bool(solution.warnings) == given.startswith("wrong")


def test_a_start_of_a_program_with_atoms_is_held_at_once() -> None:
    program, start = known_split()
    side = program.blocks["side"]
    loss, y = program.variables("loss", 2), program.variables("y", 2, 0, 50)
    program.epigraph("soft", LogSumExp(), side.reshape(2, 20) * 0.5, loss)
    program.epigraph("square", SumSquares(), side.reshape(2, 20), y)
    program.indicator("some", side[:2], y >= 4, on=[True, False])
    program.minimize(loss.sum() + y.sum())
    arguments = start[:-1].reshape(2, 20)
    losses, squares = LogSumExp().value(arguments * 0.5), np.maximum((arguments**2).sum(axis=1), 4.0)
    whole = np.concatenate([start, losses, squares])
    solution = solve(program, Options(node_limit=1, start=whole))
    assert (solution.held, solution.warnings) == ("feasible", ())
    assert solution.objective <= losses.sum() + squares.sum() + 1e-6


# ── watching ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_progress_interrupts_and_the_incumbent_is_kept(knapsack: Program) -> None:
    seen: list[Progress] = []

    def watch(progress: Progress) -> bool:
        seen.append(progress)
        assert threading.current_thread() is threading.main_thread()
        return progress.seconds > 0.3

    solution = solve(knapsack, Options(progress=watch))
    assert (solution.reason, solution.held) == ("interrupted", "feasible")
    last, form = seen[-1], knapsack.compile()
    assert last.bound >= last.objective > 50_000
    assert last.x is not None
    assert form.objective(last.x) == pytest.approx(last.objective)


def test_points_on_the_way_are_those_of_the_form(knapsack: Program) -> None:
    claim, form = outcome(knapsack, node_limit=1), knapsack.compile()
    assert claim.x is not None
    values = [form.objective(x) for x in claim.points]
    assert len(values) > 2
    assert values == sorted(values)
    assert values[-1] == pytest.approx(form.objective(claim.x))
    assert all((form.A @ x <= form.row_upper + 1e-6).all() for x in claim.points)


def test_control_c_interrupts_and_the_incumbent_is_kept(knapsack: Program) -> None:
    before = signal.getsignal(signal.SIGINT)
    timer = threading.Timer(0.4, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    solution = solve(knapsack, Options(time_limit=20))
    timer.join()
    assert (solution.reason, solution.held) == ("interrupted", "feasible")
    assert signal.getsignal(signal.SIGINT) is before


def test_an_error_in_the_progress_callback_comes_out_and_the_session_lives_on(knapsack: Program) -> None:
    def fail(progress: Progress) -> bool:
        raise RuntimeError("mine")

    with ScipDriver().open(knapsack.compile(), Options()) as session:
        with pytest.raises(RuntimeError, match="mine"):
            session.solve(progress=fail)
        assert session.solve(node_limit=1).reason == "node_limit"


def test_the_log_is_kept_and_written_and_not_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], knapsack: Program
) -> None:
    path = tmp_path / "scip.log"
    path.write_text("of another run")
    with ScipDriver().open(knapsack.compile(), Options(node_limit=1, log_file=path)) as session:
        logs = [session.solve().log, session.solve().log]
    assert all("Primal Bound" in log for log in logs)
    assert path.read_text() == "".join(logs)
    assert "Primal Bound" in solve(knapsack, Options(node_limit=1)).log
    assert capfd.readouterr() == ("", "")


# ── options ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_raw_options_win_for_one_solve_and_wrong_ones_are_named(knapsack: Program) -> None:
    with ScipDriver().open(knapsack.compile(), Options(time_limit=0.3)) as session:
        assert session.solve(raw={"limits/totalnodes": 0}).reason == "node_limit"
        assert session.solve().reason == "time_limit"
    with pytest.raises(InputError, match="raw option 'no/such'"):
        solve(knapsack, Options(raw={"no/such": 1}))
    for name, value in (("limits/nodes", "many"), ("limits/nodes", 2.7), ("limits/gap", -1), ("lp/cleanuprows", 7)):
        with pytest.raises(InputError, match=f"'{name}' of SCIP does not take the value {value!r}"):
            solve(knapsack, Options(raw={name: value}))


def test_seeds_differ_and_repeat(knapsack: Program) -> None:
    logs = [outcome(knapsack, node_limit=20, seed=seed).points for seed in (1, 1, 2)]
    same, again, other = ([tuple(x) for x in points] for points in logs)
    assert same == again
    assert same != other


def test_tolerances_are_those_of_the_options() -> None:
    program = Program()
    n, y = program.variables("n", 1, 0, 10, domain="integer"), program.variables("y", 1, 0, 1)
    program.add("link", n <= 1e5 * y)  # n = 1 needs y ≥ 1e-5; n within 1e-3 of 1 needs less
    program.add("some", n >= 1)
    program.minimize(y.sum())
    tight, loose = outcome(program, feasibility=1e-9), outcome(program, feasibility=1e-3, integrality=1e-3)
    assert tight.x is not None
    assert tight.x[1] == pytest.approx(1e-5, abs=1e-12)
    assert loose.warnings == ()
    solution = solve(program, Options(threads=2, integrality=0.0))
    assert [warning.partition(":")[0] for warning in solution.warnings] == ["option threads", "option integrality"]


def test_numbers_that_are_none_are_refused() -> None:
    program, _ = linear()
    form = program.compile()
    form.A.data[0] = np.nan
    with pytest.raises(SolveError, match="SCIP does not take the model"):
        ScipDriver().open(form, Options())


# ── sessions ───────────────────────────────────────────────────────────────────────────────────────────────────────


def random_form(seed: int, *, integer: bool, atoms: bool = False) -> StandardForm:
    rng = np.random.default_rng(seed)
    program = Program()
    x = program.variables("x", 8, 0, 10, domain="integer" if integer else "continuous")
    program.add("rows", rng.integers(0, 9, (5, 8)) @ x <= rng.integers(20, 60, 5))
    if atoms:
        on, t = program.variables("on", 2, domain="binary"), program.variables("t", 1, -50, 50)
        program.epigraph("soft", LogSumExp(), x[:3].reshape(1, 3), t)
        program.indicator("cap", on, x[:2] <= 1, on=[True, False])
        program.sos1("one", x[2:8].reshape(2, 3))
    program.maximize((x * rng.integers(1, 9, 8)).sum() + 3 - (t.sum() if atoms else 0))
    return program.compile()


@pytest.mark.parametrize("kind", ["linear", "integer", "atoms"])
@pytest.mark.parametrize("seed", range(3))
def test_hot_equals_cold_through_every_change(seed: int, kind: str) -> None:
    form, rng = random_form(seed, integer=kind != "linear", atoms=kind == "atoms"), np.random.default_rng(seed)
    width = form.shape[1]
    with ScipDriver().open(form, Options()) as hot, Session(form, Options(), cold) as again:

        def both(change: str, *arguments: object) -> None:
            for session in (hot, again):
                getattr(session, change)(*arguments)
            ours, theirs = hot.solve(), again.solve()
            assert ours.reason == theirs.reason
            if theirs.reason == "optimal":
                assert ours.x is not None
                assert again.form.objective(ours.x) == pytest.approx(theirs.bound, abs=1e-5)
                assert (ours.duals is None) == (theirs.duals is None)

        both("restart")
        both("add_rows", sp.csr_array(rng.random((3, width))), np.full(3, -np.inf), np.array([30.0, 20.0, 40.0]))
        both("add_rows", sp.csr_array(np.eye(1, width)), np.array([0.5]), np.array([2.5]))
        both("drop_rows", np.array([1, 0]))
        both("set_bounds", np.array([2, 5]), np.array([0.0, 0.0]), np.array([0.0, 1.0]))
        both("set_objective", rng.normal(size=width), -1.0)
        both("set_bounds", np.array([2, 5]), np.array([-2.0, 0.25]), np.array([5.0, 12.5]))
        both("set_integer", (np.arange(width) < 4) & form.integer)
        both("set_start", np.zeros(width))
        both("set_integer", form.integer)
        both("set_bounds", np.array([3]), np.array([0.0]), np.array([np.inf]))
        both("set_objective", np.eye(1, width, 3)[0], 0.0)
        both("restart")
        both("set_bounds", np.array([3]), np.array([0.0]), np.array([10.0]))
        assert (hot.form.A != again.form.A).nnz == 0


@pytest.mark.parametrize("seed", range(12))
def test_duals_of_a_linear_program_give_its_bound(seed: int) -> None:
    rng = np.random.default_rng(seed)
    program = Program()
    x = program.variables("x", 8, -2, np.where(rng.random(8) < 0.5, 10, np.inf))
    A = sp.random_array((9, 8), density=0.3, rng=rng)  # some of the rows hold one column, and some none
    program.add("rows", Rows(A @ x, np.full(9, -4.0), np.full(9, 6.0)))
    program.add("all", x.sum() <= 30)
    (program.minimize if seed % 2 else program.maximize)((x * rng.normal(size=8)).sum() + 3)
    form, claim = program.compile(), outcome(program)
    assert claim.reason == "optimal"
    assert claim.duals is not None
    reduced = form.cost - claim.duals @ form.A

    def best(weights: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> float:
        weights = np.where(np.abs(weights) < 1e-9, 0.0, weights)
        side = np.where((weights > 0) == (form.sense == "min"), lower, upper)
        return sum(w * s for w, s in zip(weights, side, strict=True) if w)

    value = best(claim.duals, form.row_lower, form.row_upper) + best(reduced, form.column_lower, form.column_upper)
    assert value + form.constant == pytest.approx(claim.bound)


def objective_of(seed: int) -> float:
    return cold(random_form(seed, integer=True, atoms=True), Options()).bound


def test_sessions_in_threads_and_in_forked_and_fresh_processes_agree() -> None:
    seeds = list(range(6))
    alone = [objective_of(seed) for seed in seeds]
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(objective_of, seeds)) == pytest.approx(alone)
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(1) as workers:
            assert workers.map(objective_of, seeds[:2]) == pytest.approx(alone[:2])


def test_more_nonlinear_solves_than_scip_has_numbers_for_threads() -> None:
    program = Program()
    n, t = program.variables("n", 3, -5, 5, domain="integer"), program.variables("t", 1, -50, 50)
    program.epigraph("soft", LogSumExp(), n.reshape(1, 3) * 1.3, t)
    program.add("some", n.sum() >= 1.5)
    program.minimize(t.sum() + 0.1 * n[0])
    with ScipDriver().open(program.compile(), Options()) as session:
        assert {session.solve().reason for _ in range(70)} == {"optimal"}


# ── atoms ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def cross_entropy(seed: int, samples: int = 8, columns: int = 9, classes: int = 3) -> tuple[Program, float]:
    """Mean cross entropy of logits that binaries switch on and off, and the least value by brute force."""
    rng = np.random.default_rng(seed)
    labels, M = rng.integers(0, classes, samples), rng.normal(size=(samples * classes, columns)) * 1.5
    picked = np.arange(samples) * classes + labels
    program = Program()
    keep, loss = program.variables("keep", columns, domain="binary"), program.variables("loss", samples)
    logits = M @ keep
    program.epigraph("softmax", LogSumExp(), logits.reshape(samples, classes), loss + logits.take(picked))
    program.add("budget", keep.sum() <= 0.4 * columns)
    program.minimize(loss.mean() + 0.3 * keep.mean())
    points = np.array(list(itertools.product((0.0, 1.0), repeat=columns)))
    points = points[points.sum(axis=1) <= 0.4 * columns]
    values = [
        (LogSumExp().value((M @ p).reshape(samples, classes)) - (M @ p)[picked]).mean() + 0.3 * p.mean() for p in points
    ]
    return program, min(values)


@pytest.mark.parametrize("seed", range(3))
def test_log_sum_exp_agrees_with_brute_force_and_with_the_cut_loops(seed: int) -> None:
    program, best = cross_entropy(seed)
    native, cut = solve(program), solve_with(program)
    assert native.held == cut.held == "proven"
    assert native.rounds == 1 < cut.rounds
    assert native.objective == pytest.approx(best, rel=2e-6)
    assert cut.objective == pytest.approx(best, rel=2e-6)


def test_the_cut_loop_runs_on_scip_as_well() -> None:
    program, best = cross_entropy(0)
    claim = solve_with_cuts(program.compile(), ScipDriver(), Options()).outcome
    assert claim.reason == "optimal"
    assert claim.bound == pytest.approx(best, rel=2e-6)


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


def test_epigraphs_that_no_column_carries_are_constraints_and_may_clash() -> None:
    program = Program()
    x = program.variables("x", 3, -9, 9)
    program.epigraph("ball", SumSquares(), x.reshape(1, 3), constant([4.0]))
    program.epigraph("soft", LogSumExp(), x.reshape(1, 3), constant([2.5]))
    program.maximize(x.sum())
    solution = solve(program)
    assert solution.held == "proven"
    assert solution.objective == pytest.approx(2 * math.sqrt(3), rel=1e-5)
    program.add("far", x.sum() >= 4)
    assert solve(program).reason == "infeasible"
    unbounded = Program()
    y, t = unbounded.variables("y", 1), unbounded.variables("t", 1)
    unbounded.epigraph("square", SumSquares(), y.reshape(1, 1), t)
    unbounded.minimize(-t.sum())
    assert solve(unbounded).reason == "unbounded"


def sparse_regression(seed: int, *, tied: bool) -> tuple[Program, float]:
    """Squared error and ``Σ w²/y`` of weights that binaries y switch on, and the least value by brute force."""
    rng = np.random.default_rng(seed)
    A, b, price = rng.normal(size=(8, 4)), rng.normal(size=8) * 2, 0.4
    program = Program()
    w, y = program.variables("w", 4, -3, 3), program.variables("y", 4, domain="binary")
    t, error = program.variables("t", 4), program.variables("error", 1)
    pairs = np.kron(np.eye(4), [[1.0], [0.0]]) @ w + np.kron(np.eye(4), [[0.0], [1.0]]) @ y
    program.epigraph("switched", Perspective(), pairs.reshape(4, 2), t)
    program.epigraph("fit", SumSquares(), (A @ w - b).reshape(1, 8), error)
    if tied:
        program.add("on", w <= 3 * y)
        program.add("off", w >= -3 * y)
    program.minimize(error.sum() + t.sum() + price * y.sum())
    values = []
    for chosen in itertools.product((False, True), repeat=4):
        S = A[:, list(chosen)]
        best = np.linalg.solve(S.T @ S + np.eye(S.shape[1]), S.T @ b)
        assert (np.abs(best) <= 3).all()
        values.append(((S @ best - b) ** 2).sum() + (best**2).sum() + price * sum(chosen))
    return program, min(values)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_perspectives_agree_with_brute_force(seed: int, tied: bool) -> None:
    program, best = sparse_regression(seed, tied=tied)
    solution = solve(program)
    assert solution.held == "proven"
    assert solution.objective == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize("seed", range(6))
def test_indicators_and_sets_agree_with_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    program = Program()
    on, x = program.variables("on", 4, domain="binary"), program.variables("x", 6, -5, 5)
    M, on_at = rng.normal(size=(4, 6)), rng.integers(0, 2, 4).astype(bool)
    middle = rng.normal(size=4)
    lower = np.array([-np.inf, middle[1] - 1, middle[2] - 1, middle[3]])
    upper = np.array([middle[0] - 1, np.inf, middle[2] + 1, middle[3]])
    program.indicator("when", on, Rows(M @ x + 0.5, lower, upper), on=on_at)
    program.sos1("one", x.reshape(2, 3))
    prize = rng.random(4) * np.where(on_at, 3, -3)
    program.maximize((x * rng.normal(size=6)).sum() + (on * prize).sum())
    best = -math.inf
    for values in itertools.product((0, 1), repeat=4):
        for picks in itertools.product(range(3), repeat=2):
            case = Program()
            allowed = np.zeros((2, 3))
            allowed[[0, 1], picks] = 5.0
            z = case.variables("z", 6, -allowed.ravel(), allowed.ravel())
            live = np.flatnonzero(np.array(values, dtype=bool) == on_at)
            case.add("rows", Rows(M[live] @ z + 0.5, lower[live], upper[live]))
            case.maximize((z * program.compile().cost[4:]).sum())
            with HighsDriver().open(case.compile(), Options()) as session:
                claim = session.solve()
            best = max(best, claim.bound + prize @ values) if claim.reason == "optimal" else best
    solution = solve(program)
    assert solution.held == "proven"
    assert solution.objective == pytest.approx(best, abs=1e-5)


def test_what_is_known_of_an_activity_is_as_good_as_a_row() -> None:
    program = Program()
    on, x = program.variables("on", 2, domain="binary"), program.variables("x", 2, 0, 10)
    program.indicator("never", on[0], x[0] >= 20)
    program.indicator("always", on[1], x[1] <= 10)
    program.maximize(on.sum() + x.sum())
    solution = solve(program)
    assert solution["on"].tolist() == [0.0, 1.0]
    assert solution.objective == pytest.approx(21.0)
