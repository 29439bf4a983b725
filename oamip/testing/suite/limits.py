"""Limits and stops, with and without a point; starts."""

from __future__ import annotations

import time

import numpy as np

from oamip.program import Program
from oamip.testing import instances
from oamip.testing.case import Subject
from oamip.testing.expect import close, ended, proven, that, valid_bound
from oamip.testing.suite.register import case

LIMIT = 1.0
LATE = 4.0  # seconds beyond a limit that a busy machine explains


@case(core=True)
def time_limit_without_point(subject: Subject) -> None:
    """A time limit before any point: nothing is held, and the bound is valid."""
    hard = instances.split()
    began = time.perf_counter()
    solution = subject.solve(hard.program, time_limit=LIMIT)
    _in_time(began)
    ended(solution, "time_limit", "none")
    valid_bound(solution, hard.value, minimise=True)


@case()
def time_limit_with_point(subject: Subject) -> None:
    """A time limit after some point: it is held, and the bound is valid."""
    hard = instances.many_knapsacks()
    for limit in (LIMIT, 3.0 * LIMIT):  # a busy machine may not come to any point at first
        began = time.perf_counter()
        solution = subject.solve(hard.program, time_limit=limit)
        _in_time(began, limit)
        if solution.held != "none":
            break
    ended(solution, "time_limit", "feasible")
    valid_bound(solution, max(hard.value, solution.objective), minimise=False)


@case(needs=("node_limit",))
def node_limit(subject: Subject) -> None:
    """A node limit."""
    hard = instances.many_knapsacks()
    solution = subject.solve(hard.program, node_limit=1)
    ended(solution, "node_limit", "feasible")
    that(solution.nodes <= 1, "at most the one node that was allowed", f"{solution.nodes} nodes")
    valid_bound(solution, max(hard.value, solution.objective), minimise=False)
    nothing = subject.solve(instances.split().program, node_limit=1)
    ended(nothing, "node_limit", "none")


@case(needs=("gap",))
def gap(subject: Subject) -> None:
    """A wide gap ends a solve that would not end otherwise, and is proven."""
    hard = instances.many_knapsacks()
    easy = subject.solve(instances.knapsack().program, gap_absolute=1.5)
    relative_alone = any("option gap_absolute" in text for text in easy.warnings)  # such a solver says so
    for name in ("gap_relative",) if relative_alone else ("gap_relative", "gap_absolute"):
        asked = 0.05 if name == "gap_relative" else 5000.0
        solution = subject.solve(hard.program, time_limit=10 * LIMIT, **{name: asked})
        ended(solution, "gap_limit", "proven")
        valid_bound(solution, hard.value, minimise=False)
        distance = solution.bound - solution.objective
        allowed = asked * abs(solution.objective) if name == "gap_relative" else asked
        that(1e-6 < distance <= allowed * (1 + 1e-6), f"a distance of at most {allowed:.6g}", solution)


@case(needs=("objective_limit",))
def stop_at_objective(subject: Subject) -> None:
    """A stop at an objective, once it is reached and not before."""
    hard = instances.many_knapsacks()
    solution = subject.solve(hard.program, stop_at_objective=hard.value)
    ended(solution, "objective_limit", "feasible")
    that(solution.objective >= hard.value, f"an objective of {hard.value:g} or more", solution)
    for maximise in (False, True):
        easy = instances.linear(maximise=maximise)
        beyond = easy.optimum + (1 if maximise else -1)
        proven(subject.solve(easy.program, stop_at_objective=beyond), easy.optimum)
    item = instances.knapsack()
    proven(subject.solve(item.program, stop_at_objective=item.optimum + 1), item.optimum)


@case(needs=("objective_limit",))
def stop_at_bound(subject: Subject) -> None:
    """A stop at a bound, once it is passed and not before."""
    hard = instances.many_knapsacks()
    solution = subject.solve(hard.program, stop_at_bound=hard.relaxed)
    that(solution.reason == "objective_limit", "reason 'objective_limit'", solution)
    that(solution.bound <= hard.relaxed, f"a bound of {hard.relaxed:g} or less", solution)
    valid_bound(solution, hard.value, minimise=False)
    item = instances.knapsack()
    proven(subject.solve(item.program, stop_at_bound=item.optimum - 1), item.optimum)


@case(needs=("start",))
def start(subject: Subject) -> None:
    """A start is held where the solver finds no point by itself."""
    hard = instances.split()
    solution = subject.solve(hard.program, time_limit=LIMIT, start=hard.point)
    ended(solution, "time_limit", "feasible")
    close("the objective of the start", solution.objective, hard.value)
    that(not any("it is held" in text for text in solution.warnings), "a start that the solver itself took", solution)
    valid_bound(solution, hard.value, minimise=True)


@case(needs=("start",))
def partial_start(subject: Subject) -> None:
    """A start may leave columns open, and a false one does no harm."""
    hard = instances.split()
    program = Program("split_and_flow")
    side, flow = program.variables("side", 60, domain="binary"), program.variables("flow", 60, 0, 2)
    block = hard.program.compile()
    program.add("balance", block.A @ side == block.row_lower)
    program.add("carried", flow - 2 * side <= 0)
    program.add("total", flow.sum() == 30)
    program.minimize((side * block.cost).sum() + flow.sum())
    open_flow = np.concatenate([hard.point, np.full(60, np.nan)])
    solution = subject.solve(program, time_limit=LIMIT, start=open_flow)
    ended(solution, "time_limit", "feasible")
    close("the objective of the completed start", solution.objective, hard.value + 30)
    easy = instances.knapsack()
    proven(subject.solve(easy.program, start=np.ones(30)), easy.optimum)


def _in_time(began: float, limit: float = LIMIT) -> None:
    seconds = time.perf_counter() - began
    that(seconds <= limit + LATE, f"an end within {LATE:g} s of the limit of {limit:g} s", f"{seconds:.1f} s")
