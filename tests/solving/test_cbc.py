"""CBC, an executable: what it is asked is what it does, and what it says is what is meant."""

from __future__ import annotations

import itertools
import math
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from oamip.errors import InputError, MissingDependency, SolveError
from oamip.options import Options, Progress
from oamip.program import LogSumExp, Program, Rows, StandardForm
from oamip.solution import Solution
from oamip.solving import Outcome, Session, solve
from oamip.solving.drivers.cbc import CbcDriver, executable, log, process
from oamip.solving.drivers.cbc.executable import VARIABLE, find_executable


def cbc(program: Program, **options: object) -> Solution:
    return solve(program, Options(**options), solver="cbc")


def outcome(program: Program, **options: object) -> Outcome:
    with CbcDriver().open(program.compile(), Options(**options)) as session:
        return session.solve()


def random_program(seed: int) -> Program:
    """Equalities, ranges, free rows, empty rows; free, fixed, unused and unbounded integer columns; either sense."""
    rng = np.random.default_rng(seed)
    program = Program("mixed")
    n = program.variables("n", 4, -np.inf, np.inf, domain="integer")
    z = program.variables("z", 4, domain="binary")
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


@pytest.mark.parametrize("seed", range(8))
def test_every_kind_of_row_and_column_and_either_sense_as_highs_has_it(seed: int) -> None:
    program = random_program(seed)
    ours, theirs = cbc(program), solve(program)
    assert (ours.reason, ours.held) == (theirs.reason, theirs.held) == ("optimal", "proven")
    assert ours.objective == pytest.approx(theirs.objective, rel=1e-6)
    assert ours.bound == pytest.approx(ours.objective, rel=2e-6)


@pytest.mark.parametrize("sense", ["minimize", "maximize"])
@pytest.mark.parametrize("integer", [False, True])
def test_without_rows_or_costs(sense: str, integer: bool) -> None:
    program = Program()
    x = program.variables("x", 3, -1.0, 4.0, domain="integer" if integer else "continuous")
    getattr(program, sense)(x[0] + 4.5)
    solution = cbc(program)
    assert (solution.held, solution.objective) == ("proven", 3.5 if sense == "minimize" else 8.5)
    program.minimize(0 * x[0] - 2.5)
    assert (cbc(program).held, cbc(program).objective) == ("proven", -2.5)


def test_an_integer_column_without_bounds_is_not_a_binary() -> None:
    program = Program()
    n = program.variables("n", 2, domain="integer")
    program.add("tie", n[0] - n[1] == 7)
    program.add("least", n.sum() >= -20.5)
    program.minimize(n.sum())
    solution = cbc(program)
    assert solution.objective == pytest.approx(-19)


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
        solution = cbc(program)
        assert solution.reason == ("infeasible" if contradict else "unbounded")
        assert solution.held == "none"
        assert math.isinf(solution.bound)


def no_integer_with_unbounded_relaxation() -> Program:
    program = Program()
    n = program.variables("n", 2, 0, domain="integer")
    program.add("odd", 2 * n[0] + 0 * n[1] == 1)
    program.minimize(-n[1])
    return program


def no_integer_between_bounds() -> Program:
    program = Program()
    n = program.variables("n", 2, 0.2, 0.8, domain="integer")
    program.maximize(n.sum())
    return program


def empty_row_that_cannot_hold() -> Program:
    program = Program()
    n = program.variables("n", 2, 0, 3, domain="integer")
    program.add("never", 0 * n[0] >= 1)
    program.minimize(n.sum())
    return program


def row_bounds_that_cross() -> Program:
    program = Program()
    n = program.variables("n", 2, 0, 3)
    program.add("never", Rows(n.sum(), np.array([2.0]), np.array([1.0])))
    return program


