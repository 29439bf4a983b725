"""Random programs, and forms up to the order of their rows, for all languages alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from oamip.program import Program, Rows, StandardForm, constant

DOMAINS = ("continuous", "integer", "binary")
SHAPES = ((), (3,), (2, 2), (1, 2, 2), (0,))


def random_program(seed: int) -> Program:
    """Blocks of every shape and domain, rows of every kind, columns and rows in which nothing stands."""
    rng = np.random.default_rng(seed)
    program = Program("random")
    total = constant(np.float64(rng.normal()))
    for number in range(rng.integers(1, 5)):
        shape = SHAPES[rng.integers(len(SHAPES))]
        lower = np.where(rng.random(shape) < 0.3, -np.inf, rng.integers(-3, 1, shape))
        upper = np.where(rng.random(shape) < 0.3, np.inf, rng.integers(1, 4, shape))
        block = program.variables(f"x{number}", shape, lower, upper, domain=DOMAINS[rng.integers(3)])
        if rng.random() < 0.7:
            total = total + (block * rng.normal(size=shape)).sum()
    (program.minimize if rng.random() < 0.5 else program.maximize)(total)
    for number, shape in enumerate([(4,), (), (2, 3)]):
        program.add(f"row{number}", random_rows(program, rng, shape))
    for number, size in enumerate(rng.integers(2, 4, size=rng.integers(3))):
        add_random_sets(program, rng, f"set{number}", int(size))
    return program


def random_rows(program: Program, rng: np.random.Generator, shape: tuple[int, ...]) -> Rows:
    """Equalities, ranges, one-sided and free rows; about a third of them without variables, which hold."""
    size = int(np.prod(shape))
    expression = constant(rng.normal(size=size))
    for block in program.blocks.values():
        density = rng.choice([0.0, 0.6])
        expression = expression + sp.random_array((size, block.size), density=density, rng=rng) @ block.reshape(-1)
    lower, upper = expression.constant - rng.random(size), expression.constant + rng.random(size)
    kind = rng.integers(4, size=size)
    lower = np.where((kind == 0) | (kind == 3), -np.inf, lower)
    upper = np.where((kind == 1) | (kind == 3), np.inf, upper)
    equal = rng.random(size) < 0.2
    lower, upper = np.where(equal, expression.constant, lower), np.where(equal, expression.constant, upper)
    return Rows(expression.reshape(*shape), lower, upper)


def add_random_sets(program: Program, rng: np.random.Generator, name: str, size: int) -> None:
    """One to three SOS1 sets of ``size`` variables each, in any order, where a block has as many."""
    for block in program.blocks.values():
        if block.size >= size:
            members = [rng.permutation(block.size)[:size] for _ in range(rng.integers(1, 4))]
            program.sos1(name, block.reshape(-1)[np.stack(members)])
            return


@dataclass(frozen=True)
class Sorted:
    """The rows of a form in an order that depends on their contents alone."""

    rows: np.ndarray

    @classmethod
    def of(cls, form: StandardForm) -> Sorted:
        table = np.column_stack([form.A.toarray(), form.row_lower, form.row_upper])
        return cls(table[np.lexsort(np.round(table, 9).T)])


def assert_same_form(through: StandardForm, plain: StandardForm) -> None:
    """Two forms are the same up to rounding and to the order of rows."""
    np.testing.assert_array_equal(through.column_lower, plain.column_lower)
    np.testing.assert_array_equal(through.column_upper, plain.column_upper)
    np.testing.assert_array_equal(through.integer, plain.integer)
    np.testing.assert_allclose(through.cost, plain.cost, rtol=1e-15)
    assert (through.sense, through.columns) == (plain.sense, plain.columns)
    np.testing.assert_allclose(through.constant, plain.constant, rtol=1e-15)
    np.testing.assert_allclose(Sorted.of(through).rows, Sorted.of(plain).rows, rtol=1e-14, atol=1e-14)
    assert [sets.name for sets in through.sos1] == [sets.name for sets in plain.sos1]
    for mine, theirs in zip(through.sos1, plain.sos1, strict=True):
        np.testing.assert_array_equal(mine.members, theirs.members)
