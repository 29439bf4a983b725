"""What a modelling language does with programs: what it compiles, what its users add, where they read the answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from oamip.program import Domain, LogSumExp, Program, Rows, StandardForm, constant
from oamip.testing import instances
from oamip.testing.case import Native, Subject, UserRow
from oamip.testing.exact import enumerate_points
from oamip.testing.expect import ended, proven, that
from oamip.testing.suite.register import case

DOMAINS: tuple[Domain, ...] = ("continuous", "integer", "binary")
SHAPES: tuple[tuple[int, ...], ...] = ((), (3,), (2, 2), (1, 2, 2), (0,))


@case(kind="backend")
def same_form(subject: Subject) -> None:
    """A language compiles what the program itself compiles, up to the order of rows."""
    for program in _programs():
        built = subject.backend.build(program)
        blocks = list(built.columns), list(built.rows)
        asked = list(program.blocks), list(program.rows)
        that(blocks == asked, f"native columns and rows under the names {asked}", blocks)
        for _ in range(2):  # reading a model leaves it as it is
            _equal(program.name, subject.backend.compile(built), program.compile())


@case(kind="backend")
def row_names(subject: Subject) -> None:
    """The rows of the program keep their names."""
    program = instances.location().program
    form = subject.backend.compile(subject.backend.build(program))
    names = {form.row_name(i) for i in range(form.shape[0])}
    expected = {program.compile().row_name(i) for i in range(program.compile().shape[0])}
    that(names == expected, "names such as 'hauled[2]' of the rows", sorted(names ^ expected)[:5])


@case(kind="backend", needs=("extend",))
def separate_models(subject: Subject) -> None:
    """Models built of equal programs are apart from each other."""
    programs = [instances.knapsack().program for _ in range(2)]
    first, second = (subject.backend.build(program) for program in programs)
    _native(subject).extend(first, UserRow("mine", {"take": np.ones(30)}, 3.0))
    _equal("knapsack", subject.backend.compile(second), instances.knapsack().program.compile())


@case(kind="backend", needs=("extend",))
def users_rows(subject: Subject) -> None:
    """Rows written in the language reach the solver, the check and the clash."""
    native, program = _native(subject), _small()
    coefficients = {"x": np.array([[0.0, 1.0], [2.0, 3.0]]), "y": np.array(1.0)}
    mine, no_way = UserRow("mine", coefficients, 14.5), UserRow("no_way", {"x": -np.ones((2, 2))}, -16.5)
    built = subject.backend.build(program)
    proven(subject.solve_built(built), _optimum(_small()))
    with_row = _small()
    with_row.add("mine", (with_row.blocks["x"] * coefficients["x"]).sum() + with_row.blocks["y"] <= 14.5)
    built = native.extend(built, mine)
    _equal("the program with a row of the user's", subject.backend.compile(built), with_row.compile())
    proven(subject.solve_built(built), _optimum(with_row))
    built = native.extend(built, no_way)
    solution = subject.solve_built(built)
    ended(solution, "infeasible", "none")
    that(bool(set(solution.clash) - {"budget"}), "the row of the user's in the clash", solution.clash or "none")


@case(kind="backend", needs=("read",))
def answer_in_the_model(subject: Subject) -> None:
    """The answer is put where users of the language look, in the shapes of the blocks."""
    native, program = _native(subject), _small()
    assert native.read is not None
    built = subject.backend.build(program)
    solution = subject.solve_built(built)
    for name in program.blocks:
        read = np.asarray(native.read(built, name), dtype=np.float64)
        same = read.shape == solution[name].shape and np.allclose(read, solution[name], atol=1e-9)
        that(same, f"{solution[name].tolist()} in the native variables '{name}'", read.tolist())


@case(kind="backend")
def atoms_come_back(subject: Subject) -> None:
    """Convex and logical atoms come back with the compiled form."""
    program = Program("atoms")
    program.variables("before", 2, 0, 1)
    on, x = program.variables("on", 2, domain="binary"), program.variables("x", 2, -1, 1)
    t = program.variables("t", 1)
    program.epigraph("soft", LogSumExp(), (2 * x + 0.5).reshape(1, 2), t)
    program.indicator("switched", on, x >= 0.5, on=[True, False])
    program.sos1("one", x.reshape(1, 2))
    program.add("some", on.sum() >= 1)
    program.minimize(t.sum())
    form, plain = subject.backend.compile(subject.backend.build(program)), program.compile()
    that(form.kinds == plain.kinds, f"atoms {sorted(plain.kinds)}", sorted(form.kinds))
    point = np.linspace(-0.8, 0.9, plain.shape[1])
    for came, atom in zip(_atoms(form), _atoms(plain), strict=True):
        same = came.name == atom.name and np.allclose(came.excess(point), atom.excess(point))
        that(same, f"atom '{atom.name}' as it was", f"'{came.name}', another one")


# ── programs ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _programs() -> Iterator[Program]:
    yield from (instances.linear(maximise=maximise).program for maximise in (False, True))
    yield from (instances.knapsack().program, instances.location().program, instances.split().program, _small())
    yield from map(_random, range(25))


def _small() -> Program:
    program = Program("small")
    x, y = program.variables("x", (2, 2), 0, 4, domain="integer"), program.variables("y", (), 0, 9, domain="integer")
    program.add("budget", x.sum() + y <= 9.5)
    program.maximize((x * [[1, 2], [3, 4]]).sum() + 1.5 * y - 7)
    return program


def _optimum(program: Program) -> float:
    optimum = enumerate_points(program.compile())
    assert optimum is not None
    return optimum


def _random(seed: int) -> Program:
    """Blocks of every shape and domain, rows of every kind, columns and rows in which nothing stands."""
    rng = np.random.default_rng(seed)
    program = Program(f"random_{seed}")
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
        program.add(f"row{number}", _random_rows(program, rng, shape))
    return program


def _random_rows(program: Program, rng: np.random.Generator, shape: tuple[int, ...]) -> Rows:
    """Equalities, ranges, one-sided and free rows; rows without variables hold."""
    size = int(np.prod(shape))
    expression = constant(rng.normal(size=size))
    for block in program.blocks.values():
        matrix = sp.random_array((size, block.size), density=rng.choice([0.0, 0.6]), rng=rng)
        expression = expression + matrix @ block.reshape(-1)
    middle = expression.constant
    kind = rng.integers(5, size=size)  # ≤, ≥, ranged, free, equal
    lower = np.choose(kind, [np.full(size, -np.inf), middle - 0.5, middle - 0.25, np.full(size, -np.inf), middle])
    upper = np.choose(kind, [middle + 0.5, np.full(size, np.inf), middle + 0.75, np.full(size, np.inf), middle])
    return Rows(expression.reshape(*shape), lower, upper)


# ── comparing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _equal(name: str, came: StandardForm, expected: StandardForm) -> None:
    where = f"program '{name}': "
    that(came.columns == expected.columns, f"{where}columns {expected.columns}", came.columns)
    that(came.sense == expected.sense, f"{where}sense '{expected.sense}'", came.sense)
    for field in ("column_lower", "column_upper", "integer", "cost", "constant"):
        ours, theirs = np.asarray(getattr(came, field)), np.asarray(getattr(expected, field))
        that(np.allclose(ours, theirs, rtol=1e-12, atol=1e-12), f"{where}{field} {theirs}", ours)
    ours, theirs = _half_spaces(came), _half_spaces(expected)
    that(ours.shape == theirs.shape, f"{where}{theirs.shape[0]} sides of rows", ours.shape[0])
    that(np.allclose(ours, theirs, rtol=1e-9, atol=1e-9), f"{where}equal rows, in any order", "other coefficients")


def _half_spaces(form: StandardForm) -> NDArray[np.float64]:
    """All rows as ``a x ≤ b``, one for each finite side, in an order of their contents; empty rows that hold aside."""
    A = form.A.toarray()
    table = np.vstack([np.column_stack([A, form.row_upper]), np.column_stack([-A, -form.row_lower])]) + 0.0
    empty = ~table[:, :-1].any(axis=1) & (table[:, -1] >= -1e-9)
    table = table[np.isfinite(table[:, -1]) & ~empty]
    return table[np.lexsort(np.round(table, 7).T + 0.0)]


def _atoms(form: StandardForm) -> tuple[Any, ...]:
    return (*form.epigraphs, *form.indicators, *form.sos1)


def _native(subject: Subject) -> Native:
    assert subject.native is not None, "cases that need it run only where it is given"
    return subject.native
