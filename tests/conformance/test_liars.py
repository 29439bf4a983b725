"""Lies are caught and named by `solve`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from oamip.errors import SolveError
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
def test_a_poor_optimum_of_a_linear_program_is_refuted(liar: type[Liar], maximise: bool, unit: float) -> None:
    program = Program("scaled")
    x = program.variables("x", 3, 0, 4)
    program.add("row", x.sum() <= 7)
    (program.maximize if maximise else program.minimize)((x * [3.0, 2.0, -1.0]).sum() * unit + 100 * unit)
    solution, best = solve(program, solver=liar()), solve(program)
    assert claims(best) == ("optimal", "proven")
    assert claims(solution) == ("error", "feasible")
    assert "but highs found a better point" in solution.warnings[-1]
    assert solution.objective == pytest.approx(best.objective, rel=1e-9)


def in_a_box(width: float = 4.0, price: float = 3.0) -> Program:
    program = Program("in_a_box")
    x = program.variables("x", 2, 0, width)
    program.add("row", x.sum() <= width + 1)
    program.maximize((x * [price, 2.0]).sum())
    return program


@pytest.mark.parametrize(
    "duals", [None, np.zeros(1), np.array([2.0]), np.zeros(2), np.full(1, np.nan), [0.0], "none"], ids=str
)
def test_no_duals_make_a_poor_point_the_best(duals: object) -> None:
    lie = Liar(lambda form, _, claim: replace(claim, x=np.ones(2), bound=5.0, duals=duals))
    solution = solve(in_a_box(), solver=lie)
    assert (*claims(solution), solution.objective) == ("error", "feasible", 14.0)
    refused = duals is not None and not (isinstance(duals, np.ndarray) and duals.shape == (1,) and duals[0] >= 0)
    assert any("duals were dropped" in text for text in solution.warnings) == refused


def test_reduced_costs_count_by_what_their_columns_may_still_gain() -> None:
    lie = Liar(lambda form, _, claim: replace(claim, x=np.array([0.0, 1.0]), bound=2.0, duals=np.zeros(1)))
    solution = solve(in_a_box(1e8, 1e-5), solver=lie)  # 1000 for the first column
    assert claims(solution) == ("error", "feasible")
    assert solution.objective > 1000


def test_an_optimum_that_nobody_can_confirm_is_not_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oamip.solving.second.PATIENCE", 0.0)
    for duals, bound in ((None, 5.0), (np.array([2.0]), 14.0), (np.zeros(1), 20.0)):
        lie = Liar(lambda form, _, claim, y=duals: replace(claim, x=np.ones(2), bound=5.0, duals=y))
        solution = solve(in_a_box(), solver=lie)
        assert (*claims(solution), solution.bound) == ("gap_limit", "feasible", bound)
        assert "nobody else could confirm it: highs ended with 'time_limit'" in solution.warnings[-1]


def test_small_reduced_costs_of_columns_without_end_count() -> None:
    program = Program("far")
    x = program.variables("x", 2, 0, np.inf)
    program.add("far", x[1] <= 1e9)
    program.add("near", x[0] <= 3)
    program.maximize(x[0] + 9e-6 * x[1])
    lie = Liar(lambda form, _, claim: replace(claim, x=np.array([3.0, 0.0]), bound=3.0, duals=np.array([0.0, 1.0])))
    solution = solve(program, solver=lie)
    assert (*claims(solution), solution.objective) == ("error", "feasible", pytest.approx(9003.0))


@pytest.mark.parametrize(
    "options", [Options(gap_relative=0.1), Options(gap_absolute=np.inf)], ids=["relative", "absolute"]
)
@pytest.mark.parametrize("duals", [None, np.array([2.0])], ids=["none", "true"])
def test_a_wide_gap_does_not_excuse_a_false_bound(options: Options, duals: np.ndarray | None) -> None:
    lie = Liar(lambda form, _, claim: replace(claim, x=np.array([3.0, 2.0]), bound=13.0, duals=duals))
    solution = solve(in_a_box(), options, solver=lie)
    assert (*claims(solution), solution.objective) == ("error", "feasible", 14.0)
    honest = Liar(lambda form, _, claim: replace(claim, x=np.array([3.0, 2.0]), bound=14.0, duals=np.array([2.0])))
    assert claims(solve(in_a_box(), options, solver=honest)) == ("gap_limit", "proven")


def test_an_optimum_that_the_second_solver_calls_unbounded_is_not_proven() -> None:
    program = Program("endless")
    x = program.variables("x", 2, 0)
    program.add("row", x[0] - x[1] <= 1)
    program.maximize(x.sum())
    lie = Liar(lambda form, _, claim: Outcome("optimal", np.zeros(2), 0.0))  # within a box it says the same
    solution = solve(program, solver=lie)
    assert (*claims(solution), solution.bound) == ("gap_limit", "feasible", np.inf)
    assert "highs says 'unbounded'" in solution.warnings[-1]


@pytest.mark.parametrize("driver", ["highs", "scip", "cbc", "gurobi", "cplex"])
def test_an_honest_optimum_that_duals_prove_is_asked_about_once(driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oamip.solving.pipeline.confirm", lambda *_: pytest.fail("asked again"))
    assert claims(solve(in_a_box(), solver=driver)) == ("optimal", "proven")


def test_what_is_no_outcome_is_told() -> None:
    with pytest.raises(SolveError, match="gives a tuple; it must give an Outcome"):
        solve(in_a_box(), solver=Liar(lambda form, _, claim: ("optimal", claim.x)))


def test_points_that_are_none_at_all_are_dropped() -> None:
    solution = solve(KNAPSACK.program, solver=Liar(lambda form, _, claim: replace(claim, points=None)))
    assert solution.held == "proven"
    assert "points that the solver had passed were dropped" in solution.warnings[0]


def test_a_point_that_misses_by_little_is_sought_again_more_finely() -> None:
    program = in_a_box()
    coarse = Liar(
        lambda form, options, claim: replace(claim, x=claim.x + [0, 1e-4 if options.feasibility > 1e-8 else 0])  # noqa: RUF005
    )
    solution = solve(program, solver=coarse)
    assert claims(solution) == ("optimal", "proven")
    assert "it was solved again with a hundredth of the tolerances" in solution.warnings[0]


def test_the_gap_limit_of_a_driver_means_what_it_says() -> None:
    lie = Liar(lambda form, _, claim: replace(claim, x=np.array([4.0, 0.9]), bound=14.0, reason="gap_limit"))
    solution = solve(in_a_box(), Options(gap_relative=0.1), solver=lie)
    assert (*claims(solution), solution.warnings) == ("gap_limit", "proven", ())


def test_what_was_said_of_a_worse_point_is_void_once_the_start_is_held() -> None:
    lie = Liar(lambda form, _, claim: replace(claim, x=np.array([4.0, 0.9])))
    solution = solve(in_a_box(), Options(start=np.array([4.0, 1.0])), solver=lie)
    assert solution.held == "proven"
    assert not any("optimality is not proven" in text for text in solution.warnings)


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