@pytest.mark.parametrize(
    "case",
    [
        no_integer_with_unbounded_relaxation,
        no_integer_between_bounds,
        empty_row_that_cannot_hold,
        row_bounds_that_cross,
    ],
)
def test_infeasible_in_its_many_ways(case: Callable[[], Program]) -> None:
    claim = outcome(case())
    assert (claim.reason, claim.x) == ("infeasible", None)


def test_a_small_objective_is_solved_to_the_gap_that_was_asked() -> None:
    # By default CBC gives up what is not better by 1e-5, and calls that optimal.
    for seed in range(4):
        rng = np.random.default_rng(seed)
        W = rng.integers(1, 1000, (5, 30))
        program = Program()
        take = program.variables("take", 30, domain="binary")
        program.add("capacity", W @ take <= W.sum(axis=1) / 2)
        worth = W.mean(axis=0) + rng.integers(0, 500, 30)
        program.maximize((take * worth).sum())
        best = solve(program).objective
        program.maximize((take * (1e-8 * worth)).sum())
        assert cbc(program, gap_absolute=0.0).objective == pytest.approx(1e-8 * best, rel=1e-9)


# ── limits ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def turned(program: Program) -> Program:
    program.minimize(-1 * program.objective)
    return program


@pytest.mark.parametrize("turn", [False, True])
def test_a_time_limit_with_a_point_and_a_bound_on_the_right_side(knapsack: Program, turn: bool) -> None:
    program = turned(knapsack) if turn else knapsack
    began = time.perf_counter()
    solution = cbc(program, time_limit=0.5)
    assert time.perf_counter() - began < 2.0
    assert (solution.reason, solution.held) == ("time_limit", "feasible")
    assert 0 < solution.gap < 0.1
    sign = -1 if turn else 1
    assert 52_500 < sign * solution.objective < sign * solution.bound < 53_800
    assert solution.nodes > 0


def test_a_time_limit_without_a_point_holds_none_though_cbc_writes_one(split: Program) -> None:
    solution = cbc(split, time_limit=0.4)
    assert (solution.reason, solution.held, dict(solution.values)) == ("time_limit", "none", {})
    assert 16 < solution.bound <= 20


def hard_linear() -> Program:
    rng = np.random.default_rng(0)
    program = Program()
    x = program.variables("x", 300, 0)
    program.add("rows", rng.normal(size=(300, 300)) @ x <= rng.random(300))
    program.add("sum", x.sum() <= 100)
    program.maximize((x * rng.random(300)).sum())
    return program


def test_a_linear_program_without_time_has_no_point_and_no_bound() -> None:
    solution = cbc(hard_linear(), time_limit=0.0)
    assert (solution.reason, solution.held, solution.bound) == ("time_limit", "none", math.inf)


def test_gap_and_node_limits(knapsack: Program) -> None:
    wide = cbc(knapsack, gap_relative=0.05, time_limit=20)
    assert (wide.reason, wide.held) == ("gap_limit", "proven")
    assert 1e-6 < wide.gap <= 0.05
    absolute = cbc(knapsack, gap_absolute=2000.0, time_limit=20)
    assert (absolute.reason, absolute.held) == ("gap_limit", "proven")
    few = cbc(knapsack, node_limit=5)
    assert (few.reason, few.held, few.nodes) == ("node_limit", "feasible", 5)
    assert cbc(knapsack, node_limit=0).nodes == 0


def test_a_limit_on_a_small_objective_still_has_a_bound_of_eight_digits(knapsack: Program) -> None:
    large = cbc(knapsack, node_limit=3)
    knapsack.maximize(knapsack.objective * 1e-6)
    small = cbc(knapsack, node_limit=3)
    assert small.reason == "node_limit"
    assert small.bound == pytest.approx(1e-6 * large.bound, rel=1e-4)
    assert small.bound >= small.objective


