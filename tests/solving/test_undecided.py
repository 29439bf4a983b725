"""Infeasible or unbounded: what a solver cannot tell, a second solve without an objective does."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from oamip.options import Options, Progress
from oamip.program import Program, StandardForm
from oamip.solving import Outcome, Session
from oamip.solving.undecided import told_apart


def endless() -> StandardForm:
    program = Program()
    program.maximize(program.variables("x", 2, 0).sum() + 3)
    return program.compile()


class Asked:
    """A solver of one function, what it was asked, and what it says the second time."""

    def __init__(self, second: Outcome) -> None:
        self.heard: list[tuple[StandardForm, Options]] = []
        self.second = second

    def __call__(self, form: StandardForm, options: Options) -> Outcome:
        self.heard.append((form, options))
        return self.second


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (Outcome("optimal", np.zeros(2), 0.0, nodes=2, log="second"), "unbounded"),
        (Outcome("time_limit", np.zeros(2), 0.0, nodes=2, log="second"), "unbounded"),
        (Outcome("time_limit", None, 0.0, nodes=2, log="second"), "time_limit"),
        (Outcome("infeasible", None, 0.0, nodes=2, log="second"), "infeasible"),
    ],
)
def test_whatever_has_a_point_is_unbounded(second: Outcome, reason: str) -> None:
    heard: list[Progress] = []
    asked = Asked(second)
    options = Options(
        time_limit=60.0, stop_at_objective=5.0, stop_at_bound=7.0, start=np.ones(2), progress=heard.append
    )
    session = Session(endless(), options, asked)
    first = Outcome("unbounded", np.ones(2), 99.0, nodes=1, points=(np.ones(2),), warnings=("one",), log="first ")
    outcome = told_apart(session, first, options, time.perf_counter() - 5.0)
    assert (outcome.reason, outcome.x, outcome.bound, outcome.points) == (reason, None, math.inf, ())
    assert (outcome.nodes, outcome.warnings, outcome.log) == (3, ("one",), "first second")
    ((form, told),) = asked.heard
    assert (form.cost.tolist(), form.constant, session.form.cost.tolist(), session.form.constant) == (
        [0, 0],
        0,
        [1, 1],
        3,
    )
    assert (told.stop_at_objective, told.stop_at_bound, told.start) == (None, None, None)
    assert 0.0 < told.time_limit <= 55.0
    assert told.progress is not None
    told.progress(Progress(1.0, 2.0, 3.0, 4, x=np.ones(2)))
    assert math.isnan(heard[0].objective)
    assert (math.isnan(heard[0].bound), heard[0].x, heard[0].nodes) == (True, None, 4)


def test_without_an_objective_it_can_only_be_infeasible() -> None:
    form, asked = Program(), Asked(Outcome("optimal", np.zeros(2), 0.0))
    form.variables("x", 2)
    session = Session(form.compile(), Options(), asked)
    assert told_apart(session, Outcome("unbounded", None, 0.0), Options(), 0.0).reason == "infeasible"
    assert not asked.heard
