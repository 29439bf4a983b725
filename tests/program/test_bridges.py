"""Bridges keep the feasible set: what a point does in the original it does, suitably extended, in the lowered form."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from oamip.errors import InputError
from oamip.options import Options
from oamip.program import LogSumExp, Program, StandardForm, check
from oamip.program.bridges import lower, settle
from oamip.solving import solve
from oamip.solving.drivers.highs import HighsDriver
from oamip.solving.route import route

NOTHING: frozenset[str] = frozenset()


def random_logic(seed: int, *, bounded: bool = True) -> Program:
    """Switched rows of every kind on integers in a small box, so that all points can be listed."""
    rng = np.random.default_rng(seed)
    program = Program("logic")
    z = program.variables("z", 3, domain="binary")
    x = program.variables("x", 3, *((-1, 2) if bounded else (-np.inf, np.inf)), domain="integer")
    weights = rng.integers(-2, 3, (3, 3)).astype(float)
    on = rng.random(3) < 0.5
    left, right = rng.integers(-2, 1, 3), rng.integers(0, 3, 3)
    kind = seed % 4
    rows = weights @ x
    switched = [rows <= right, rows >= left, rows == right, rows + z[0] <= right][kind]
    program.indicator("switched", z, switched, on=on)
    program.sos1("one", x.reshape(1, 3) if seed % 2 else x[:2].reshape(1, 2))
    program.maximize((x * rng.normal(size=3)).sum() + (z * rng.normal(size=3)).sum())
    return program


def feasible(form: StandardForm, point: np.ndarray) -> bool:
    """Whether the columns that a lowered form has besides can be chosen."""
    fixed = settle_first(form, point)
    with HighsDriver().open(fixed, Options()) as session:
        return session.solve().reason == "optimal"


def settle_first(form: StandardForm, point: np.ndarray) -> StandardForm:
    low, high = form.column_lower.copy(), form.column_upper.copy()
    low[: point.size] = high[: point.size] = point
    return replace(form, column_lower=low, column_upper=high, cost=np.zeros_like(form.cost))


@pytest.mark.parametrize("seed", range(8))
def test_big_m_allows_what_the_logic_allows_and_nothing_else(seed: int) -> None:
    form = random_logic(seed).compile()
    lowered = lower(form, NOTHING)
    assert not lowered.form.kinds
    allowed = 0
    for point in product(*([[0, 1]] * 3 + [[-1, 0, 2]] * 3)):
        x = np.array(point, dtype=float)
        if (point[0], point[3]) == (1, 2):
            continue  # half of the points are enough
        accepted = check(form, x).accepted
        allowed += accepted
        assert feasible(lowered.form, x) == accepted, point
    assert allowed > 3


def test_big_m_is_as_small_as_the_activity_that_was_given() -> None:
    program = Program()
    z, x = program.variables("z", 2, domain="binary"), program.variables("x", 2, 0, 100)
    program.indicator("off", z, x <= 1, on=[True, False], activity=(0, [7, 9]))
    form = lower(program.compile(), NOTHING).form
    np.testing.assert_array_equal(form.A.toarray(), [[6, 0, 1, 0], [0, -8, 0, 1]])
    np.testing.assert_array_equal(form.row_upper, [7, 1])


def test_sides_that_always_hold_make_no_rows_and_binaries_serve_themselves() -> None:
    program = Program()
    z = program.variables("z", 4, domain="binary")
    x = program.variables("x", 4, 0, 3)
    program.indicator("idle", z, x <= 3)
    program.sos1("one", z.reshape(2, 2))
    lowered = lower(program.compile(), NOTHING)
    assert [str(step) for step in lowered.steps] == [
        "indicator 'idle' (4 rows): big-M",
        "sos1 'one' (2 rows): big-M with a binary each, +2 rows",
    ]
    assert lowered.form.shape == (2, 8)


def test_without_bounds_each_kind_of_logic_goes_through_the_other() -> None:
    form = random_logic(1, bounded=False).compile()
    through_sets = lower(form, frozenset({"sos1"}))
    assert [step.way for step in through_sets.steps] == ["slack in a SOS1 set with the switch", "native"]
    assert through_sets.form.kinds == {"sos1"}
    through_indicators = lower(replace_indicators(form), frozenset({"indicator"}))
    assert [step.way for step in through_indicators.steps] == ["indicators with a binary each"]
    assert through_indicators.form.kinds == {"indicator"}


def replace_indicators(form: StandardForm) -> StandardForm:
    return replace(form, indicators=())


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("accepts", ["sos1", "indicator"])
def test_bridges_into_other_logic_allow_the_same_points(seed: int, accepts: str) -> None:
    form = random_logic(seed).compile()
    stripped = _without_activity(form) if accepts == "sos1" else form
    lowered = lower(stripped, frozenset({accepts})).form
    assert lowered.kinds <= {accepts}
    again = lower(_bounded(lowered), NOTHING).form  # by then only big-M, tested above, is needed to decide
    for point in product(*([[0, 1]] * 3 + [[-1, 0, 2]] * 3)):
        x = np.array(point, dtype=float)
        assert feasible(again, x) == check(form, x).accepted, point


def _without_activity(form: StandardForm) -> StandardForm:
    (indicator,) = form.indicators
    endless = np.full(indicator.rows, np.inf)
    return replace(form, indicators=(replace(indicator, lowest=-endless, highest=endless),))


def _bounded(form: StandardForm) -> StandardForm:
    return replace(form, column_upper=np.minimum(form.column_upper, 100.0))


def test_what_cannot_be_bridged_is_refused_with_the_way_out() -> None:
    form = random_logic(0, bounded=False).compile()
    with pytest.raises(InputError, match=r"indicator 'switched' cannot be passed .*big-M: row \d has no finite bounds"):
        lower(form, NOTHING)
    with pytest.raises(InputError, match=r"column x\[0\] has no finite bounds.*bound the variables"):
        lower(replace_indicators(form), NOTHING)


def test_native_atoms_and_epigraphs_pass_untouched() -> None:
    program = random_logic(2)
    t = program.variables("t", 1)
    program.epigraph("soft", LogSumExp(), program.blocks["x"].reshape(1, 3), t)
    form = program.compile()
    lowered = lower(form, frozenset({"indicator", "sos1", "log_sum_exp"}))
    assert {step.way for step in lowered.steps} == {"native"}
    assert lowered.form.shape == form.shape
    assert lower(form, NOTHING).steps[-1].way == "tangent cuts"
    assert lower(form, NOTHING).form.epigraphs[0].B.shape[1] == lower(form, NOTHING).form.shape[1]


@pytest.mark.parametrize("seed", range(4))
def test_settled_forms_hold_the_logic_by_rows_and_bounds_alone(seed: int) -> None:
    form, rng = random_logic(seed).compile(), np.random.default_rng(seed)
    met = 0
    for _ in range(200):
        x = np.concatenate([rng.integers(0, 2, 3), rng.integers(-1, 3, 3) * (rng.random(3) < 0.5)]).astype(float)
        settled = settle(form, x)
        assert not settled.kinds
        assert not settled.integer.any()
        assert check(settled, x).accepted == check(form, x).accepted
        met += check(form, x).accepted
    assert met > 10


def test_only_binary_members_of_a_set_serve_themselves() -> None:
    program = Program()
    n = program.variables("n", 2, -3, 1, domain="integer")
    program.sos1("one", n.reshape(1, 2))
    program.maximize(-1 * n.sum())
    assert solve(program).objective == 3.0
    program = Program()
    share, least = program.variables("share", 2, 0, 1), program.variables("least", ())
    program.sos1("one", share.reshape(1, 2))
    program.add("both", least - share <= 0)
    program.maximize(least)
    assert solve(program).objective == pytest.approx(0.0, abs=1e-9)


def test_a_side_that_can_be_missed_by_little_needs_its_row_all_the_same() -> None:
    program = Program()
    z, x = program.variables("z", 1, domain="binary"), program.variables("x", 1, 0, 1.0005)
    program.indicator("cap", z, x <= 1)
    assert lower(program.compile(), NOTHING).form.shape[0] == 1


def test_slacks_have_no_end_and_settled_integers_are_the_nearest() -> None:
    form = random_logic(1, bounded=False).compile()
    lowered = lower(form, frozenset({"sos1"})).form
    slack = next(span for span in lowered.columns if span.name == "switched_slack")
    assert np.isinf(lowered.column_upper[slack.slice]).all()
    point = np.full(form.shape[1], 0.9999999)
    assert (settle(form, point).column_upper[:3] == 1.0).all()


def test_what_bridges_added_is_gone_from_every_point() -> None:
    program = random_logic(3)
    routed = route(program.compile(), HighsDriver(), Options())
    assert routed.outcome.x is not None
    assert {x.shape for x in (routed.outcome.x, *routed.outcome.points)} == {(6,)}
