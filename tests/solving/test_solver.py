"""Independent programs are solved side by side, wherever they are solved, and stop together."""

from __future__ import annotations

import os
import pickle
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from oamip.errors import InputError, SolveError
from oamip.options import Options
from oamip.program import Program
from oamip.solution import SolveMany, solve_all
from oamip.solving import Solver, solver_for


def programs(count: int) -> Iterator[Program]:
    for number in range(count):
        program = Program(f"part{number}")
        x = program.variables("x", 6, domain="binary")
        program.add("cap", (x * np.arange(1, 7)).sum() <= 5 + number)
        program.maximize((x * np.arange(2, 8)).sum())
        yield program


def hard(seed: int) -> Program:
    rng = np.random.default_rng(seed)
    weights = rng.integers(1, 1000, (20, 120))
    program = Program("hard")
    take = program.variables("take", 120, domain="binary")
    program.add("capacity", weights @ take <= weights.sum(axis=1) / 2)
    program.maximize((take * (weights.mean(axis=0) + rng.integers(0, 500, 120))).sum())
    return program


@pytest.fixture(params=["none", "threads", "processes"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor | None]:
    if request.param == "none":
        yield None
        return
    pool: Executor = (
        ThreadPoolExecutor(3) if request.param == "threads" else ProcessPoolExecutor(2, get_context("spawn"))
    )
    with pool:
        yield pool


@pytest.mark.parametrize("isolate", [False, True])
def test_solutions_come_in_the_order_of_the_programs(executor: Executor | None, isolate: bool) -> None:
    solver = solver_for("pulp", "highs", isolate=isolate, executor=executor)
    assert isinstance(solver, SolveMany)
    alone = [solver(program).objective for program in programs(5)]
    together = [solution.objective for solution in solve_all(solver, programs(5))]
    assert together == alone
    assert len(set(alone)) > 3


def test_what_cannot_do_many_does_one_after_the_other() -> None:
    seen: list[str] = []

    def solve(program: Program, options: Options | None = None, /) -> object:
        seen.append(program.name)
        return Solver()(program, options)

    answers = solve_all(solve, programs(3))  # type: ignore[arg-type]
    next(answers)
    assert seen == ["part0"]
    assert len(list(answers)) == 2


def test_a_solver_can_be_pickled_and_its_programs_too() -> None:
    solver = pickle.loads(pickle.dumps(solver_for("cvxpy", "scip")))
    program = pickle.loads(pickle.dumps(next(programs(1))))
    assert solver(program).held == "proven"


def test_who_stops_waiting_stops_the_others() -> None:
    began = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        solver = solver_for(executor=pool)
        easy_then_hard = [next(programs(1)), *(hard(seed) for seed in range(5))]
        answers = solver.many(easy_then_hard, Options(time_limit=60))
        assert next(answers).held == "proven"
        answers.close()
    assert time.perf_counter() - began < 20  # the pool has waited for all that was running


def test_an_error_of_one_program_comes_out_and_stops_the_others() -> None:
    with ThreadPoolExecutor(2) as pool:
        solver = solver_for(executor=pool)
        with pytest.raises(InputError, match="no_such_option"):
            list(solver.many((hard(seed) for seed in range(4)), Options(time_limit=60, raw={"no_such_option": 1})))


def test_a_pool_that_breaks_is_told_with_the_way_out() -> None:
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert pool.submit(os.getpid).result()
        (worker,) = pool._processes
        answers = solver_for(executor=pool).many([hard(0), hard(1)], Options(time_limit=60))
        os.kill(worker, signal.SIGKILL)
        with pytest.raises(SolveError, match=r"was ended, perhaps .* isolate=True"):
            list(answers)


def test_wrong_names_are_told_at_once() -> None:
    with pytest.raises(InputError, match="no solver 'nope'"):
        solver_for("matrix", "nope")
    with pytest.raises(InputError, match="no backend 'nope'"):
        solver_for("nope")
