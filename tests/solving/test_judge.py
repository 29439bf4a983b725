"""Drivers that lie are caught."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from oamip.errors import InputError
from oamip.options import Options
from oamip.program import LogSumExp, Program, StandardForm
from oamip.solving import Outcome, Session, Support, solve
from oamip.solving.drivers.highs import HighsDriver

Twist = Callable[[Outcome], Outcome]


class Liar:
    """HiGHS, with its claims twisted."""

    name = "liar"
    support = Support("highspy", "pip install highspy", start=True, gap=True)

    def __init__(self, twist: Twist) -> None:
        self.twist = twist

    def open(self, form: StandardForm, options: Options) -> Session:
        def run(form: StandardForm, options: Options) -> Outcome:
            with HighsDriver().open(form, options) as session:
                return self.twist(replace(session.solve(), points=()))

        return Session(form, options, run)


@pytest.fixture
def program() -> Program:
    built = Program()
    n, y = built.variables("n", 3, 0, 4, domain="integer"), built.variables("y", 1, 0, 9)
    built.add("weight", (n * [2.0, 3.0, 4.0]).sum() + y.sum() <= 10.5)
    built.maximize((n * [3.0, 4.0, 6.5]).sum() + y.sum())
    return built


def test_the_twister_itself_is_harmless(program: Program) -> None:
    honest, twisted = solve(program), solve(program, solver=Liar(lambda claim: claim))
    assert twisted.held == honest.held == "proven"
    assert twisted.objective == pytest.approx(honest.objective)


@pytest.mark.parametrize(
    ("twist", "place"),
    [
        (lambda claim: replace(claim, x=claim.x + np.eye(4)[1]), "row weight"),
        (lambda claim: replace(claim, x=np.array([-2.0, 0, 0, 0])), "column n[0]"),
        (lambda claim: replace(claim, x=np.full(4, np.nan)), "not finite"),
        (lambda claim: replace(claim, x=claim.x[:2]), "the shape of the point, (2,) for 4 columns"),
    ],
)
def test_a_false_point_is_refused_by_name(program: Program, twist: Twist, place: str) -> None:
    solution = solve(program, solver=Liar(twist))
    assert (solution.reason, solution.held, dict(solution.values)) == ("error", "none", {})
    assert place in solution.warnings[-1]


def test_a_suboptimal_point_that_is_called_optimal_is_not_proven(program: Program) -> None:
    solution = solve(program, solver=Liar(lambda claim: replace(claim, x=np.zeros(4))))
    assert (solution.reason, solution.held) == ("gap_limit", "feasible")
    assert "not proven" in solution.warnings[-1]


def test_a_bound_that_the_point_contradicts_is_dropped(program: Program) -> None:
    solution = solve(program, solver=Liar(lambda claim: replace(claim, bound=claim.bound - 1)))
    assert (solution.held, solution.bound) == ("feasible", np.inf)
    assert "was dropped" in solution.warnings[0]


def test_optimal_without_a_point_is_an_error(program: Program) -> None:
    solution = solve(program, solver=Liar(lambda claim: replace(claim, x=None)))
    assert (solution.reason, solution.held) == ("error", "none")


def test_a_false_infeasible_is_caught_by_a_feasible_start(program: Program) -> None:
    liar = Liar(lambda claim: replace(claim, reason="infeasible", x=None))
    solution = solve(program, Options(start=np.zeros(4)), solver=liar)
    assert (solution.reason, solution.held, solution.objective) == ("error", "feasible", 0.0)
    assert "it is held" in solution.warnings[-1]


def test_integers_are_rounded_and_the_rest_is_polished() -> None:
    program = Program()
    on, y = program.variables("on", 1, domain="binary"), program.variables("y", 1, 0, 1e4)
    program.add("switch", y <= 1e4 * on)
    program.add("least", y >= 0.005)
    program.minimize(on.sum() + 0.001 * y.sum())
    # The trick of every big-M: an integer within its tolerance of 0 that lets a little through.
    trickle = Liar(lambda claim: replace(claim, x=np.array([5e-7, 0.005]), bound=0.0))
    solution = solve(program, solver=trickle)
    assert solution.held == "none"  # on = 0 allows no y ≥ 0.005 at all
    near = Liar(lambda claim: replace(claim, x=np.array([1.0 - 5e-7, 9999.995]), bound=0.0))
    assert solve(program, solver=near)["on"].tolist() == [1.0]


def test_a_solver_without_integers_is_not_asked(program: Program) -> None:
    liar = Liar(lambda claim: claim)
    liar.support = Support("highspy", "", integer=False)
    with pytest.raises(InputError, match="takes no integers and the program has 3"):
        solve(program, solver=liar)


def test_unsupported_options_are_named(program: Program) -> None:
    solution = solve(program, Options(seed=3, threads=2), solver=Liar(lambda claim: claim))
    assert [text.partition(":")[0] for text in solution.warnings] == ["option threads", "option seed"]


def test_a_driver_for_an_executable_serves_the_cut_loop() -> None:
    program = Program()
    keep, loss = program.variables("keep", 4, domain="binary"), program.variables("loss", 2)
    scores = (np.random.default_rng(0).normal(size=(6, 4)) @ keep).reshape(2, 3)
    program.epigraph("soft", LogSumExp(), scores, loss)
    program.add("least", keep.sum() >= 2)
    program.minimize(loss.sum())
    cold, hot = solve(program, solver=Liar(lambda claim: claim)), solve(program)
    assert cold.held == hot.held == "proven"
    assert cold.objective == pytest.approx(hot.objective, rel=1e-6)


# ── other points than the solver's last ────────────────────────────────────────────────────────────────────────────


def test_a_point_that_the_solver_passed_is_held_when_its_last_one_is_refused(program: Program) -> None:
    best = solve(program)
    point = np.concatenate([best["n"], best["y"]])
    forgetful = Liar(lambda claim: replace(claim, x=point + 9, points=(np.zeros(4), point, np.full(4, np.nan))))
    solution = solve(program, solver=forgetful)
    assert (solution.reason, solution.held) == ("error", "feasible")
    assert solution.objective == best.objective
    assert solution.bound == np.inf  # of a solver whose point was refused nothing is believed
    assert "refused" in solution.warnings[-2]
    assert "better point that it had passed is feasible" in solution.warnings[-1]


def test_a_start_that_is_better_than_the_proven_point_refutes_the_proof(program: Program) -> None:
    best = solve(program)
    start = np.concatenate([best["n"], best["y"]])
    poor = Liar(lambda claim: replace(claim, x=np.zeros(4), bound=0.0))
    solution = solve(program, Options(start=start), solver=poor)
    assert (solution.reason, solution.held, solution.objective) == ("error", "feasible", best.objective)
    assert solution.bound == np.inf


def test_a_stop_at_a_bound_needs_no_point(program: Program) -> None:
    stopped = Liar(lambda claim: replace(claim, reason="objective_limit", x=None))
    solution = solve(program, Options(stop_at_bound=100.0), solver=stopped)
    assert (solution.reason, solution.held) == ("objective_limit", "none")
    assert np.isfinite(solution.bound)
    assert solve(program, solver=stopped).reason == "error"


def test_rounding_that_breaks_a_row_is_mended_by_a_finer_solve() -> None:
    program = Program()
    on, flow = program.variables("on", 1, domain="binary"), program.variables("flow", 1, 0, 1)
    program.add("switch", flow - 1e5 * on <= 0)
    program.add("need", flow >= 0.03)
    program.minimize(on.sum())
    asked: list[float] = []

    def trickle(claim: Outcome) -> Outcome:
        asked.append(1.0)
        return replace(claim, x=np.array([3e-7, 0.03]), bound=3e-7) if len(asked) == 1 else claim

    solution = solve(program, solver=Liar(trickle))
    assert len(asked) >= 2
    assert (solution.held, solution.objective) == ("proven", 1.0)
    assert "rounding the integers" in solution.warnings[0]


# ── margins ────────────────────────────────────────────────────────────────────────────────────────────────────────


def line(best: float = 1000.0) -> Program:
    """Maximise one integer and one continuous column: the optimum is ``best``, and every value below it is feasible."""
    program = Program("line")
    n, y = program.variables("n", 1, 0, 100, domain="integer"), program.variables("y", 1, 0, best)
    program.add("sum", n.sum() + y.sum() <= best)
    program.maximize(n.sum() + y.sum())
    return program


def claiming(value: float, bound: float, *, reason: str = "optimal", points: tuple[float, ...] = ()) -> Liar:
    """A solver that gives a point of this value, and others that it passed."""
    others = tuple(np.array([0.0, other]) for other in points)
    return Liar(lambda _: Outcome(reason, np.array([0.0, value]), bound, points=others))  # type: ignore[arg-type]


# Of the value 1000, tolerances of 1e-7 explain 1e-4, and a relative gap of 1e-6 is 1e-3 more.
@pytest.mark.parametrize(
    ("distance", "reason", "held"),
    [(1.0e-3, "optimal", "proven"), (1.2e-3, "gap_limit", "feasible"), (-0.9e-3, "optimal", "proven")],
)
def test_optimal_is_what_gap_and_tolerances_make_it(distance: float, reason: str, held: str) -> None:
    solution = solve(line(), solver=claiming(999.0, 999.0 + distance))
    assert (solution.reason, solution.held, solution.bound) == (reason, held, 999.0 + distance)


@pytest.mark.parametrize(("beyond", "kept"), [(0.9e-3, True), (1.1e-3, False)])
def test_a_bound_may_be_beyond_its_point_by_ten_times_the_tolerances_and_no_more(beyond: float, kept: bool) -> None:
    solution = solve(line(), solver=claiming(999.0, 999.0 - beyond))
    assert np.isfinite(solution.bound) == kept
    assert (solution.held == "proven") == kept


def test_a_wide_gap_that_was_asked_is_proven_and_called_by_its_name() -> None:
    asked = Options(gap_relative=0.01)
    assert (wide := solve(line(), asked, solver=claiming(990.0, 999.9))).held == "proven"
    assert wide.reason == "gap_limit"
    assert solve(line(), asked, solver=claiming(990.0, 1000.3)).held == "feasible"
    assert [solve(line(), asked, solver=claiming(999.0, 999.0 + d)).reason for d in (0.9e-3, 1.3e-3)] == [
        "optimal",
        "gap_limit",
    ]
    assert solve(line(), Options(gap_absolute=20.0), solver=claiming(985.0, 1000.0)).reason == "gap_limit"


@pytest.mark.parametrize(("better", "taken"), [(0.9e-3, False), (1.1e-3, True)])
def test_a_start_counts_from_the_default_gap_on(better: float, taken: bool) -> None:
    solution = solve(line(), Options(start=np.array([0.0, 999.0 + better])), solver=claiming(999.0, 999.0))
    assert (solution.objective > 999.0) == taken
    assert (solution.held == "proven") != taken


@pytest.mark.parametrize(("better", "taken"), [(9e-3, False), (11e-3, True)])
def test_points_on_the_way_count_where_tolerances_do_not_explain_them(better: float, taken: bool) -> None:
    solution = solve(line(), solver=claiming(999.0, 1000.0, reason="time_limit", points=(5.0, 999.0 + better)))
    assert (solution.objective > 999.0) == taken
    assert solution.reason == "time_limit"
