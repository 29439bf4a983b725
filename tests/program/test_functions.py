"""Convex functions: gradients by differences, and tangents that never cut the epigraph off."""

from __future__ import annotations

import numpy as np
import pytest

from oamip.program import ConvexFunction, LogSumExp, Program, SumSquares

every_function = pytest.mark.parametrize("function", [LogSumExp(), SumSquares()], ids=lambda f: f.name)


@every_function
@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
def test_gradients_agree_with_central_differences(function: ConvexFunction, scale: float) -> None:
    u = scale * np.random.default_rng(0).normal(size=(20, 5))
    step = 1e-5 * max(1.0, scale)
    for column in range(5):
        ahead, behind = u.copy(), u.copy()
        ahead[:, column] += step
        behind[:, column] -= step
        slope = (function.value(ahead) - function.value(behind)) / (2 * step)
        np.testing.assert_allclose(function.gradient(u)[:, column], slope, rtol=1e-5, atol=1e-6)


@every_function
def test_tangents_lie_below(function: ConvexFunction) -> None:
    rng = np.random.default_rng(1)
    at, elsewhere = 3 * rng.normal(size=(30, 4)), 3 * rng.normal(size=(30, 4))
    anchors = function.anchors(4)
    at[: len(anchors)] = anchors
    tangent = function.value(at) + (function.gradient(at) * (elsewhere - at)).sum(axis=1)
    assert (tangent <= function.value(elsewhere) + 1e-9).all()


@every_function
def test_cuts_hold_wherever_the_epigraph_does_and_are_tight_where_they_touch(function: ConvexFunction) -> None:
    rng = np.random.default_rng(2)
    program = Program()
    x, t = program.variables("x", 3), program.variables("t", 4)
    program.epigraph("e", function, (rng.normal(size=(8, 3)) @ x).reshape(4, 2) + rng.normal(size=(4, 2)), t - x[0])
    epigraph = program.compile().epigraphs[0]
    which = np.array([3, 1])
    at = rng.normal(size=7)
    rows, right = epigraph.cuts(epigraph.arguments(at)[which], which)
    np.testing.assert_allclose(rows @ at - right, epigraph.excess(at)[which], atol=1e-9)  # tight where they touch
    for _ in range(50):
        point = rng.normal(size=7)
        point[3:] = 0.0
        point[3:] = epigraph.excess(point)  # now every row is tight
        assert (rows @ point <= right + 1e-9).all()


def test_log_sum_exp_survives_large_numbers() -> None:
    assert LogSumExp().value(np.array([[1e4, 0.0], [-1e4, -1e4]])) == pytest.approx([1e4, -1e4 + np.log(2)])
