"""Logical atoms: what is declared is what is compiled and checked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from oamip.errors import InputError
from oamip.program import Perspective, Program, check


def fixed_charge() -> Program:
    program = Program("fixed charge")
    opened = program.variables("opened", 3, domain="binary")
    flow = program.variables("flow", 3, 0, 8)
    free = program.variables("free", (2, 2))
    program.indicator("closed", opened, flow + 1 <= 1, on=False)
    program.indicator("busy", opened[:2], flow[:2] - free[0] >= [2, 3], activity=(-5, 20))
    program.sos1("one", free)
    program.minimize(flow.sum())
    return program


def test_indicators_compile_to_switches_rows_and_the_bounds_of_their_activity() -> None:
    closed, busy = fixed_charge().compile().indicators
    assert closed.switch.tolist() == [0, 1, 2]
    assert not closed.on.any()
    np.testing.assert_array_equal(closed.R.toarray()[:, 3:6], np.eye(3))
    assert (closed.lowest.max(), closed.highest.min()) == (-np.inf, np.inf)
    assert (closed.lower.max(), closed.upper.max()) == (-np.inf, 0)
    assert (busy.lowest.tolist(), busy.highest.tolist()) == ([-5, -5], [20, 20])
    assert busy.lower.tolist() == [2, 3]


def test_what_is_known_of_the_activity_and_the_bounds_as_they_are_now_are_joined() -> None:
    program = Program()
    on, x = program.variables("on", 2, domain="binary"), program.variables("x", 2, [0, -1], [4, 9])
    program.indicator("cap", on, x <= 1, activity=([-3, -3], [2, 20]))
    form = program.compile()
    (cap,) = form.indicators
    low, high = cap.reach(form.column_lower, form.column_upper)
    assert (low.tolist(), high.tolist()) == ([0, -1], [2, 9])
    wider = cap.reach(form.column_lower, np.full(4, 50.0))  # a user of a language may widen a variable
    assert (wider[0].tolist(), wider[1].tolist()) == ([0, -1], [2, 20])


def test_users_columns_behind_ours_have_no_part_in_the_atoms() -> None:
    program = fixed_charge()
    width = program.compile().shape[1]
    atoms = program.atoms(width + 5)
    assert {i.R.shape[1] for i in atoms["indicators"]} == {width + 5}
    np.testing.assert_array_equal(atoms["sos1"][0].members, program.compile().sos1[0].members)


@pytest.mark.parametrize(
    ("place", "value", "worst"),
    [(4, 1.0, "indicator closed[1]"), (0, 1.0, "indicator busy[0]"), (7, 2.0, "SOS1 set one[0]")],
)
def test_the_checker_names_the_atom_that_is_violated(place: int, value: float, worst: str) -> None:
    form = fixed_charge().compile()
    point = np.zeros(form.shape[1])
    point[6] = 1.0
    assert check(form, point).accepted
    point[place] = value
    verdict = check(form, point)
    assert verdict.worst == worst
    assert verdict.logic > 0.1
    assert not verdict.accepted


def test_switched_rows_may_miss_by_rounding_only() -> None:
    form = fixed_charge().compile()
    point = np.zeros(form.shape[1])
    point[3] = 5e-7
    assert check(form, point).accepted
    point[3] = 5e-6
    assert not check(form, point).accepted


def test_wrong_atoms_are_refused_by_name() -> None:
    program = fixed_charge()
    opened, flow = program.blocks["opened"], program.blocks["flow"]
    with pytest.raises(InputError, match=r"'flow' are not binary"):
        program.indicator("wrong", flow, flow <= 1)
    with pytest.raises(InputError, match="entry 0 is an expression"):
        program.indicator("wrong", 1 - opened, flow <= 1)
    with pytest.raises(InputError, match="2 switches for 3 rows"):
        program.indicator("wrong", opened[:2], flow <= 1)
    with pytest.raises(InputError, match=r"shape \(3,\); want \(sets, members of each\)"):
        program.sos1("wrong", flow)
    with pytest.raises(InputError, match="entry 1 is an expression"):
        program.sos1("wrong", (flow * np.array([1.0, 2.0, 1.0])).reshape(1, 3))
    with pytest.raises(InputError, match="'one' exist already"):
        program.sos1("one", flow.reshape(1, 3))
    with pytest.raises(InputError, match="'closed' exist already"):
        program.indicator("closed", opened, flow <= 1)
    with pytest.raises(InputError, match="set 1 has one variable twice"):
        program.sos1("wrong", flow[np.array([[0, 1], [2, 2]])])
    with pytest.raises(InputError, match=r"'wrong': .* is no comparison"):
        program.indicator("wrong", opened, flow)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="'wrong': True is no expression"):
        program.indicator("wrong", True, flow <= 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("on", [2, 0.5, "off", None, [1, 0], [True, False, 2]])
def test_a_switch_is_on_at_nothing_but_0_and_1(on: Any) -> None:
    program = fixed_charge()
    with pytest.raises(InputError, match=r"'wrong': on is .* must be True or False"):
        program.indicator("wrong", program.blocks["opened"], program.blocks["flow"] <= 1, on=on)
    program.indicator("right", program.blocks["opened"], program.blocks["flow"] <= 1, on=np.array([1.0, 0, 1]))
    assert program.indicators["right"].on.tolist() == [True, False, True]


@pytest.mark.parametrize(
    "activity", [(np.nan, np.nan), (5, 1), (0, [1, 2, -1]), (np.inf, np.inf), (0, [1, 2]), 5, (1,)]
)
def test_an_activity_that_is_no_interval_is_refused(activity: Any) -> None:
    program = fixed_charge()
    with pytest.raises(InputError, match=r"'wrong'.*activity"):
        program.indicator("wrong", program.blocks["opened"], program.blocks["flow"] <= 1, activity=activity)


def random_points(rng: np.random.Generator, count: int) -> np.ndarray:
    """Points of all sizes, at y = 0 and at w = 0 too, where a perspective of steepness 50 is defined and where not."""
    u = rng.normal(size=(count, 4)) * 10.0 ** rng.uniform(-6, 3, size=(count, 1))
    u[:, -1] = np.abs(u[:, -1]) * 10.0 ** rng.uniform(-9, 1, size=count)
    u[::7, -1] = 0.0
    u[::11, :-1] = 0.0
    u[::13] *= -1.0
    return u


def test_the_perspective_lies_above_all_its_tangents_where_it_is_defined() -> None:
    function, rng = Perspective(steepest=50.0), np.random.default_rng(0)
    u, v = function.nearest(random_points(rng, 3000)), function.nearest(random_points(rng, 3000))
    tangent = function.value(v) + (function.gradient(v) * (u - v)).sum(axis=1)
    size = np.abs(function.gradient(v) * u).sum(axis=1) + np.abs(function.gradient(v) * v).sum(axis=1)
    assert (tangent - function.value(u) <= 1e-12 * np.maximum(size, 1.0)).all()


def test_the_perspective_is_the_quotient_where_it_is_defined_and_nearest_is_there() -> None:
    function, rng = Perspective(steepest=50.0), np.random.default_rng(1)
    u = random_points(rng, 3000)
    near, D = function.nearest(u), function.domain(4)
    inside = (u @ D.T <= 0).all(axis=1)
    assert 100 < inside.sum() < 2900
    np.testing.assert_array_equal(near[inside], u[inside])
    assert (near @ D.T <= 1e-12 * np.abs(near).max(axis=1, keepdims=True)).all()
    length, y = np.linalg.norm(near[:, :-1], axis=1), near[:, -1]
    true = np.where(y == 0, 0.0, length**2 / np.where(y == 0, 1.0, y))
    np.testing.assert_allclose(function.value(u), true, rtol=1e-12)


def test_a_perspective_brings_the_rows_that_say_where_it_is_defined() -> None:
    program = Program()
    w, y, t = program.variables("w", 2, -9, 9), program.variables("y", 1, 0, 1), program.variables("t", 1)
    argument = np.array([[1.0, 0], [0, 1], [0, 0]]) @ w + np.array([[0.0], [0], [1]]) @ y
    program.epigraph("square", Perspective(steepest=3.0), argument.reshape(1, 3), t)
    form = program.compile()
    assert form.row_name(0) == "square_domain[0]"
    for point, inside in (([2.9, -3, 1, 99], True), ([3.1, 0, 1, 99], False), ([0, -0.1, 0, 99], False)):
        assert check(form, np.array(point, dtype=float)).accepted == inside


def test_the_gradient_of_the_perspective_is_that_of_differences() -> None:
    function, rng = Perspective(), np.random.default_rng(2)
    u, step = rng.uniform(0.5, 2.0, size=(50, 4)), 1e-6
    for j in range(4):
        shift = step * np.eye(4)[j]
        slope = (function.value(u + shift) - function.value(u - shift)) / (2 * step)
        np.testing.assert_allclose(function.gradient(u)[:, j], slope, rtol=1e-6)
