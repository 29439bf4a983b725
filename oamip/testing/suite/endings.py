"""Programs without an optimum: infeasible, unbounded, and solvers that cannot tell which."""

from __future__ import annotations

import math

import numpy as np

from oamip.program import Program
from oamip.testing.case import Subject
from oamip.testing.expect import ended, that
from oamip.testing.suite.register import case


@case(core=True)
def infeasible(subject: Subject) -> None:
    """Infeasible, by its rows and by its integers alone; the rows that clash are named."""
    for integer in (False, True):
        program = Program("infeasible")
        x = program.variables("x", 3, 0, 9, domain="integer" if integer else "continuous")
        program.add("harmless", x[2] + x[0] <= 12)
        if integer:
            program.add("odd", 2 * x[0] - 2 * x[1] == 1)
        else:
            program.add("least", x.sum() >= 7)
            program.add("most", x.sum() <= 6)
        program.minimize(x.sum())
        solution = subject.solve(program)
        ended(solution, "infeasible", "none")
        that(math.isinf(solution.bound), "an infinite bound", solution)
        named = ("odd",) if integer else ("least", "most")
        that(solution.clash == named, f"clash {named}", solution.clash)


@case()
def infeasible_bounds(subject: Subject) -> None:
    """Infeasible by bounds: crossed ones, and integers between which no integer lies."""
    crossed = Program("crossed")
    x = crossed.variables("x", 2, 0, 5)
    crossed.restrict("above", x[0] >= 6)
    crossed.minimize(x.sum())
    ended(subject.solve(crossed), "infeasible", "none")
    between = Program("between")
    n = between.variables("n", 2, [0.2, 0.0], [0.8, 3.0], domain="integer")
    between.add("sum", n.sum() <= 3)
    between.maximize(n.sum())
    ended(subject.solve(between), "infeasible", "none")


@case(core=True)
def unbounded(subject: Subject) -> None:
    """Unbounded, continuous and integer, in both senses."""
    for integer in (False, True):
        for maximise in (False, True):
            program = Program("unbounded")
            x = program.variables("x", 3, 0, domain="integer" if integer else "continuous")
            program.add("apart", x[0] - x[1] >= 1)
            program.add("capped", x[2] <= 8.5)
            objective = x[0] + x[1] - x[2]
            (program.maximize if maximise else program.minimize)(objective if maximise else -objective)
            solution = subject.solve(program)
            ended(solution, "unbounded", "none")
            that(math.isinf(solution.bound), "an infinite bound", solution)


@case()
def infeasible_or_unbounded(subject: Subject) -> None:
    """'infeasible or unbounded' is told apart."""
    for integer in (False, True):
        program = Program("infeasible_or_unbounded")
        x = program.variables("x", 4, 0, domain="integer" if integer else "continuous")
        program.add("one", x[0] - x[1] >= 1)
        program.add("other", x[0] - x[1] <= 0)
        program.maximize(x[2] + x[3])
        ended(subject.solve(program), "infeasible", "none")
    odd = Program("unbounded_relaxation")
    n = odd.variables("n", 2, 0, domain="integer")
    odd.add("odd", 2 * n[0] == 1)
    odd.minimize(-n[1])
    ended(subject.solve(odd), "infeasible", "none")
    ray = Program("free_ray")
    y = ray.variables("y", 3)
    ray.add("line", np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]]) @ y == [1, 2])
    ray.minimize(y.sum())
    ended(subject.solve(ray), "unbounded", "none")
