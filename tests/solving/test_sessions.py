"""A hot session says what a cold one says."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from oamip.options import Options
from oamip.program import Program, StandardForm
from oamip.solving import Outcome, Session
from oamip.solving.drivers.highs import HighsDriver


def random_form(seed: int, *, integer: bool) -> StandardForm:
    rng = np.random.default_rng(seed)
    program = Program()
    x = program.variables("x", 8, 0, 10, domain="integer" if integer else "continuous")
    program.add("rows", rng.integers(0, 9, (5, 8)) @ x <= rng.integers(20, 60, 5))
    program.maximize((x * rng.integers(1, 9, 8)).sum() + 3)
    return program.compile()


def cold(form: StandardForm, options: Options) -> Outcome:
    with HighsDriver().open(form, options) as session:
        return session.solve()


@pytest.mark.parametrize("integer", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_hot_equals_cold_through_every_change(seed: int, integer: bool) -> None:
    form, rng = random_form(seed, integer=integer), np.random.default_rng(seed)
    with HighsDriver().open(form, Options()) as hot, Session(form, Options(), cold) as again:

        def agree() -> None:
            ours, theirs = hot.solve(), again.solve()
            assert ours.reason == theirs.reason == "optimal"
            assert ours.x is not None
            assert again.form.objective(ours.x) == pytest.approx(theirs.bound, abs=1e-5)  # integers may be off by 1e-6

        def both(change: str, *arguments: object) -> None:
            for session in (hot, again):
                getattr(session, change)(*arguments)
            agree()

        agree()
        both("add_rows", sp.csr_array(rng.random((3, 8))), np.full(3, -np.inf), np.array([3.0, 2.0, 4.0]))
        both("add_rows", sp.csr_array(np.ones((1, 8))), np.array([0.5]), np.array([2.5]))
        both("drop_rows", np.array([1, 0]))
        both("set_bounds", np.array([2, 5]), np.array([0.0, 0.0]), np.array([0.0, 1.0]))
        both("set_objective", rng.normal(size=8), -1.0)
        both("set_integer", np.arange(8) < 4)
        both("set_start", np.zeros(8))
        assert (hot.form.A != again.form.A).nnz == 0
        assert hot.form.shape == (7, 8)
        assert [span.name for span in hot.form.rows] == ["rows", "added"]


def test_changes_of_options_hold_for_one_solve() -> None:
    seen: list[Options] = []

    def run(form: StandardForm, options: Options) -> Outcome:
        seen.append(options)
        return Outcome("error", None, 0.0)

    with Session(random_form(0, integer=True), Options(seed=5), run) as session:
        session.solve(time_limit=3.0)
        session.set_start(np.ones(8))
        session.solve()
    assert [options.time_limit for options in seen] == [3.0, np.inf]
    assert seen[0].start is None
    assert seen[1].start is not None
    assert {options.seed for options in seen} == {5}
