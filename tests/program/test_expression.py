"""Expressions against dense arithmetic on random points."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from oamip.errors import InputError
from oamip.program import Expression, Program, concatenate, constant

seeds = st.integers(0, 10_000)


class Twin:
    """An expression with the dense array that it must equal at one point."""

    def __init__(self, expression: Expression, dense: np.ndarray, point: dict[str, np.ndarray]) -> None:
        self.expression, self.dense, self.point = expression, dense, point

    def agrees(self, expression: Expression, dense: np.ndarray) -> None:
        assert expression.shape == np.shape(dense)
        np.testing.assert_allclose(expression.value(self.point), dense, rtol=1e-10, atol=1e-10)


def twin(seed: int, shape: tuple[int, ...] = (3, 4)) -> tuple[Twin, np.random.Generator]:
    rng = np.random.default_rng(seed)
    program = Program()
    x, y = program.variables("x", shape), program.variables("y", shape)
    point = {"x": rng.normal(size=shape), "y": rng.normal(size=shape)}
    factor, shift = rng.normal(size=shape), rng.normal(size=shape)
    return Twin(x * factor + y - shift, point["x"] * factor + point["y"] - shift, point), rng


@given(seeds)
def test_arithmetic_is_that_of_arrays(seed: int) -> None:
    it, rng = twin(seed)
    array, row = rng.normal(size=(3, 4)), rng.normal(size=4)
    it.agrees(-it.expression, -it.dense)
    it.agrees(array - it.expression, array - it.dense)
    it.agrees(it.expression + row, it.dense + row)
    it.agrees(row * it.expression / 3.0, row * it.dense / 3.0)
    it.agrees(it.expression + it.expression[0], it.dense + it.dense[0])


@given(seeds)
def test_rearranging_is_that_of_arrays(seed: int) -> None:
    it, rng = twin(seed)
    it.agrees(it.expression[1:, ::2], it.dense[1:, ::2])
    it.agrees(it.expression.reshape(2, -1), it.dense.reshape(2, -1))
    it.agrees(it.expression.sum(), it.dense.sum())
    it.agrees(it.expression.sum(axis=0), it.dense.sum(axis=0))
    it.agrees(it.expression.mean(axis=-1), it.dense.mean(axis=-1))
    it.agrees(it.expression.T, it.dense.T)
    cube, dense = it.expression.reshape(3, 2, 2), it.dense.reshape(3, 2, 2)
    it.agrees(cube.T, dense.T)
    for axes in ((0, 2), (-1, 0), (2, 1, 0), ()):
        it.agrees(cube.sum(axis=axes), dense.sum(axis=axes))
        it.agrees(cube.mean(axis=axes), dense.mean(axis=axes))
    it.agrees(np.sum(cube, axis=1), dense.sum(axis=1))
    it.agrees(np.mean(cube), dense.mean())
    assert len(cube) == 3
    for part, numbers in zip(it.expression, it.dense, strict=True):
        it.agrees(part, numbers)
    matrix = rng.normal(size=(5, 12))
    it.agrees(matrix @ it.expression.reshape(-1), matrix @ it.dense.ravel())
    flat = concatenate([it.expression, it.expression[0]])
    it.agrees(flat, np.concatenate([it.dense.ravel(), it.dense[0]]))


@given(seeds)
def test_absent_positions_are_the_constant_zero(seed: int) -> None:
    it, rng = twin(seed)
    positions = rng.integers(-1, 12, size=6)
    it.agrees(it.expression.take(positions), np.where(positions < 0, 0.0, it.dense.ravel()[positions]))


@given(seeds)
def test_stretching_repeats_entries(seed: int) -> None:
    it, rng = twin(seed, (3, 1))
    array = rng.normal(size=(2, 3, 4))
    it.agrees(it.expression * array, it.dense * array)
    it.agrees(array - it.expression, array - it.dense)
    it.agrees(it.expression + it.expression.reshape(3), it.dense + it.dense.reshape(3))


@given(seeds)
def test_scalars_go_with_every_shape(seed: int) -> None:
    it, _ = twin(seed, ())
    it.agrees(2 * it.expression + np.arange(6.0).reshape(2, 3), 2 * it.dense + np.arange(6.0).reshape(2, 3))
    it.agrees(it.expression.sum() - it.expression.mean(), np.zeros(()))


@given(seeds)
def test_comparisons_hold_where_those_of_arrays_do(seed: int) -> None:
    it, rng = twin(seed)
    other = it.dense + rng.integers(-1, 2, size=(3, 4)) * (rng.random((3, 4)) < 0.7)
    for rows, truth in (
        (it.expression <= other, it.dense <= other),
        (it.expression >= other, it.dense >= other),
        (other >= it.expression, it.dense <= other),
        (it.expression == other, it.dense == other),
    ):
        value = rows.expression.value(it.point).ravel()
        held = (value >= rows.lower - 1e-9) & (value <= rows.upper + 1e-9)
        np.testing.assert_array_equal(held.reshape(3, 4), truth)


def test_comparisons_make_rows_with_the_constant_inside() -> None:
    x = Program().variables("x", 2)
    rows = 2 * x + 1 <= [3.0, 5.0]
    assert rows.lower.tolist() == [-np.inf, -np.inf]
    assert rows.upper.tolist() == [0.0, 0.0]
    assert rows.expression.constant.tolist() == [-2.0, -4.0]
    assert (x == 1).lower.tolist() == [0.0, 0.0]


def test_misuse_is_told() -> None:
    x = Program().variables("x", (2, 3))
    with pytest.raises(InputError, match="product of two expressions"):
        x * x
    with pytest.raises(InputError, match=r"shapes \(2, 3\) and \(4,\)"):
        x + constant(np.zeros(4))


def test_comparisons_that_python_would_half_forget_are_refused() -> None:
    """``0 <= x <= 1`` and ``a and b`` keep only one of two comparisons unless a truth value is refused."""
    x = Program().variables("x", 2)
    with pytest.raises(InputError, match="no truth value"):
        0 <= x <= 1  # noqa: B015
    with pytest.raises(InputError, match="no truth value"):
        bool((x >= 0) and (x <= 1))
    with pytest.raises(InputError, match="binary variable"):
        x != 1  # noqa: B015
    with pytest.raises(InputError, match="NaN"):
        x <= float("nan")  # noqa: B015


def test_products_with_vectors_and_matrices_from_both_sides() -> None:
    x = Program().variables("x", 3)
    point = {"x": np.array([1.0, 2.0, 3.0])}
    weights, matrix = np.array([4.0, 5.0, 6.0]), np.arange(6.0).reshape(3, 2)
    assert (weights @ x).shape == (x @ weights).shape == ()
    assert (weights @ x).value(point) == (x @ weights).value(point) == 32
    np.testing.assert_allclose((x @ matrix).value(point), point["x"] @ matrix)
    for form in (sp.csr_array, sp.csc_array, sp.csr_matrix):  # scipy asks numpy what the right side is
        np.testing.assert_allclose((form(matrix.T) @ x).value(point), matrix.T @ point["x"])
    with pytest.raises(InputError, match="does not act on"):
        np.ones((2, 4)) @ x
    with pytest.raises(InputError, match="not affine"):
        x @ x


def test_an_infinite_side_is_a_free_one() -> None:
    x = Program().variables("x", 3)
    capacity = np.array([1.0, np.inf, 2.0])
    for rows in (2 * x + 1 <= capacity, capacity >= 2 * x + 1):
        assert rows.lower.tolist() == [-np.inf] * 3
        assert (rows.upper - rows.expression.constant).tolist() == [0, np.inf, 1]
    rows = x[0] - 4 >= -capacity
    assert (rows.lower - rows.expression.constant).tolist() == [3, -np.inf, 2]
    assert rows.upper.tolist() == [np.inf] * 3


@pytest.mark.parametrize(
    ("misuse", "message"),
    [
        (lambda x: x == np.inf, "nothing reaches"),
        (lambda x: x <= -np.inf, "nothing reaches"),
        (lambda x: x >= [0, np.inf], "nothing reaches"),
        (lambda x: x <= [1, np.nan], "NaN"),
        (lambda x: x <= "a lot", "'a lot' stands where a number"),
        (lambda x: x * np.nan, "infinite or NaN"),
        (lambda x: np.array([1, np.inf]) * x, "infinite or NaN"),
        (lambda x: x + np.inf, "infinite or NaN"),
        (lambda x: np.nan - x, "infinite or NaN"),
        (lambda x: x / 0, "divided by 0"),
        (lambda x: x / x, "x.value"),
        (lambda x: x * np.ones(3), r"\(3,\) do not go with"),
        (lambda x: x - [x[0], x[1]], "x.value"),
        (lambda x: np.asarray(x, dtype=float), "x.value"),
        (lambda x: np.dot(np.ones(2), x), "numpy.dot .* a @ x"),
        (lambda x: np.concatenate([x, x]), "oamip.program.concatenate"),
        (lambda x: x.sum(axis=1), "no axis 1"),
        (lambda x: x.sum(axis=(0, 0)), "told twice"),
        (lambda x: len(x[0]), "no length"),
        (lambda x: list(x[0]), "cannot be gone through"),
        (lambda x: bool(x), "no truth value"),
    ],
)
def test_what_expressions_cannot_do_is_told(misuse: Callable[[Expression], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        misuse(Program().variables("x", 2))
