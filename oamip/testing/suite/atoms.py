"""Indicators, SOS1 sets and convex functions, taken by the solver, bridged, or through the cut loop."""

from __future__ import annotations

import itertools

import numpy as np

from oamip.program import LogSumExp, Perspective, Program, Rows, SumSquares, concatenate
from oamip.testing import instances
from oamip.testing.case import Subject
from oamip.testing.exact import enumerate_points, enumerate_sets
from oamip.testing.expect import ended, proven, that
from oamip.testing.suite.register import case


@case()
def indicator(subject: Subject) -> None:
    """Rows that a binary switches on, at 1 and at 0, one-sided, ranged and equal."""
    program = Program("indicator")
    on = program.variables("on", 4, domain="binary")
    x = program.variables("x", 4, -3, 4, domain="integer")
    program.indicator("least", on[:2], x[:2] >= 3)
    program.indicator("same", on[2].reshape(1), (x[2] - x[3]).reshape(1) == 2)
    band = Rows((x[0] + x[3]).reshape(1), np.array([-2.0]), np.array([1.0]))
    program.indicator("band", on[3].reshape(1), band, on=False)
    program.add("some", on.sum() >= 2)
    program.add("most", x.sum() <= 5)
    program.maximize((x * [-2, -1, 1, 3]).sum() + (on * [3, 2, 4, -4]).sum())
    optimum = enumerate_points(program.compile())
    assert optimum is not None
    proven(subject.solve(program), optimum)


@case()
def indicator_infeasible(subject: Subject) -> None:
    """An indicator that can never be switched on, and must be, is infeasible."""
    program = Program("indicator_infeasible")
    on, x = program.variables("on", 2, domain="binary"), program.variables("x", 2, 0, 1)
    program.indicator("both", on, (x.sum() * np.ones(2)) >= [1.5, 2.5])
    program.add("on", on.sum() == 2)
    program.minimize(x.sum())
    ended(subject.solve(program), "infeasible", "none")


@case()
def sos1(subject: Subject) -> None:
    """Sets of which one member at most is not zero."""
    program = Program("sos1")
    x = program.variables("x", (2, 4), [[-2, 0, -1, 0], [0, 0, -3, 0]], 3, domain="integer")
    program.sos1("one", x)
    program.sos1("across", x[:, 1:3].reshape(1, 4))
    program.add("sum", x.sum() <= 5)
    program.maximize((x * [[-5, 4, 3, 2], [1, 4, -6, 5]]).sum())
    optimum = enumerate_points(program.compile())
    assert optimum is not None
    proven(subject.solve(program), optimum)


@case()
def small_sets(subject: Subject) -> None:
    """Forty programs of a few signed columns in overlapping sets, whose optima are enumerated."""
    for seed in range(40):
        program = instances.small_sets(seed)
        best = enumerate_sets(program.compile())
        if best is None:
            ended(subject.solve(program), "infeasible", "none")
        else:
            proven(subject.solve(program), best)


@case()
def log_sum_exp(subject: Subject) -> None:
    """LogSumExp of scores of binaries."""
    scores = np.random.default_rng(3).normal(size=(6, 8))
    program = Program("log_sum_exp")
    keep, loss = program.variables("keep", 8, domain="binary"), program.variables("loss", 2)
    program.epigraph("soft", LogSumExp(), (scores @ keep).reshape(2, 3), loss)
    program.add("number", keep.sum() == 4)
    program.minimize(loss.sum() + 1)
    losses = [_log_sum_exp(scores[:, list(which)].sum(axis=1)) for which in itertools.combinations(range(8), 4)]
    proven(subject.solve(program), min(losses) + 1)


@case()
def sum_squares(subject: Subject) -> None:
    """SumSquares: the nearest integer point to a target, and a projection onto a line."""
    target = np.array([0.4, -1.3, 2.2])
    program = Program("sum_squares")
    n, t = program.variables("n", 3, -3, 3, domain="integer"), program.variables("t", 1)
    program.epigraph("distance", SumSquares(), (n - target).reshape(1, 3), t)
    program.add("even", n.sum() == 2)
    program.minimize(t.sum())
    nearest = min(
        float(((np.array(p) - target) ** 2).sum()) for p in itertools.product(range(-3, 4), repeat=3) if sum(p) == 2
    )
    proven(subject.solve(program), nearest)
    plane = Program("projection")
    x, s = plane.variables("x", 3, -5, 5), plane.variables("s", 1)
    plane.epigraph("distance", SumSquares(), (x - target).reshape(1, 3), s)
    plane.add("on", x.sum() == 4)
    plane.minimize(s.sum())
    proven(subject.solve(plane), float((4 - target.sum()) ** 2 / 3))


@case()
def perspective(subject: Subject) -> None:
    """Perspective: a square that a switch turns off."""
    rng = np.random.default_rng(2)
    price, gain = rng.uniform(0.5, 2.0, 5), rng.uniform(1.0, 4.0, 5)
    program = Program("perspective")
    on, w, t = (
        program.variables("on", 5, domain="binary"),
        program.variables("w", 5, 0, 4),
        program.variables("t", 5, 0),
    )
    arguments = np.zeros((5, 2, 10))
    arguments[np.arange(5), 0, np.arange(5)] = arguments[np.arange(5), 1, 5 + np.arange(5)] = 1.0
    both = arguments.reshape(10, 10) @ concatenate([w, on])
    program.epigraph("square", Perspective(), both.reshape(5, 2), t)
    program.add("off", w - 4 * on <= 0)
    program.add("number", on.sum() <= 3)
    program.minimize((t + on * price - w * gain).sum())
    # w²/on − gain·w at on = 1 is least at w = gain / 2, within the bound; each then saves gain²/4 − price
    saved = np.sort(np.maximum(gain**2 / 4 - price, 0.0))[-3:].sum()
    proven(subject.solve(program), float(-saved))


@case()
def perspective_domain(subject: Subject) -> None:
    """A perspective is nowhere but in its domain, whoever solves it: w is 0 where y is, and at most steepest · y."""
    for fixed in (True, False):
        program = Program("perspective_domain")
        y = program.variables("y", 1, 0, 0 if fixed else 1, domain="binary" if fixed else "continuous")
        w, t = program.variables("w", 1, 0, 8), program.variables("t", 1, 0, 1e6)
        arguments = np.array([[1.0], [0.0]]) @ w + np.array([[0.0], [1.0]]) @ y
        program.epigraph("square", Perspective(steepest=4.0), arguments.reshape(1, 2), t)
        program.add("least", w >= 2)
        program.minimize(t.sum() + 40 * y.sum())
        if fixed:
            solution = subject.solve(program)
            ended(solution, "infeasible", "none")
            named = {"least", "square_domain"}
            that(set(solution.clash) == named, f"a clash of {sorted(named)}", solution.clash)
        else:
            proven(subject.solve(program), 4 / 0.5 + 40 * 0.5)  # w²/y + 40 y, but for the domain least at y = 0.32


def _log_sum_exp(scores: np.ndarray) -> float:
    return float(np.log(np.exp(scores.reshape(2, 3)).sum(axis=1)).sum())
