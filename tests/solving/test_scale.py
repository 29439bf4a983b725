"""The unit of the objective: what users say and hear is in theirs, whatever a solver was given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from oamip.options import Options, Progress
from oamip.program import Program, StandardForm, SumSquares
from oamip.solution import Solution, relative_gap
from oamip.solving import Outcome, Session, Support, find_driver, solve
from oamip.solving.scale import Scale, unit_of
from oamip.testing import instances
from oamip.testing.liars import FalselyOptimal, Liar, NoBound

TINY = 2.0**-40


def in_units(program: Program, unit: float) -> Program:
    (program.minimize if program.sense == "min" else program.maximize)(program.objective * unit)
    return program


class Listening(Liar):
    """HiGHS, and what it was asked."""

    def __init__(self) -> None:
        super().__init__(turn=self._heard, support=find_driver("highs").support)
        self.options: list[Options] = []
        self.costs: list[np.ndarray] = []

    def _heard(self, form: StandardForm, options: Options) -> tuple[StandardForm, Options]:
        self.options.append(options)
        self.costs.append(form.cost)
        return form, options


@pytest.mark.parametrize(
    ("cost", "unit"),
    [
        ([1.0, -3.0, 1023.0], 1.0),  # as they are
        ([0.0, 0.0], 1.0),
        ([3e-9, -1e-9], 2.0**-29),  # the largest becomes 1.6
        ([0.75], 0.5),
        ([2.0**20, 1.0], 2.0**10),
        ([1e12, 1.0], 2.0**13),  # a penalty, and costs that must not vanish beside it
        ([1e12, 1e-5], 1.0),
        ([np.inf, 1.0], 1.0),  # for the solver to refuse
    ],
)
def test_the_unit_brings_costs_near_one_and_loses_none(cost: list[float], unit: float) -> None:
    assert unit_of(np.array(cost)) == unit


def test_scaling_rounds_nothing_and_leaves_ordinary_forms_alone() -> None:
    form = in_units(instances.linear().program, 1e-9 / 3).compile()
    scaled = Scale.of(form, Options(), Support("", "")).form(form)
    ratio = form.cost[form.cost != 0] / scaled.cost[form.cost != 0]
    assert (ratio == ratio[0]).all()
    assert scaled.constant * ratio[0] == form.constant
    plain = instances.knapsack().program.compile()
    assert Scale.of(plain, Options(), Support("", "")).form(plain) is plain


def test_stops_and_gaps_keep_the_meaning_that_users_gave_them() -> None:
    listening, item = Listening(), instances.knapsack()
    program = in_units(item.program, TINY)
    unit = unit_of(program.compile().cost)
    asked = Options(gap_absolute=3 * TINY, stop_at_objective=500 * TINY, stop_at_bound=700 * TINY)
    solve(program, asked, solver=listening)
    heard = listening.options[0]
    assert np.abs(listening.costs[0]).max() >= 1
    assert (heard.gap_absolute, heard.stop_at_objective, heard.stop_at_bound) == (
        3 * TINY / unit,
        500 * TINY / unit,
        700 * TINY / unit,
    )


def test_the_default_absolute_gap_shrinks_with_the_costs_and_one_that_is_asked_does_not() -> None:
    program = in_units(instances.knapsack().program, TINY)
    listening = Listening()
    solution = solve(program, solver=listening)
    assert listening.options[0].gap_absolute == Options.gap_absolute
    assert solution.objective == instances.knapsack().optimum * TINY
    loose = solve(program, Options(gap_absolute=1.0), solver=listening)  # far more than the whole objective
    assert (loose.reason, loose.held) != ("optimal", "none")
    assert abs(loose.objective - loose.bound) <= 1.0


@pytest.mark.parametrize("curved", [False, True])
def test_progress_is_told_in_the_units_of_the_user(curved: bool) -> None:
    heard: list[Progress] = []
    program = in_units(instances.many_knapsacks().program, TINY)
    if curved:
        t = program.variables("t", 1)
        program.epigraph("square", SumSquares(), program.blocks["take"][:1].reshape(1, 1) * 1.0, t)
        program.maximize(program.objective - t.sum() * TINY)

    def enough(told: Progress) -> bool:
        heard.append(told)
        return sum(np.isfinite(one.objective) for one in heard) == 5

    solution = solve(program, Options(progress=enough))
    values = [told.objective for told in heard if np.isfinite(told.objective)]
    assert values
    assert all(0 < value < 2 * solution.objective < 1e7 * TINY for value in values)
    bounds = [told.bound for told in heard if np.isfinite(told.bound)]
    assert all(0 < bound < 10 * solution.objective for bound in bounds)


def test_a_raw_option_that_is_a_value_of_the_objective_means_what_it_says() -> None:
    program, listening = in_units(instances.knapsack().program, 1e-3), Listening()
    solve(program, Options(raw={"mip_abs_gap": 1e-4}), solver=listening)
    assert np.abs(listening.costs[0]).max() < 1
    solve(program, Options(raw={"presolve": "off"}), solver=listening)
    assert np.abs(listening.costs[1]).max() >= 1


@pytest.mark.parametrize("liar", [FalselyOptimal, NoBound])
@pytest.mark.parametrize("unit", [1e-12, 1e12])
def test_claims_are_judged_in_the_unit_of_the_costs(liar: type[Liar], unit: float) -> None:
    solution = solve(in_units(instances.knapsack().program, unit), solver=liar())
    assert (solution.reason, solution.held) == ("gap_limit", "feasible")


def test_a_bound_that_a_tiny_objective_contradicts_is_dropped() -> None:
    def above(form: StandardForm, _: Options, claim: Outcome) -> Outcome:
        return Outcome("optimal", claim.x, claim.bound * 0.9)

    solution = solve(in_units(instances.knapsack().program, 1e-10), solver=Liar(above))
    assert solution.held == "feasible"
    assert "was dropped" in solution.warnings[0]


def test_the_gap_of_tiny_objectives_is_no_less_than_it_is() -> None:
    assert relative_gap(1e-10, 2e-10) == 0.0  # of costs of 1 that is nothing
    assert relative_gap(1e-10, 2e-10, unit=1e-10) == 0.5

    def early(form: StandardForm, _: Options, claim: Outcome) -> Outcome:
        return Outcome("time_limit", np.zeros(form.shape[1]), claim.bound)

    solution: Solution = solve(in_units(instances.knapsack().program, 1e-12), solver=Liar(early))
    assert solution.gap == 1.0


def test_duals_come_back_in_the_unit_of_the_user() -> None:
    class Priced:
        name, support = "priced", Support("", "")

        def open(self, form: StandardForm, options: Options) -> Session:
            return Session(form, options, lambda form, _: Outcome("optimal", np.ones(1), 1.0, duals=np.ones(1)))

    program = Program()
    x = program.variables("x", 1, 0, 2)
    program.add("row", x >= 1)
    program.minimize(x.sum() * TINY)
    from oamip.solving.route import route

    outcome: Any = route(program.compile(), Priced(), Options()).outcome
    assert (outcome.bound, outcome.duals.tolist()) == (TINY, [TINY])