@pytest.mark.parametrize("turn", [False, True])
def test_stops_at_objective_and_bound(knapsack: Program, turn: bool) -> None:
    program = turned(knapsack) if turn else knapsack
    sign = -1 if turn else 1
    good = cbc(program, stop_at_objective=sign * 52_900.0, time_limit=20)
    assert (good.reason, good.held) == ("objective_limit", "feasible")
    assert sign * good.objective >= 52_900
    far = cbc(program, stop_at_bound=sign * 53_690.0, time_limit=20)
    assert far.reason == "objective_limit"
    assert sign * far.bound <= 53_690


# ── starts, threads, options ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_start_is_honoured_where_nothing_else_finds_a_point(split: Program) -> None:
    rng = np.random.default_rng(4)
    parts = rng.integers(0, 100, (5, 40))
    side = rng.integers(0, 2, 40).astype(float)
    program = Program()
    columns = program.variables("side", 40, domain="binary")
    program.add("balance", parts @ columns == parts @ side)
    program.maximize(columns.sum())
    started = cbc(program, start=side, time_limit=0.5)
    assert (started.reason, started.held) == ("time_limit", "feasible")
    assert started.objective >= side.sum()
    assert not started.warnings
    refused = cbc(split, start=np.zeros(40), time_limit=0.3)
    assert refused.warnings == ("option start: CBC did not take it",)


def test_a_start_may_be_partial(knapsack: Program) -> None:
    known = cbc(knapsack, time_limit=0.5)["take"]
    partial = np.where(np.arange(120) < 110, known, np.nan)
    claim = outcome(knapsack, start=partial, node_limit=0)
    assert log.start_was_taken(claim.log)


def test_threads_are_used_and_seeds_are_declared_useless(knapsack: Program) -> None:
    solution = cbc(knapsack, threads=2, node_limit=20, seed=5)
    assert "Thread 1 used" in solution.log
    assert "randomSeed was changed from 1234567 to 5" in solution.log
    assert solution.warnings == ("option seed: solver 'cbc' has none, so it is not applied",)


def test_the_default_seed_is_not_the_time_of_day(knapsack: Program) -> None:
    assert "time of day" not in outcome(knapsack, node_limit=0).log


def test_raw_options_win_and_wrong_ones_are_named_at_once(knapsack: Program) -> None:
    assert cbc(knapsack, node_limit=50, raw={"maxNodes": 0}).nodes == 0
    wrong = [
        ({"no_such": 1}, r"'no_such' = 1: CBC says 'No match for no_such"),
        ({"cuts": "maybe"}, r"'cuts' = 'maybe'.*Possible options for cutsOnOff"),
        ({"ratio": "abc"}, r"'ratio' = 'abc'.*String of abc is illegal"),
        ({"threads": -5000}, r"valid range is -100"),
        ({"s": 3}, r"Multiple matches for s"),
    ]
    for raw, message in wrong:
        began = time.perf_counter()
        with pytest.raises(InputError, match=message):
            cbc(knapsack, raw=raw)
        assert time.perf_counter() - began < 3.0


def test_what_cbc_cannot_do_is_a_named_warning() -> None:
    program = no_integer_between_bounds()
    solution = cbc(program, memory_limit=10**9, integrality=0.0)
    assert [warning.partition(":")[0] for warning in solution.warnings] == ["option memory_limit", "option integrality"]
    solution = cbc(hard_linear(), start=np.zeros(300))
    assert [warning.partition(":")[0] for warning in solution.warnings] == ["option start"]


def test_the_log_is_kept_and_written_and_not_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], knapsack: Program
) -> None:
    (tmp_path / "cbc.log").write_text("of an earlier solve")
    solution = cbc(knapsack, node_limit=0, log_file=tmp_path / "cbc.log")
    assert capfd.readouterr() == ("", "")
    assert "Welcome to the CBC MILP Solver" in solution.log
    assert (tmp_path / "cbc.log").read_text() == solution.log


