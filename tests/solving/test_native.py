"""Solvers that a language brings along, reached by ``route="native"`` and judged like any other."""

from __future__ import annotations

import numpy as np
import pytest

from oamip.errors import InputError
from oamip.program import LogSumExp, Perspective, Program, SumSquares
from oamip.solving import solve


def smooth(function: LogSumExp | SumSquares | Perspective, *, maximise: bool = False) -> Program:
    rng = np.random.default_rng(0)
    program = Program("smooth")
    x, t = program.variables("x", 5, 0.1, 2), program.variables("t", 3)
    program.add("sum", x.sum() >= 4)
    program.epigraph("curve", function, (rng.uniform(0.2, 1.0, (12, 5)) @ x).reshape(3, 4), t)
    cost = t.sum() + (x * rng.normal(size=5)).sum() + 7
    program.maximize(-1 * cost) if maximise else program.minimize(cost)
    return program


@pytest.mark.parametrize("maximise", [False, True])
@pytest.mark.parametrize("function", [LogSumExp(), SumSquares(), Perspective()], ids=lambda f: f.name)
def test_conic_solvers_agree_with_the_cut_loop(function: LogSumExp, maximise: bool) -> None:
    program = smooth(function, maximise=maximise)
    cuts = solve(program, solver="highs")
    conic = solve(program, backend="cvxpy", solver="clarabel", route="native")
    assert conic.held == "proven"
    assert conic.objective == pytest.approx(cuts.objective, rel=1e-5)
    assert conic.objective == pytest.approx(conic.bound, rel=1e-6)
    assert conic.verified
    assert (conic.solver, conic.backend) == ("clarabel", "cvxpy")


def test_what_no_test_has_pinned_is_feasible_at_most() -> None:
    rough = solve(smooth(SumSquares()), backend="cvxpy", solver="scs", route="native")
    assert rough.held in ("feasible", "none")


def test_routes_that_lead_nowhere_are_refused_with_the_way_out() -> None:
    program = smooth(SumSquares())
    with pytest.raises(InputError, match="backend 'matrix' has no solvers of its own"):
        solve(program, solver="clarabel", route="native")
    with pytest.raises(InputError, match=r"no solver 'nonesuch' for route='native' .* installed are .*clarabel"):
        solve(program, backend="cvxpy", solver="nonesuch", route="native")
    binary = program.variables("b", 5, domain="binary")
    program.indicator("switch", binary, program.blocks["x"] <= 1)
    with pytest.raises(InputError, match="switch: 'cvxpy' has no indicators"):
        solve(program, backend="cvxpy", solver="clarabel", route="native")


def test_a_language_solves_in_this_process() -> None:
    with pytest.raises(InputError, match="'clarabel' runs within its language, in this process: leave isolate out"):
        solve(smooth(SumSquares()), backend="cvxpy", solver="clarabel", route="native", isolate=True)
