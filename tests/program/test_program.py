"""Programs: compiling, restricting, refusing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oamip.errors import InputError
from oamip.options import Options
from oamip.program import Expression, LogSumExp, Perspective, Program, Rows, SumSquares, check, constant
from oamip.solving import solve


def test_compiled_columns_and_rows_stand_in_the_order_of_declaration() -> None:
    program = Program()
    x = program.variables("x", (2, 2), 0, 1)
    program.variables("unused", 3, domain="integer")
    y = program.variables("y", ())
    program.add("first", y + x[0, 0] <= 4)
    program.add("second", x.sum(axis=1) >= 1)
    program.maximize(x.sum() + 2 * y + 7)
    form = program.compile()
    assert form.A.toarray().tolist() == [[1, 0, 0, 0, 0, 0, 0, 1], [1, 1, 0, 0, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0, 0, 0]]
    assert form.integer.tolist() == [False] * 4 + [True] * 3 + [False]
    assert (form.sense, form.constant, form.cost.tolist()) == ("max", 7.0, [1, 1, 1, 1, 0, 0, 0, 2])
    assert [form.row_name(i) for i in range(3)] == ["first", "second[0]", "second[1]"]
    assert [form.column_name(j) for j in (1, 5, 7)] == ["x[0,1]", "unused[1]", "y"]


@given(st.integers(0, 10_000))
def test_restrict_keeps_the_feasible_set(seed: int) -> None:
    rng = np.random.default_rng(seed)
    plain, tight = Program(), Program()
    A = rng.integers(-2, 3, size=(6, 4)) * (rng.random((6, 4)) < 0.5)
    A[~A.any(axis=1), 0] = 1  # a row without variables is refused when violated, which is another test
    lower = np.where(rng.random(6) < 0.5, -np.inf, rng.integers(-8, 1, 6).astype(float))
    upper = np.where(rng.random(6) < 0.3, np.inf, rng.integers(0, 9, 6).astype(float))
    for program, how in ((plain, "add"), (tight, "restrict")):
        x = program.variables("x", 4, -2, 2)
        getattr(program, how)("rows", Rows(A @ x, lower.copy(), upper.copy()))
    before, after = plain.compile(), tight.compile()
    assert after.shape[0] <= before.shape[0]
    for point in rng.uniform(-2, 2, size=(200, 4)):
        assert check(before, point).accepted == check(after, point).accepted


@given(st.integers(0, 10_000))
def test_restrict_never_drops_a_row_that_binds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    program = Program()
    low, high = np.sort(rng.normal(size=(2, 5)), axis=0)
    x = program.variables("x", 5, low, high)
    expression = rng.normal(size=(8, 5)) @ x + rng.normal(size=8)
    _, highest = program.activity(expression)
    margin = np.where(rng.random(8) < 0.5, -1e-6, 1e-6)  # half of the rows cut the box off by this little
    program.restrict("rows", Rows(expression, np.full(8, -np.inf), highest + margin))
    kept = program.rows["rows"].expression if "rows" in program.rows else constant(np.zeros(0))
    np.testing.assert_array_equal(kept.constant, expression.constant[margin < 0])


def test_restrict_closes_bounds_that_cross_by_rounding_only() -> None:
    program = Program()
    x = program.variables("x", 2, 0.3, 1)
    program.restrict("near", 10 * x[0] <= 3 - 1e-12)
    program.restrict("far", x[1] <= 0.2)
    lower, upper = program.blocks["x"].lower, program.blocks["x"].upper
    assert lower[0] == upper[0] == pytest.approx(0.3)
    assert lower[1] > upper[1]


def test_binary_blocks_stay_within_zero_and_one() -> None:
    on = Program().variables("on", 3, [-4, 1, 0], [0, 7, 0.5], domain="binary")
    assert (on.lower.tolist(), on.upper.tolist()) == ([0, 1, 0], [0, 1, 0])


def test_bounds_of_integers_stand_at_integers() -> None:
    program = Program()
    n = program.variables(
        "n", 5, [-0.5, 0.2, 2 + 1e-11, -np.inf, 3], [2.5, 0.8, np.inf, 7 - 1e-11, 3], domain="integer"
    )
    assert n.lower.tolist() == [0, 1, 2, -np.inf, 3]
    assert n.upper.tolist() == [2, 0, np.inf, 7, 3]  # crossed where no integer lies between: infeasible, not misused
    program.restrict("cap", 2 * n[0] <= 3)
    assert n.upper[0] == 1


def test_a_row_with_an_infinite_side_holds_everywhere() -> None:
    program = Program()
    x, on = program.variables("x", 3, 0, 5), program.variables("on", 3, 1, domain="binary")
    program.add("capacity", x + 1 <= np.array([2, np.inf, 3]))
    program.indicator("when_on", on, x <= np.array([np.inf, 4, np.inf]))
    assert program.restrict("free", x.sum() >= -np.inf) == 0
    program.maximize(x.sum())
    assert program.compile().row_upper.tolist() == [1, np.inf, 2]
    for native in (True, False):
        assert solve(program, Options(native_atoms=native)).objective == pytest.approx(1 + 4 + 2)


def test_restrict_drops_what_the_bounds_say_and_tightens_by_lone_columns() -> None:
    program = Program()
    x = program.variables("x", 2, 0, 1)
    assert program.restrict("implied", x.sum() <= 2) == 0
    assert program.restrict("lone", -2 * x <= [-1.0, 5.0]) == 0
    assert program.blocks["x"].lower.tolist() == [0.5, 0.0]
    assert program.restrict("real", (x.sum() >= 1.2)) == 1
    with pytest.raises(InputError, match="without variables"):
        program.restrict("never", (0 * x).sum() >= 1)


@pytest.mark.parametrize(
    ("misuse", "message"),
    [
        (lambda p, x: p.variables("x", 2), "exist already"),
        (lambda p, x: p.variables("X"), "must match"),
        (lambda p, x: p.variables("y", 2, 1, 0), "exceeds its upper"),
        (lambda p, x: p.variables("y", 2, np.nan), "not a number"),
        (lambda p, x: (p.add("r", x <= 1), p.add("r", x <= 2)), "exist already"),
        (lambda p, x: p.add("r", Program().variables("x", 3) <= 1), "which are not those"),
        (lambda p, x: p.add("r", Program().variables("other", 2) <= 1), "which are not those"),
        (lambda p, x: p.minimize(x), "single number"),
        (lambda p, x: p.minimize(5), "the objective 5 is no expression"),
        (lambda p, x: p.maximize(_wrong(x, np.inf)), "'objective': a coefficient of 'x' is infinite"),
        (lambda p, x: p.minimize(np.array([np.nan, 1]) @ x), "'objective': a coefficient of 'x' is infinite or NaN"),
        (lambda p, x: p.minimize(Expression({}, np.array([np.inf]), ())), "'objective': a constant is infinite"),
        (lambda p, x: p.add("d", x), "'d': .* is no comparison"),
        (lambda p, x: p.add("d", True), "'d': True is no comparison"),
        (lambda p, x: p.restrict("d", x), "'d': .* is no comparison"),
        (lambda p, x: p.add("d", _wrong(x, np.inf) <= 1), "'d': a coefficient of 'x' is infinite"),
        (lambda p, x: p.restrict("d", _wrong(x, np.nan) <= 1), "'d': a coefficient of 'x' is infinite or NaN"),
        (lambda p, x: p.add("d", Rows(x, np.full(2, np.nan), np.ones(2))), "'d': a side is not a number"),
        (lambda p, x: p.variables("y", -1), "'y': the shape is -1"),
        (lambda p, x: p.variables("y", 2.5), "'y': the shape is 2.5"),
        (lambda p, x: p.variables("y", (2, -3)), r"'y': the shape is \(2, -3\)"),
        (lambda p, x: p.variables(3), "must match"),
        (lambda p, x: p.variables("y", 2, [0, 1, 2]), r"'y': bounds must be .* shape \(2,\)"),
        (lambda p, x: p.variables("y", 2, "low"), "'y': bounds must be numbers"),
        (lambda p, x: p.variables("y", 2, 0, x), "'y': bounds must be numbers"),
        (lambda p, x: p.variables("y", 2, lower=[0, np.inf]), "'y', entry 1: .* infinite on the wrong side"),
        (lambda p, x: p.variables("y", upper=-np.inf), "'y', entry 0: .* infinite on the wrong side"),
        (lambda p, x: p.variables("y", 2, 0, [1, np.nan]), "'y', entry 1: .* not a number"),
        (lambda p, x: p.epigraph("e", SumSquares, x.reshape(1, 2), x[:1]), r"'e': SumSquares is no .* SumSquares\(\)"),
        (lambda p, x: p.epigraph("e", "square", x.reshape(1, 2), x[:1]), "'e': 'square' is no convex function"),
        (lambda p, x: p.epigraph("e", SumSquares(), x.reshape(1, 2), 5), r"'e': 5 is no expression.* constant"),
        (lambda p, x: p.epigraph("e", Perspective(), x[:1].reshape(1, 1), x[:1]), "'e': perspective has 1 arguments"),
        (lambda p, x: p.epigraph("e", SumSquares(), _wrong(x, np.nan).reshape(1, 1), x[:1]), "'e': a coefficient"),
        (lambda p, x: p.epigraph("e", LogSumExp(), x, constant([0.0])), "want"),
    ],
)
def test_misuse_is_told(misuse: Callable[[Program, Any], object], message: str) -> None:
    program = Program()
    x = program.variables("x", 2)
    with pytest.raises(InputError, match=message):
        misuse(program, x)


def _wrong(x: Expression, value: float) -> Expression:
    """A matrix with one such entry, times x."""
    return np.array([[1.0, value]]) @ x


@pytest.mark.parametrize("domain", ["continuos", "bin", "int", "boolean"])
def test_unknown_domains_are_refused(domain: str) -> None:
    with pytest.raises(InputError, match="continuous, integer, binary"):
        Program().variables("x", 2, domain=domain)  # type: ignore[arg-type]
