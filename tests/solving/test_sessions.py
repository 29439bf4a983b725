"""A session keeps account of its form; hot ones are compared with cold ones by `oamip.testing` (tests/conformance)."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from oamip.options import Options
from oamip.program import Program, StandardForm
from oamip.solving import Outcome, Session
from oamip.solving.drivers.highs import HighsDriver


def form() -> StandardForm:
    program = Program()
    x = program.variables("x", 4, 0, 10, domain="integer")
    program.add("rows", np.arange(8).reshape(2, 4) @ x <= [20, 30])
    program.maximize(x.sum() + 3)
    return program.compile()


@pytest.fixture(params=["cold", "highs"])
def session(request: pytest.FixtureRequest) -> Session:
    if request.param == "highs":
        return HighsDriver().open(form(), Options())
    return Session(form(), Options(), lambda form, options: Outcome("error", None, 0.0))


def test_the_form_is_what_it_was_told_so_far(session: Session) -> None:
    at_first = session.form
    session.add_rows(sp.csr_array(np.ones((2, 4))), np.array([-1.0, -2.0]), np.array([1.0, 2.0]))
    session.add_rows(sp.csr_array(np.eye(4)[[2]]), np.array([-3.0]), np.array([3.0]))
    assert [session.form.row_name(i) for i in range(5)] == ["rows[0]", "rows[1]", "added[0]", "added[1]", "added[2]"]
    session.drop_rows(np.array([1, 0]))
    np.testing.assert_array_equal(session.form.A.toarray(), [[0, 1, 2, 3], [4, 5, 6, 7], [0, 0, 1, 0]])
    assert session.form.row_upper.tolist() == [20, 30, 3]
    session.set_bounds(np.array([3, 0]), np.array([1.0, 2.0]), np.array([4.0, 5.0]))
    session.set_integer(np.arange(4) < 2)
    session.set_objective(np.arange(4.0), -1.0)
    now = session.form
    assert (now.column_lower.tolist(), now.column_upper.tolist()) == ([2, 0, 0, 1], [5, 10, 10, 4])
    assert (now.integer.tolist(), now.cost.tolist(), now.constant) == ([True, True, False, False], [0, 1, 2, 3], -1.0)
    session.drop_rows(np.array([0]))
    assert [span.name for span in session.form.rows] == ["rows"]
    assert at_first.shape == (2, 4)  # forms are values: nothing changed this one
    assert at_first.cost.tolist() == [1, 1, 1, 1]


def test_changes_of_options_hold_for_one_solve() -> None:
    seen: list[Options] = []

    def run(form: StandardForm, options: Options) -> Outcome:
        seen.append(options)
        return Outcome("error", None, 0.0)

    with Session(form(), Options(seed=5), run) as session:
        session.solve(time_limit=3.0)
        session.set_start(np.ones(4))
        session.solve()
    assert [options.time_limit for options in seen] == [3.0, np.inf]
    assert seen[0].start is None
    assert seen[1].start is not None
    assert {options.seed for options in seen} == {5}


def test_a_session_that_cannot_solve_says_which_it_is() -> None:
    with Session(form(), Options()) as session, pytest.raises(NotImplementedError, match="Session overrides neither"):
        session.solve()