# ── stopping ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def children() -> set[str]:
    listed = subprocess.run(["ps", "--ppid", str(os.getpid()), "-o", "pid=,comm="], capture_output=True, text=True)
    return {line.split()[0] for line in listed.stdout.splitlines() if line.split()[1] == "cbc"}


def test_progress_comes_while_it_runs_and_interrupts(knapsack: Program) -> None:
    seen: list[Progress] = []

    def watch(progress: Progress) -> bool:
        seen.append(progress)
        assert threading.current_thread() is threading.main_thread()
        return not math.isnan(progress.objective + progress.bound) and progress.seconds > 0.3

    solution = cbc(knapsack, progress=watch, time_limit=20)
    assert (solution.reason, solution.held) == ("interrupted", "feasible")
    assert seen[-1].seconds < 3
    assert 52_000 < seen[-1].objective <= solution.objective * (1 + 1e-7)
    assert seen[-1].bound >= seen[-1].objective
    assert not children()


def test_control_c_interrupts_and_the_incumbent_is_kept(knapsack: Program) -> None:
    timer = threading.Timer(0.4, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    solution = cbc(knapsack, time_limit=20)
    timer.join()
    assert (solution.reason, solution.held) == ("interrupted", "feasible")
    assert solution.bound > solution.objective
    assert not children()


def test_an_error_in_the_progress_callback_comes_out_and_nothing_runs_on(knapsack: Program) -> None:
    def fail(progress: Progress) -> bool:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        cbc(knapsack, progress=fail)
    assert not children()


def test_a_child_that_is_killed_is_an_error_with_its_name(knapsack: Program) -> None:
    killed: list[str] = []

    def kill(progress: Progress) -> None:
        if not killed and progress.bound == progress.bound:
            killed.extend(children())
            os.kill(int(killed[0]), signal.SIGKILL)

    solution = cbc(knapsack, progress=kill, time_limit=20)
    assert (solution.reason, solution.held) == ("error", "none")
    assert solution.warnings == ("CBC was ended by SIGKILL, which oamip did not send, so its best point is lost",)


def pretender(folder: Path, body: str) -> Path:
    path = folder / "cbc"
    path.write_text(f"#!{sys.executable}\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_one_that_does_not_listen_is_ended_by_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, knapsack: Program
) -> None:
    deaf = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\ntime.sleep(60)"
    monkeypatch.setenv(VARIABLE, str(pretender(tmp_path, deaf)))
    monkeypatch.setattr(process.Process.__init__, "__kwdefaults__", {"patience": 0.3})
    began = time.perf_counter()
    solution = cbc(knapsack, time_limit=0.0)
    assert time.perf_counter() - began < 4.0
    assert (solution.reason, solution.held) == ("time_limit", "none")
    assert solution.warnings == ("CBC did not stop when asked and was ended by force, so its best point is lost",)


def test_one_that_leaves_no_answer_is_an_error_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, knapsack: Program
) -> None:
    monkeypatch.setenv(VARIABLE, str(pretender(tmp_path, "print('no licence for you')")))
    solution = cbc(knapsack)
    assert (solution.reason, solution.held) == ("error", "none")
    assert solution.warnings == ("CBC left no answer (exit status 0); its log ends with: no licence for you",)


# ── the executable ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_executable_named_by_the_user_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundled = find_executable()
    on_path = pretender(tmp_path, "pass")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_executable() == str(on_path)
    monkeypatch.setenv(VARIABLE, bundled)
    assert find_executable() == bundled
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none"))
    with pytest.raises(InputError, match=f"{VARIABLE} is '.*none', which is no executable"):
        find_executable()


def test_without_one_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(executable.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingDependency, match=r"pip install 'pulp>=3\.3\.2,<4'"):
        CbcDriver().open(no_integer_between_bounds().compile(), Options())


def test_one_that_cannot_be_started_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pretender(tmp_path, "")
    path.write_bytes(b"\x7fELF nonsense")
    monkeypatch.setenv(VARIABLE, str(path))
    with pytest.raises(SolveError, match=r"cbc cannot be started: Exec format error"):
        cbc(no_integer_between_bounds())


