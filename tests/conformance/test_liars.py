"""Lies are caught and named by `solve`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from oamip.options import Options
from oamip.plugins import entries
from oamip.program import LogSumExp, Program, StandardForm, SumSquares, check
from oamip.solution import Solution
from oamip.solving import Driver, Outcome, Session, find_driver, solve
from oamip.testing import instances, liars
from oamip.testing.liars import Liar

# liar, what `solve` must make of it, words of its last warning
CAUGHT = [
    (liars.FalsePoint, "error", "none", "row weight is violated"),
    (liars.OutOfBounds, "error", "none", "is violated by"),
    (liars.FalseIntegers, "error", "none", "integer take[15] is violated"),
    (liars.NotNumbers, "error", "none", "refused"),
    (liars.WrongLength, "error", "none", "refused"),
    (liars.OptimalWithoutPoint, "error", "none", "gives no point"),
    (liars.FalselyOptimal, "gap_limit", "feasible", "not proven"),
    (liars.ContradictedBound, "gap_limit", "feasible", "not proven"),
    (liars.NoBound, "gap_limit", "feasible", "not proven"),
    (liars.UndefinedBound, "gap_limit", "feasible", "not proven"),
    (liars.WordsForBound, "gap_limit", "feasible", "not proven"),
    (liars.WordsForPoint, "error", "none", "gives no point"),
]
KNAPSACK = instances.knapsack()


def claims(solution: Solution) -> tuple[str, str]:
    return solution.reason, solution.held


def best() -> np.ndarray:
    return solve(KNAPSACK.program)["take"]


@pytest.mark.parametrize(("liar", "reason", "held", "words"), CAUGHT, ids=lambda part: getattr(part, "name", None))
def test_a_lie_is_caught_and_named(liar: type[Liar], reason: str, held: str, words: str) -> None:
    solution = solve(KNAPSACK.program, solver=liar())
    assert (solution.reason, solution.held) == (reason, held)
    assert words in solution.warnings[-1]
    assert solution.held != "none" or not solution.values


@pytest.mark.parametrize("liar", [liars.ContradictedBound, liars.UndefinedBound, liars.WordsForBound])
def test_a_bound_that_is_dropped_is_named_and_gone(liar: type[Liar]) -> None:
    solution = solve(KNAPSACK.program, solver=liar())
    assert "bound" in solution.warnings[0]
    assert "dropped" in solution.warnings[0]
    assert solution.bound == np.inf


def test_a_false_infeasible_is_caught_by_a_start() -> None:
    solution = solve(KNAPSACK.program, Options(start=best()), solver=liars.FalselyInfeasible())
    assert (solution.reason, solution.held, solution.objective) == ("error", "feasible", KNAPSACK.optimum)
    assert "it is held" in solution.warnings[-1]


@pytest.mark.parametrize("liar", [liars.FalselyInfeasible, liars.InfeasibleWithPoint])
def test_a_false_infeasible_is_caught_without_a_start(liar: type[Liar]) -> None:
    solution = solve(KNAPSACK.program, solver=liar())
    assert claims(solution) == ("error", "feasible")
    assert f"{liar.name} says 'infeasible'" in solution.warnings[-1]


def test_unbounded_within_bounds_is_an_error() -> None:
    assert solve(KNAPSACK.program, solver=liars.FalselyUnbounded()).reason == "error"


def test_words_in_place_of_a_point_are_named() -> None:
    assert "of type ndarray, no array of numbers" in solve(KNAPSACK.program, solver=liars.WordsForPoint()).warnings[0]


@pytest.mark.parametrize("maximise", [False, True])
def test_unbounded_is_put_to_a_second_solver_where_bounds_decide_nothing(maximise: bool) -> None:
    program = Program("held_by_a_row")
    x = program.variables("x", 2)
    program.add("row", x.sum() <= 3 if maximise else x.sum() >= 3)
    (program.maximize if maximise else program.minimize)(x.sum())
    solution = solve(program, solver=liars.FalselyUnbounded())
    assert claims(solution) == ("error", "feasible")
    assert "highs proved that" in solution.warnings[-1]
    assert abs(solution.objective) == pytest.approx(3.0)
    endless = Program("endless")
    endless.minimize(endless.variables("x", 1).sum())
    assert claims(solve(endless, solver=liars.FalselyUnbounded())) == ("unbounded", "none")


@pytest.mark.parametrize("sense", ["min", "max"])
def test_an_unbounded_linear_program_that_is_called_optimal_is_looked_at_again(sense: str) -> None:
    def settled(form: StandardForm, _: Options, claim: Outcome) -> Outcome:
        if claim.reason != "unbounded":
            return claim
        x = np.array([1.0, 2.0])
        return replace(claim, reason="optimal", x=x, bound=form.objective(x), duals=np.zeros(1))

    program = Program("endless")
    x = program.variables("x", 2, 0)
    program.add("row", x[0] - x[1] >= -1)
    (program.maximize if sense == "max" else program.minimize)((1 if sense == "max" else -1) * x.sum())
    solution = solve(program, solver=Liar(settled))
    assert claims(solution) == ("unbounded", "none")
    assert "within a box of 100000 it found a better point" in solution.warnings[-1]


def test_a_start_that_is_better_by_more_than_the_gap_is_held_and_refutes_the_proof() -> None:
    program = Program("one")
    n, y = program.variables("n", 1, 0, 4, domain="integer"), program.variables("y", 1, 0, 1)
    program.maximize(n.sum() + y.sum())
    almost = solve(program, solver=liars.AlmostBest())
    assert (almost.held, almost.objective) == ("proven", pytest.approx(5 - 5e-5, rel=1e-7))  # nothing shows the lie
    solution = solve(program, Options(start=np.array([4.0, 1.0])), solver=liars.AlmostBest())
    assert (solution.held, solution.objective) == ("feasible", 5.0)
    assert "it is held" in solution.warnings[-1]


@pytest.mark.parametrize("liar", [liars.PoorAndSure, liars.AlmostBest])
@pytest.mark.parametrize("maximise", [False, True])
@pytest.mark.parametrize("unit", [1.0, 1e-9, 1e9])
def test_a_poor_optimum_of_a_linear_program_is_caught_by_its_duals(
    liar: type[Liar], maximise: bool, unit: float
) -> None:
    program = Program("scaled")
    x = program.variables("x", 3, 0, 4)
    program.add("row", x.sum() <= 7)
    (program.maximize if maximise else program.minimize)((x * [3.0, 2.0, -1.0]).sum() * unit + 100 * unit)
    solution, best = solve(program, solver=liar()), solve(program)
    assert claims(best) == ("optimal", "proven")
    assert claims(solution) == ("gap_limit", "feasible")
    assert "its duals prove" in solution.warnings[0]
    assert solution.bound == pytest.approx(best.objective, rel=1e-6)


@pytest.mark.parametrize("duals", [np.zeros(1), np.array([2.0])])
def test_duals_that_are_lies_too_prove_no_more(duals: np.ndarray) -> None:
    program = Program("in_a_box")
    x = program.variables("x", 2, 0, 4)
    program.add("row", x.sum() <= 5)
    program.maximize((x * [3.0, 2.0]).sum())  # 14, with the dual 2
    lie = Liar(lambda form, _, claim: replace(claim, x=np.ones(2), bound=5.0, duals=duals))
    solution = solve(program, solver=lie)
    assert claims(solution) == ("gap_limit", "feasible")
    assert solution.bound == pytest.approx(14.0 if duals.any() else 20.0, rel=1e-5)


def test_the_question_cannot_be_changed_into_one_that_suits_the_answer() -> None:
    with pytest.raises(ValueError, match="read-only"):
        solve(KNAPSACK.program, solver=liars.Scribbler())
    assert solve(KNAPSACK.program).objective == KNAPSACK.optimum


def test_a_poor_optimum_is_caught_by_a_better_start() -> None:
    solution = solve(KNAPSACK.program, Options(start=best()), solver=liars.PoorAndSure())
    assert solution.held == "feasible"
    assert solution.objective == KNAPSACK.optimum


def test_a_start_is_held_when_the_solver_loses_it() -> None:
    loser = Liar(lambda _form, _, claim: replace(claim, reason="time_limit", x=None))
    solution = solve(KNAPSACK.program, Options(start=best()), solver=loser)
    assert claims(solution) == ("time_limit", "feasible")


def test_an_undefined_bound_without_a_point_is_dropped() -> None:
    silent = Liar(lambda _form, _, claim: replace(claim, reason="time_limit", x=None, bound=np.nan))
    assert solve(KNAPSACK.program, solver=silent).bound == np.inf


def test_an_unknown_reason_is_an_error() -> None:
    odd = Liar(lambda _form, _, claim: replace(claim, reason="great"))
    assert solve(KNAPSACK.program, solver=odd).reason == "error"


def test_an_epigraph_that_is_not_a_number_is_refused() -> None:
    program = Program("overflow")
    x, t = program.variables("x", 2), program.variables("t", 1)
    program.epigraph("soft", LogSumExp(), (2 * x).reshape(1, 2), t)
    with np.errstate(all="ignore"):
        assert not check(program.compile(), np.array([1e308, -1e308, 0.0])).accepted


# ── those that do not come back ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", liars.__all__)
def test_every_liar_can_be_made_by_name_without_arguments(name: str) -> None:
    if name == "Twist":
        return
    liar = getattr(liars, name)()
    assert isinstance(liar, Driver)
    assert liar.name not in entries("oamip.drivers")  # nobody chooses one by mistake


def test_one_that_raises_lets_its_exception_out() -> None:
    with (
        liars.Raising().open(KNAPSACK.program.compile(), Options()) as session,
        pytest.raises(RuntimeError, match="the solver's own trouble"),
    ):
        session.solve()
    assert isinstance(session, Session)


# ── convex functions taken as they are ─────────────────────────────────────────────────────────────────────────────


def test_a_point_that_a_solvers_own_cones_spoil_is_found_again_by_cuts() -> None:
    program = Program("spoilt")
    n, t = program.variables("n", 2, -3, 3, domain="integer"), program.variables("t", 1, 0, 99)
    program.epigraph("square", SumSquares(), (n - [0.4, 1.7]).reshape(1, 2), t)
    program.minimize(t.sum())
    blind = Liar(support=replace(find_driver("highs").support, atoms=frozenset({"sum_squares"})))
    solution = solve(program, solver=blind)  # it never looks at the square, so its t is 0
    assert (solution.held, solution.objective) == ("proven", pytest.approx(0.4**2 + 0.3**2))
    assert "epigraph square[0] is violated" in solution.warnings[0]
    assert solution.warnings[1] == "square: solved again by tangent cuts"
    assert [step.way for step in solution.bridges] == ["tangent cuts"]
