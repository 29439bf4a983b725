"""What HiGHS is asked is what it does, and what it says is what is meant."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from oamip.errors import InputError
from oamip.options import Options, Progress
from oamip.program import Program, Rows, constant
from oamip.solving import Outcome, solve
from oamip.solving.drivers.highs import HighsDriver


def outcome(program: Program, **options: object) -> Outcome:
    with HighsDriver().open(program.compile(), Options(**options)) as session:
        return session.solve()


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


def no_columns() -> tuple[Program, float]:
    program = Program()
    program.minimize(constant(2.0))
    return program, 2.0


@pytest.mark.parametrize("case", [linear, equality_and_range, constant_only, no_columns])
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


def test_time_limit_with_a_point(knapsack: Program) -> None:
    began = time.perf_counter()
    solution = solve(knapsack, Options(time_limit=0.3))
    assert time.perf_counter() - began < 1.5
    assert (solution.reason, solution.held) == ("time_limit", "feasible")
    assert solution.verified
    assert 0 < solution.gap < 0.1


def test_time_limit_without_a_point(split: Program) -> None:
    solution = solve(split, Options(time_limit=0.3))
    assert (solution.reason, solution.held, dict(solution.values)) == ("time_limit", "none", {})
    assert math.isnan(solution.objective)
    assert math.isfinite(solution.bound)


def test_a_linear_time_limit_is_one_of_each_solve_and_not_of_the_session() -> None:
    rng = np.random.default_rng(1)
    program = Program()
    x = program.variables("x", 400, 0)
    program.add("rows", rng.random((400, 400)) @ x <= 1 + rng.random(400))
    program.maximize((x * rng.random(400)).sum())
    with HighsDriver().open(program.compile(), Options()) as session:
        once = session.solve().seconds
        for _ in range(4):  # the clock of HiGHS has then run for longer than the limit of any one solve
            session.restart()
            assert session.solve(time_limit=2.5 * once + 0.2).reason == "optimal"


def test_gap_and_node_limits(knapsack: Program) -> None:
    wide = solve(knapsack, Options(gap_relative=0.05))
    assert (wide.reason, wide.held) == ("gap_limit", "proven")
    assert 1e-6 < wide.gap <= 0.05
    few = solve(knapsack, Options(node_limit=1))
    assert (few.reason, few.held) == ("node_limit", "feasible")
    assert few.nodes <= 1


def test_start_is_honoured(knapsack: Program) -> None:
    known = solve(knapsack, Options(time_limit=0.5))
    first = known["take"].copy()
    started = solve(knapsack, Options(node_limit=0, start=first))
    assert started.objective >= known.objective
    with pytest.raises(InputError, match="start has shape"):
        solve(knapsack, Options(start=np.zeros(3)))


def test_stops_at_objective_and_bound(knapsack: Program) -> None:
    good = solve(knapsack, Options(stop_at_objective=50_000.0))
    assert good.reason == "objective_limit"
    assert good.objective >= 50_000
    far = solve(knapsack, Options(stop_at_bound=54_000.0))
    assert far.reason == "objective_limit"
    assert far.bound <= 54_000


def test_progress_interrupts_and_the_incumbent_is_kept(knapsack: Program) -> None:
    seen: list[Progress] = []

    def watch(progress: Progress) -> bool:
        seen.append(progress)
        assert threading.current_thread() is threading.main_thread()
        return progress.seconds > 0.2

    solution = solve(knapsack, Options(progress=watch))
    assert (solution.reason, solution.held) == ("interrupted", "feasible")
    assert seen[-1].bound >= seen[-1].objective


def test_control_c_interrupts_and_the_incumbent_is_kept(knapsack: Program) -> None:
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    solution = solve(knapsack, Options(time_limit=20))
    timer.join()
    assert (solution.reason, solution.held) == ("interrupted", "feasible")


def test_an_error_in_the_progress_callback_comes_out(knapsack: Program) -> None:
    def fail(progress: Progress) -> bool:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        solve(knapsack, Options(progress=fail))


def test_raw_options_win_and_unknown_ones_are_named(knapsack: Program) -> None:
    assert solve(knapsack, Options(time_limit=20, raw={"mip_max_nodes": 0})).reason == "node_limit"
    with pytest.raises(InputError, match="raw option 'no_such'"):
        solve(knapsack, Options(raw={"no_such": 1}))
    with pytest.raises(InputError, match="'threads' of HiGHS does not take the value 'many'"):
        solve(knapsack, Options(raw={"threads": "many"}))


def test_number_of_threads_may_change_from_solve_to_solve(knapsack: Program) -> None:
    reasons = [solve(knapsack, Options(node_limit=0, threads=threads)).reason for threads in (1, 2, 1)]
    assert reasons == ["node_limit"] * 3


def test_what_highs_cannot_do_is_a_named_warning() -> None:
    program, _ = linear()
    limited = outcome(program)
    assert limited.warnings == ()
    solution = solve(program, Options(memory_limit=10**9, integrality=0.0, start=np.zeros(3)))
    assert [warning.partition(":")[0] for warning in solution.warnings] == [
        "option memory_limit",
        "option integrality",
        "option start",
    ]


def test_the_log_is_kept_and_written_and_not_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], knapsack: Program
) -> None:
    solution = solve(knapsack, Options(node_limit=0, log_file=tmp_path / "highs.log"))
    assert capfd.readouterr() == ("", "")
    assert "binary" in solution.log
    assert (tmp_path / "highs.log").read_text() == solution.log


def test_duals_of_a_linear_program_give_its_bound() -> None:
    for sign in (1, -1):
        program, _ = linear()
        program.minimize(-program.objective) if sign < 0 else None
        form, claim = program.compile(), outcome(program)
        assert claim.duals is not None
        reduced = form.cost - claim.duals @ form.A
        best = np.maximum if form.sense == "max" else np.minimum
        dual = claim.duals @ [2.0] + best(reduced * form.column_lower, reduced * form.column_upper).sum()
        assert dual + form.constant == pytest.approx(claim.bound)