def test_without_pseudo_terminals_a_pipe_will_do(monkeypatch: pytest.MonkeyPatch, knapsack: Program) -> None:
    def none() -> tuple[int, int]:
        raise OSError("out of pty devices")

    monkeypatch.setattr(process.os, "openpty", none)
    solution = cbc(knapsack, node_limit=3)
    assert (solution.reason, solution.held) == ("node_limit", "feasible")


# ── sessions and the cut loop ────────────────────────────────────────────────────────────────────────────────────────


def cold(form: StandardForm, options: Options) -> Outcome:
    with CbcDriver().open(form, options) as session:
        return session.solve()


def test_a_session_follows_every_change() -> None:
    rng = np.random.default_rng(1)
    program = Program()
    x = program.variables("x", 8, 0, 10, domain="integer")
    program.add("rows", rng.integers(0, 9, (5, 8)) @ x <= rng.integers(20, 60, 5))
    program.maximize((x * rng.integers(1, 9, 8)).sum() + 3)
    form = program.compile()
    with CbcDriver().open(form, Options()) as ours, Session(form, Options(), cold) as again:

        def both(change: str, *arguments: object) -> None:
            for session in (ours, again):
                getattr(session, change)(*arguments)
            assert ours.solve().bound == pytest.approx(again.solve().bound, abs=1e-6)

        both("add_rows", sp.csr_array(np.ones((2, 8))), np.array([0.5, -np.inf]), np.array([7.5, 6.5]))
        both("drop_rows", np.array([1]))
        both("set_bounds", np.array([2, 5]), np.array([0.0, 0.0]), np.array([0.0, 1.0]))
        both("set_objective", rng.normal(size=8), -1.0)
        both("set_integer", np.arange(8) < 4)
        assert again.form.shape == (6, 8)


@pytest.mark.parametrize("sense", ["minimize", "maximize"])
def test_duals_of_a_linear_program_give_its_bound(sense: str) -> None:
    program = Program()
    x = program.variables("x", 3, 0, 1)
    program.add("nothing", Rows(x[:1], np.array([-np.inf]), np.array([np.inf])))
    program.add("sum", x.sum() <= 2)
    getattr(program, sense)((x * [3.0, 2.0, 1.0]).sum() * (1 if sense == "maximize" else -1) + 1)
    form, claim = program.compile(), outcome(program)
    assert claim.duals is not None
    reduced = form.cost - claim.duals @ form.A
    best = np.maximum if form.sense == "max" else np.minimum
    dual = claim.duals @ [0.0, 2.0] + best(reduced * form.column_lower, reduced * form.column_upper).sum()
    assert dual + form.constant == pytest.approx(claim.bound)


@pytest.mark.parametrize("seed", range(2))
def test_a_cut_loop_on_cbc_agrees_with_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    M, picked = rng.normal(size=(24, 9)) * 1.5, np.arange(8) * 3 + rng.integers(0, 3, 8)
    program = Program("cross entropy")
    keep, loss = program.variables("keep", 9, domain="binary"), program.variables("loss", 8)
    logits = M @ keep
    program.epigraph("softmax", LogSumExp(), logits.reshape(8, 3), loss + logits.take(picked))
    program.add("budget", keep.sum() <= 3)
    program.minimize(loss.mean() + 0.3 * keep.mean())

    def value(point: tuple[int, ...]) -> float:
        scores = M @ np.array(point, dtype=float)
        return float((LogSumExp().value(scores.reshape(8, 3)) - scores[picked]).mean() + 0.3 * np.mean(point))

    best = min(value(point) for point in itertools.product((0, 1), repeat=9) if sum(point) <= 3)
    solution = cbc(program)
    assert solution.held == "proven"
    assert solution.objective == pytest.approx(best, rel=1e-6)
