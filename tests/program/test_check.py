"""The checker accepts what holds and names what does not."""

from __future__ import annotations

import numpy as np
import pytest

from oamip.program import LogSumExp, Program, StandardForm, check


@pytest.fixture
def form() -> StandardForm:
    program = Program()
    x = program.variables("x", 2, 0, 10)
    n = program.variables("n", 1, 0, 3, domain="integer")
    t = program.variables("t", 1)
    program.add("sum", x.sum() + n.sum() <= 12)
    program.epigraph("soft", LogSumExp(), x.reshape(1, 2), t)
    return program.compile()


def test_a_feasible_point_is_accepted(form: StandardForm) -> None:
    verdict = check(form, np.array([1.0, 2.0, 3.0, 2.4]))
    assert verdict.accepted
    assert verdict.worst == ""


@pytest.mark.parametrize(
    ("point", "worst"),
    [
        ([9.0, 3.0, 1.0, 20.0], "row sum"),
        ([1.0, 11.0, 0.0, 20.0], "column x[1]"),
        ([1.0, 1.0, 0.5, 20.0], "integer n[0]"),
        ([1.0, 1.0, 0.0, 1.6], "epigraph soft[0]"),
        ([np.nan, 1.0, 0.0, 2.0], "a value that is not finite"),
        ([1.0, 1.0], "the shape of the point, (2,) for 4 columns,"),
    ],
)
def test_each_kind_of_violation_is_refused_by_name(form: StandardForm, point: list[float], worst: str) -> None:
    verdict = check(form, np.array(point))
    assert not verdict.accepted
    assert verdict.worst == worst


def test_tolerance_grows_with_the_size_of_a_rows_terms() -> None:
    program = Program()
    x = program.variables("x", 2, -1e9, 1e9)
    program.add("balance", x[0] - x[1] == 0)
    form = program.compile()
    assert check(form, np.array([1e8, 1e8 + 1.0])).accepted
    assert not check(form, np.array([1.0, 1.0 + 1e-4])).accepted


def test_the_worst_of_several_violations_is_named(form: StandardForm) -> None:
    assert check(form, np.array([-0.5, 11.0, 2.7, 20.0])).worst == "column x[0]"
    verdict = check(form, np.array([-1e-7, 0.0, 0.0, 0.7]))
    assert verdict.accepted
    assert verdict.worst == "column x[0]"


def test_integrality_has_a_tolerance_of_its_own(form: StandardForm) -> None:
    point = np.array([1.0, 2.0, 1.0 + 1e-5, 2.4])
    assert not check(form, point).accepted
    assert check(form, point, integrality=1e-4).accepted
