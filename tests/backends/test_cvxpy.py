"""CVXPY: what is built is the program, what is compiled is the problem as its user left it."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cvxpy as cp
import numpy as np
import pytest
import scipy.sparse as sp
from cvxpy.reductions.dcp2cone.dcp2cone import Dcp2Cone
from hypothesis import given, settings
from hypothesis import strategies as st

from oamip.errors import InfeasibleProgram, InputError
from oamip.options import Options
from oamip.program import (
    Expression,
    LogSumExp,
    Perspective,
    Program,
    Rows,
    StandardForm,
    SumSquares,
    check,
    constant,
)
from oamip.solving import NativeBackend, solve, solve_built
from oamip.solving.judge import judge
from oamip_cvxpy import CvxpyBackend
from oamip_cvxpy.build import build
from oamip_cvxpy.built import CvxpyBuilt
from oamip_matrix import MatrixBackend

CVXPY = CvxpyBackend()
SHAPES = ((), (3,), (2, 3), (1, 2, 2), (0,), (2, 0))
NATIVE = pytest.mark.parametrize("solver", CVXPY.native_solvers())


# ── programs ───────────────────────────────────────────────────────────────────────────────────────────────────────


def random_program(seed: int, *, atoms: bool = True) -> Program:
    """Blocks of every shape and domain, rows of every kind, some without variables, and atoms of every kind."""
    rng = np.random.default_rng(seed)
    program = Program("random")
    program.variables("switch", 3, domain="binary")
    program.variables("top", 2)
    total = constant(np.float64(rng.normal()))
    for number in range(rng.integers(1, 5)):
        shape = SHAPES[rng.integers(len(SHAPES))]
        lower = np.where(rng.random(shape) < 0.3, -np.inf, rng.integers(-3, 1, shape))
        upper = np.where(rng.random(shape) < 0.3, np.inf, rng.integers(1, 4, shape))
        block = program.variables(
            f"x{number}", shape, lower, upper, domain=("continuous", "integer", "binary")[number % 3]
        )
        if rng.random() < 0.7:
            total = total + (block * rng.normal(size=shape)).sum()
    (program.minimize if rng.random() < 0.5 else program.maximize)(total)
    for number, shape in enumerate([(4,), (), (2, 3), (0,)]):
        expression = random_affine(program, rng, shape)
        lower, upper = (
            expression.constant - rng.random(expression.size),
            expression.constant + rng.random(expression.size),
        )
        kind = rng.integers(5, size=expression.size)
        lower, upper = np.where(kind % 2 == 0, -np.inf, lower), np.where(kind == 1, np.inf, upper)
        upper = np.where(kind == 4, np.inf, upper)  # free on both sides
        equal = rng.random(expression.size) < 0.2
        lower, upper = np.where(equal, expression.constant, lower), np.where(equal, expression.constant, upper)
        program.add(f"row{number}", Rows(expression, lower, upper))
    if atoms:
        top, switch = program.blocks["top"], program.blocks["switch"]
        program.epigraph("soft", LogSumExp(), random_affine(program, rng, (2, 3)), top)
        program.epigraph("square", SumSquares(), random_affine(program, rng, (2, 2)), top + 1)
        program.indicator("if_on", switch[:2], random_affine(program, rng, (2,)) <= 1)
        program.sos1("one", top.reshape(1, 2))
    return program


def random_affine(program: Program, rng: np.random.Generator, shape: tuple[int, ...]) -> Expression:
    size = int(np.prod(shape))
    expression = constant(rng.normal(size=size))
    for block in program.blocks.values():
        if rng.random() < 0.6:
            matrix = sp.random_array((size, block.size), density=0.5, rng=rng)
            expression = expression + matrix @ block.reshape(-1)
    return expression.reshape(*shape)


def small() -> tuple[Program, CvxpyBuilt]:
    program = Program("small")
    x = program.variables("x", 3, 0, 5)
    on = program.variables("on", (2, 2), domain="binary")
    program.variables("spare", (), -1, 1)
    program.add("budget", x.reshape(3, 1) * np.ones((1, 2)) <= 4)
    program.add("link", Rows(x[0] + on[1, 1], np.array([1.0]), np.array([2.0])))
    program.add("mixed", Rows(x * 1.0, np.array([1.0, -np.inf, 0.5]), np.array([1.0, 3.0, 2.0])))
    program.minimize(x.sum() + 1)
    return program, build(program)


def curved(seed: int, function: Any, *, sense: str = "min", binary: bool = False) -> Program:
    """A few epigraphs over a box, with an objective that has a constant."""
    rng = np.random.default_rng(seed)
    program = Program("curved")
    x = program.variables("x", 6, 0, 1, domain="binary") if binary else program.variables("x", 6, 0, 1)
    y = program.variables("y", 3, 0.1, 1)
    t = program.variables("t", 3)
    argument = (rng.normal(size=(6, 6)) @ x + rng.normal(size=6)).reshape(3, 2)
    if isinstance(function, Perspective):
        columns = [argument[:, 0], argument[:, 1], y * 1.0]
        argument = stacked(columns)
    program.epigraph("curve", function, argument, t * 2 - 1)
    program.add("choose", x.sum() == 3)
    cost = t.sum() + 0.3 * y.sum() + rng.normal(size=(1, 6)) @ x + 7
    program.minimize(cost) if sense == "min" else program.maximize(cost * -1)
    return program


def stacked(columns: list[Expression]) -> Expression:
    """Vectors as the columns of a matrix."""
    k, n = len(columns), columns[0].size
    parts = [np.kron(np.eye(n), np.eye(k)[:, [j]]) @ column for j, column in enumerate(columns)]
    return sum(parts[1:], start=parts[0]).reshape(n, k)


FUNCTIONS = pytest.mark.parametrize(
    "function", [LogSumExp(), SumSquares(), Perspective()], ids=["log_sum_exp", "sum_squares", "perspective"]
)
SENSES = pytest.mark.parametrize("sense", ["min", "max"])


def with_more(built: CvxpyBuilt, *constraints: Any, objective: Any = None) -> CvxpyBuilt:
    model = cp.Problem(objective or built.model.objective, [*built.model.constraints, *constraints])
    return replace(built, model=model)


def without(built: CvxpyBuilt, *gone: Any) -> CvxpyBuilt:
    kept = [c for c in built.model.constraints if not any(c is other for other in gone)]
    return replace(built, model=cp.Problem(built.model.objective, kept))


def assert_equal(ours: StandardForm, theirs: StandardForm) -> None:
    np.testing.assert_array_equal(ours.A.toarray(), theirs.A.toarray())
    for name in ("row_lower", "row_upper", "column_lower", "column_upper", "integer", "cost"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name)
    assert (ours.constant, ours.sense, ours.columns, ours.rows) == (
        theirs.constant,
        theirs.sense,
        theirs.columns,
        theirs.rows,
    )
    assert ours.kinds == theirs.kinds
    assert [e.name for e in ours.epigraphs] == [e.name for e in theirs.epigraphs]


def sides(form: StandardForm) -> np.ndarray:
    """Every side of every row as ``a x ≥ b``, in an order that depends on their contents alone."""
    A = form.A.toarray()
    lower, upper = np.isfinite(form.row_lower), np.isfinite(form.row_upper)
    table = np.vstack(
        [
            np.column_stack([A[lower], form.row_lower[lower]]),
            np.column_stack([-A[upper], -form.row_upper[upper]]),
        ]
    )
    return table[np.lexsort(np.round(table, 9).T)]


# ── the program ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_backend_follows_the_protocol() -> None:
    assert isinstance(CVXPY, NativeBackend)
    program = random_program(0)
    built = CVXPY.build(program)
    assert list(built.columns) == list(program.blocks)
    assert list(built.rows) == list(program.rows)
    assert all(isinstance(variable, cp.Variable) for variable in built.columns.values())


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_cvxpy_compiles_what_matrix_compiles(seed: int) -> None:
    program = random_program(seed)
    plain, built = MatrixBackend().build(program), CVXPY.build(program)
    again = replace(built, model=cp.Problem(built.model.objective, list(reversed(built.model.constraints))))
    expected = MatrixBackend().compile(plain)
    assert_equal(CVXPY.compile(built), expected)
    assert_equal(CVXPY.compile(again), expected)  # the parts of a problem are what counts


def test_what_is_ours_is_never_canonicalised_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """CVXPY takes ten times as long for that as everything else does."""
    _, built = small()
    given_to_cvxpy: list[Any] = []
    reduce = Dcp2Cone.apply
    monkeypatch.setattr(Dcp2Cone, "apply", lambda self, p: given_to_cvxpy.append(p.constraints) or reduce(self, p))
    CVXPY.compile(built)
    assert not given_to_cvxpy
    mine = built.columns["x"] <= 2
    CVXPY.compile(with_more(built, mine))
    assert [len(constraints) for constraints in given_to_cvxpy] == [1]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_native_problem_says_what_the_form_says(seed: int) -> None:
    """Read through CVXPY, as if a user had written everything, the problem has the same sides and objective."""
    program = random_program(seed, atoms=False)
    built = build(program)
    form = built.form
    bare = replace(form, A=form.A[:0], row_lower=np.empty(0), row_upper=np.empty(0), rows=())
    read = CVXPY.compile(replace(built, form=bare, states={}, objective=None))
    np.testing.assert_allclose(sides(read), sides(form), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(read.cost, form.cost, rtol=1e-12)
    assert read.constant == pytest.approx(form.constant)
    assert read.sense == form.sense


def test_variables_carry_bounds_and_domains() -> None:
    program = Program()
    low = np.array([[0.0, -np.inf], [-2.0, 1.0]])
    program.variables("free", 2)
    program.variables("box", (2, 2), low, 3, domain="integer")
    program.variables("on", 2, domain="binary")
    program.variables("fixed", 2, [0, 1], 1, domain="binary")
    columns = CVXPY.build(program).columns
    assert columns["free"].bounds is None
    np.testing.assert_array_equal(columns["box"].bounds[0], low)
    assert (columns["box"].attributes["integer"], columns["on"].attributes["boolean"]) == (True, True)
    # CVXPY's interfaces to SCIP and ECOS forget the bounds of a Boolean.
    assert columns["fixed"].attributes["integer"]
    np.testing.assert_array_equal(columns["fixed"].bounds[0], [0, 1])


def test_bounds_that_cross_make_a_problem_that_cannot_be_solved() -> None:
    program = Program()
    x = program.variables("x", 2, 0, 1)
    program.restrict("far", x[0] >= 2)
    program.minimize(x.sum())
    built = CVXPY.build(program)
    assert_equal(CVXPY.compile(built), program.compile())
    built.model.solve(solver=cp.CLARABEL)
    assert built.model.status == cp.INFEASIBLE
    assert CVXPY.solve_native(built, "clarabel", Options()).reason == "infeasible"


def test_what_another_backend_built_is_refused() -> None:
    program, _ = small()
    with pytest.raises(InputError, match="not built by backend 'cvxpy'"):
        CVXPY.compile(MatrixBackend().build(program))


def test_a_row_without_variables_that_cannot_hold_is_infeasible() -> None:
    program, _ = small()
    program.add("never", constant([0.0, 1.0]) <= [1.0, 0.5])
    built = CVXPY.build(program)
    with pytest.raises(InfeasibleProgram, match=r"'never\[1\]' cannot hold") as caught:
        CVXPY.compile(built)
    assert caught.value.rows == ("never",)
    assert CVXPY.compile(without(built, *built.rows["never"])).shape[0] == 10
    with pytest.raises(InfeasibleProgram, match=r"constraints\["):
        CVXPY.compile(with_more(small()[1], False))


def test_the_program_may_change_after_it_was_built() -> None:
    program, built = small()
    form = CVXPY.compile(built)
    program.add("late", program.blocks["x"].sum() <= 1)
    program.restrict("tight", program.blocks["x"][0] <= 0.5)
    assert_equal(CVXPY.compile(built), form)


# ── what users leave out ───────────────────────────────────────────────────────────────────────────────────────────


def test_rows_are_left_out_by_side_and_the_rest_keep_their_names() -> None:
    _, built = small()
    assert [len(parts) for parts in built.rows.values()] == [1, 2, 3]
    low, high = built.rows["link"]
    form = CVXPY.compile(without(built, low))
    assert (form.shape[0], form.row_lower[6], form.row_upper[6]) == (10, -np.inf, 2)
    form = CVXPY.compile(without(built, low, high))
    assert [span.name for span in form.rows] == ["budget", "mixed"]
    equal, _, upper = built.rows["mixed"]
    form = CVXPY.compile(without(built, equal, upper))
    assert [form.row_name(i) for i in range(7, form.shape[0])] == ["mixed[2]"]
    assert (form.row_lower[7], form.row_upper[7], form.A[[7], [2]][0]) == (0.5, np.inf, 1)


def test_atoms_are_left_out_one_by_one() -> None:
    program = random_program(3)
    built = CVXPY.build(program)
    whole = CVXPY.compile(built)
    for constraint in built.model.constraints:
        if getattr(constraint, "label", None) in ("soft", "square", "if_on", "one"):
            form = CVXPY.compile(without(built, constraint))
            left = {e.name for e in (*form.epigraphs, *form.indicators, *form.sos1)}
            assert left == {"soft", "square", "if_on", "one"} - {constraint.label}
            assert form.shape == whole.shape


# ── what users add ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_users_variables_and_constraints_come_after_the_programs() -> None:
    program, built = small()
    x, on = built.columns["x"], built.columns["on"]
    flow = cp.Variable((2, 3), name="flow", bounds=[-1, np.arange(6.0).reshape(2, 3)])
    count = cp.Variable(name="x", integer=True, nonneg=True)
    pick = cp.Variable(3, name="pick", boolean=(np.array([0, 2]),))
    level = flow[:, :2] <= on + count
    total = (cp.sum(x) + pick[1] == 3).set_label("total")
    again = (x[1] >= 1).set_label("budget")
    form = CVXPY.compile(with_more(built, level, total, again))
    # The names of the program and those of users are kept apart.
    assert [(s.name, s.shape) for s in form.columns[3:]] == [("flow", (2, 3)), ("x_", ()), ("pick", (3,))]
    assert [(s.name, s.shape) for s in form.rows[3:]] == [("constraints[6]", (2, 2)), ("total", ()), ("budget_", ())]
    np.testing.assert_array_equal(form.column_upper[8:14], np.arange(6))
    np.testing.assert_array_equal(form.column_lower[8:], [-1] * 6 + [0] + [0, -np.inf, 0])
    np.testing.assert_array_equal(form.integer[8:], [False] * 6 + [True] + [True, False, True])
    row = dict(zip([form.column_name(j) for j in range(form.shape[1])], form.A[[12]].toarray()[0], strict=True))
    assert form.row_name(12) == "constraints[6][1,0]"
    assert {name: value for name, value in row.items() if value} == {"flow[1,0]": -1, "on[1,0]": 1, "x_": 1}
    assert (form.row_lower[14], form.row_upper[14]) == (3, 3)
    plain = program.compile()
    np.testing.assert_array_equal(form.A[:10].toarray()[:, :8], plain.A.toarray())
    np.testing.assert_array_equal(form.cost[:8], plain.cost)


def affine_constraints(x: Any, y: Any, z: Any) -> list[Any]:
    """x is (2, 3), y is (3,), z is a scalar."""
    rate = cp.Parameter((3, 2), value=np.arange(6.0).reshape(3, 2))
    scale = cp.Parameter(nonneg=True, value=2.0)
    return [
        x.T @ np.ones(2) - y == z,
        cp.reshape(x, (3, 2), order="C") @ np.array([1.0, 2.0]) >= y,
        cp.reshape(x, (3, 2), order="F") - rate <= z,
        cp.hstack([x, cp.reshape(y[:2], (2, 1), order="C")]) >= -1,
        cp.vstack([x, y])[::2, 1:] <= 4,
        rate @ x <= np.arange(9.0).reshape(3, 3),
        scale * (scale * z + 1) <= cp.sum(x, axis=0),
        cp.kron(np.array([[1.0, 2.0]]), x) <= z,
        cp.trace(x[:, :2]) + cp.sum(cp.multiply(rate.T, x)) == z - 3,
        2 * x[:, 1:] >= cp.diff(y)[0],
        cp.constraints.Zero(x[0] - y),
        cp.constraints.NonNeg(x[1] + z),
        x[0, 0] <= 5,
    ]


@pytest.mark.parametrize("which", range(13))
def test_affine_constraints_of_users_mean_what_they_mean_in_cvxpy(which: int) -> None:
    program = Program()
    program.variables("x", (2, 3))
    program.variables("y", 3)
    built = CVXPY.build(program)
    x, y, z = built.columns["x"], built.columns["y"], cp.Variable(name="z")
    constraint = affine_constraints(x, y, z)[which]
    form = CVXPY.compile(with_more(built, constraint))
    for seed in range(3):
        point = np.random.default_rng(seed).normal(size=form.shape[1])
        values = {span.name: point[span.slice] for span in form.columns}
        CVXPY.load(with_more(built, constraint), values)
        activity = form.A @ point
        excess = np.maximum(form.row_lower - activity, activity - form.row_upper)
        residual = np.ravel(constraint.residual)
        np.testing.assert_allclose(np.maximum(excess, 0), residual, atol=1e-12)


def test_the_old_constraint_of_cvxpy_is_read_too() -> None:
    _, built = small()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        form = CVXPY.compile(with_more(built, cp.constraints.NonPos(built.columns["x"] - 3)))
    np.testing.assert_array_equal(form.A[10:, :3].toarray(), -np.eye(3))
    np.testing.assert_array_equal(form.row_lower[10:], -3)


def test_a_product_of_variables_is_refused_by_name() -> None:
    _, built = small()
    with pytest.raises(InputError, match=r"'constraints\[6\]' is not convex by the rules of CVXPY"):
        CVXPY.compile(with_more(built, built.columns["x"][0] * built.columns["x"][1] <= 1))


def piecewise(x: Any, z: Any) -> list[list[Any]]:
    return [
        [cp.abs(x - 1) <= z],
        [cp.norm1(x) <= z],
        [cp.norm_inf(x - 2) <= z, z <= 1.5],
        [cp.sum_largest(x, 2) <= z],
        [cp.maximum(x[0], 2 - x[1]) + cp.pos(x[2]) <= z],
        [cp.min(x) >= 1 - z],
        [z >= cp.max(x), cp.sum(x) >= 2.5],
        [cp.cumsum(x) <= z],
    ]


@pytest.mark.parametrize("which", range(8))
def test_piecewise_linear_constraints_become_rows_with_columns_of_their_own(which: int) -> None:
    program = Program()
    x = program.variables("x", 3, -2, 2)
    program.add("some", x.sum() >= 1)
    program.minimize(x[0] - x[1])
    built = CVXPY.build(program)
    z = cp.Variable(name="z")
    constraints = piecewise(built.columns["x"], z)[which]
    larger = with_more(built, *constraints, objective=cp.Minimize(built.model.objective.args[0] + 3 * z))
    form = CVXPY.compile(larger)
    assert any(span.name == "cvxpy1" for span in form.columns)
    solution = solve_built(larger, backend=CVXPY)
    assert solution.held == "proven"
    larger.model.solve(solver=cp.CLARABEL)
    assert solution.objective == pytest.approx(larger.model.value, abs=1e-6)
    through = solve_built(larger, backend=CVXPY, solver="clarabel", route="native")
    assert (through.held, through.objective) == ("proven", pytest.approx(solution.objective, abs=1e-6))


@SENSES
def test_the_users_objective_replaces_ours(sense: str) -> None:
    _, built = small()
    x = built.columns["x"]
    better = cp.Minimize(2 * cp.sum(x) + cp.max(x) - 4) if sense == "min" else cp.Maximize(cp.min(x) - 4)
    larger = replace(built, model=cp.Problem(better, built.model.constraints))
    form = CVXPY.compile(larger)
    assert (form.sense, form.constant) == (sense, -4)
    solution = solve_built(larger, backend=CVXPY)
    larger.model.solve(solver=cp.HIGHS)
    assert solution.objective == pytest.approx(larger.model.value)


def test_finite_sets_become_binaries() -> None:
    program = Program()
    program.maximize(program.variables("x", 2, 0, 5).sum())
    built = CVXPY.build(program)
    larger = with_more(built, cp.constraints.FiniteSet(built.columns["x"], [0, 1.5, 4.25, 7]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # CVXPY's own, about the order of arrays
        solution = solve_built(larger, backend=CVXPY)
    assert solution["x"].tolist() == [4.25, 4.25]


def test_parameters_are_read_as_they_now_stand() -> None:
    _, built = small()
    cap = cp.Parameter(value=2.0)
    larger = with_more(built, cap * cap * built.columns["x"][0] <= cap)  # not DPP either
    assert CVXPY.compile(larger).row_lower[-1] == -2
    cap.value = 3.0
    form = CVXPY.compile(larger)
    assert (form.A[[form.shape[0] - 1], [0]][0], form.row_lower[-1]) == (-9, -3)


def test_epigraphs_reach_over_the_users_columns() -> None:
    program, _ = small()
    x, spare = program.blocks["x"], program.blocks["spare"]
    program.epigraph("soft", LogSumExp(), (x.reshape(1, 3) + 0.5), spare.reshape(1))
    built = CVXPY.build(program)
    form = CVXPY.compile(with_more(built, cp.Variable(2) <= 1))
    (epigraph,) = form.epigraphs
    point = np.arange(form.shape[1], dtype=float)
    assert form.shape[1] == 10
    assert epigraph.excess(point)[0] == pytest.approx(np.log(np.exp([0.5, 1.5, 2.5]).sum()) - 7)


def test_empty_arrays_of_users_are_harmless() -> None:
    _, built = small()
    nothing = cp.Variable(0, name="nothing")
    form = CVXPY.compile(with_more(built, nothing <= 1, cp.sum(nothing) + built.columns["x"][0] <= 1))
    assert [span.name for span in form.rows[3:]] == ["constraints[7]"]
    assert form.columns[-1].shape == (0,)


# ── what is refused ────────────────────────────────────────────────────────────────────────────────────────────────


def indicator(x: Any) -> Any:
    program = Program()
    program.indicator("if_on", program.variables("on", 1, domain="binary"), program.variables("y", 1) <= 1)
    return CVXPY.build(program).model.constraints[0]


REFUSED: list[tuple[Callable[[Any], Any], str]] = [
    (lambda x: cp.norm2(x) <= 1, r"'constraints\[6\]' is not mixed-integer linear: CVXPY makes a SOC.* epigraph"),
    (lambda x: cp.sum_squares(x) <= 1, "makes a SOC"),
    (lambda x: cp.exp(x) <= 1, "makes a ExpCone"),
    (lambda x: cp.log_sum_exp(x) <= 1, "makes a ExpCone"),
    (lambda x: (cp.norm2(x) <= 1).set_label("ball"), "constraint 'ball' is not mixed-integer linear"),
    (lambda x: cp.SOC(cp.sum(x), x), "makes a SOC"),
    (lambda x: cp.norm2(x) >= 1, "is not convex by the rules of CVXPY"),
    (lambda x: cp.Parameter(name="rate") * x <= 1, "parameter 'rate', which has no value"),
    (lambda x: cp.Variable((2, 2), PSD=True, name="S") >= 1, "variable 'S' is PSD"),
    (lambda x: cp.Variable((2, 2), symmetric=True, name="S") >= 1, "variable 'S' is symmetric"),
    (lambda x: cp.Variable((2, 2), diag=True, name="S") >= 1, "variable 'S' is diag"),
    (lambda x: cp.real(cp.Variable(2, complex=True, name="S")) >= 1, "variable 'S' is complex"),
    (lambda x: cp.Variable(4, boolean=[(0,), (2,)], name="b") >= 1, r"wants boolean= as np\.where gives it"),
    (indicator, "indicator 'if_on' has no form in CVXPY"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_what_cannot_be_compiled_is_refused_by_name(make: Callable[[Any], Any], message: str) -> None:
    _, built = small()
    with pytest.raises(InputError, match=message):
        CVXPY.compile(with_more(built, make(built.columns["x"])))


def test_a_curved_objective_is_refused() -> None:
    _, built = small()
    squares = cp.Minimize(cp.sum_squares(built.columns["x"]))
    with pytest.raises(InputError, match="the objective is not mixed-integer linear: CVXPY makes a SOC"):
        CVXPY.compile(replace(built, model=cp.Problem(squares, built.model.constraints)))


@pytest.mark.parametrize("how", [{}, {"gp": True}, {"qcp": True}, {"nlp": True}])
def test_logic_is_never_lost_when_users_solve_the_problem_themselves(how: dict[str, bool]) -> None:
    program = Program()
    on, x = program.variables("on", 2, domain="binary"), program.variables("x", 2, 1, 5)
    program.indicator("if_on", on, x <= 1)
    program.sos1("one", x.reshape(1, 2))
    program.minimize(x.sum())
    built = CVXPY.build(program)
    own = cp.Problem(built.model.objective, [*built.model.constraints, built.columns["x"] <= 3])
    for model in (built.model, own):
        with pytest.raises(cp.error.DCPError if not how else Exception) as caught:
            model.solve(solver=cp.HIGHS, **how)
        if not how:
            assert "indicator 'if_on' has no form in CVXPY" in str(caught.value)
            assert "SOS1 set 'one' has no form in CVXPY" in str(caught.value)
    with pytest.raises(InputError, match="indicator 'if_on' has no form in CVXPY"):
        CVXPY.solve_native(built, "ecos_bb", Options())


# ── the way back ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_values_are_where_users_look_for_them() -> None:
    _, built = small()
    flow = cp.Variable((2, 2), name="flow", integer=True)
    larger = with_more(built, cp.abs(flow) <= 1)
    on = np.array([[0.0, 1.0], [1.0, 0.9999999]])
    values = {"x": np.array([1.0, 2.0, 2.5]), "on": on, "spare": np.array(0.25), "flow": np.array([[1.0, 2], [3, 4]])}
    CVXPY.load(larger, values)
    np.testing.assert_array_equal(built.columns["on"].value, on)
    np.testing.assert_array_equal(flow.value, [[1, 2], [3, 4]])
    assert built.columns["spare"].value == 0.25
    assert built.model.objective.value == 6.5
    CVXPY.load(larger, {"x": np.zeros(3)})
    assert built.columns["spare"].value == 0.25


def test_values_of_the_wrong_size_are_refused() -> None:
    _, built = small()
    with pytest.raises(InputError, match="'x' have 2 entries; the model has 3"):
        CVXPY.load(built, {"x": np.ones(2)})


# ── solved by CVXPY ────────────────────────────────────────────────────────────────────────────────────────────────


@FUNCTIONS
@SENSES
def test_users_may_solve_continuous_programs_themselves(function: Any, sense: str) -> None:
    program = curved(1, function, sense=sense)
    built = CVXPY.build(program)
    built.model.solve(solver=cp.CLARABEL)
    assert built.model.value == pytest.approx(solve(program).objective, rel=1e-5)


@FUNCTIONS
@SENSES
@NATIVE
def test_native_solvers_agree_with_the_cut_loop(function: Any, sense: str, solver: str) -> None:
    if solver == "scip" and isinstance(function, LogSumExp):
        pytest.skip("CVXPY has no exponential cone for SCIP")
    binary = solver in ("scip", "ecos_bb")
    for seed in (2, 3):
        program = curved(seed, function, sense=sense, binary=binary)
        built = CVXPY.build(program)
        z = cp.Variable(name="z")
        larger = with_more(built, cp.abs(built.columns["t"]) <= z + 9, z <= 20)
        outcome = CVXPY.solve_native(larger, solver, Options())
        judged = judge(CVXPY.compile(larger), outcome, None, Options())
        optimum = solve(program).objective
        assert judged.objective == pytest.approx(optimum, rel=2e-5), outcome.warnings
        if solver in CVXPY.proven_by:
            assert (judged.held, judged.reason) == ("proven", "optimal")
            assert judged.bound == pytest.approx(optimum, rel=2e-5)
        if solver == "ecos_bb":
            assert np.isinf(outcome.bound)


@SENSES
@pytest.mark.parametrize("solver", ["clarabel", "ecos"])
def test_bounds_are_bounds(solver: str, sense: str) -> None:
    """The known optimum 7 + 2 of ``t ≥ ‖x‖², Σx = 2`` in both senses; a loose gap leaves the bound on its side."""
    program = Program()
    x, t = program.variables("x", 2), program.variables("t", 1)
    program.epigraph("square", SumSquares(), x.reshape(1, 2), t)
    program.add("sum", x.sum() == 2)
    program.minimize(t.sum() + 7) if sense == "min" else program.maximize(t.sum() * -1 - 7)
    optimum = 9.0 if sense == "min" else -9.0
    for gap in (1e-2, 1e-8):
        outcome = CVXPY.solve_native(CVXPY.build(program), solver, Options(gap_relative=gap))
        assert abs(outcome.bound - optimum) <= 10 * gap + 1e-6
        assert (outcome.bound - optimum) * (1 if sense == "min" else -1) <= 1e-6


def test_booleans_with_log_sum_exp_are_solved_by_ecos_bb() -> None:
    """12 booleans of which 4 are chosen, against all 495 choices."""
    pytest.importorskip("ecos")
    scores = np.random.default_rng(0).normal(size=(6, 12))
    program = Program()
    keep, loss = program.variables("keep", 12, domain="binary"), program.variables("loss", 1)
    program.add("count", keep.sum() == 4)
    program.epigraph("softmax", LogSumExp(), (scores @ keep).reshape(1, 6), loss)
    program.minimize(loss.sum())
    points = np.array([np.isin(np.arange(12), chosen) for chosen in itertools.combinations(range(12), 4)], dtype=float)
    best = LogSumExp().value(points @ scores.T).min()
    solution = solve(program, backend="cvxpy", solver="ecos_bb", route="native")
    assert (solution.held, solution.verified) == ("feasible", True)  # no bound, so nothing is proven
    assert solution.objective == pytest.approx(best, abs=1e-6)


def test_bounds_of_binaries_reach_the_solver() -> None:
    program = Program()
    on, t = program.variables("on", 3, [0, 1, 0], [1, 1, 0], domain="binary"), program.variables("t", 1)
    program.epigraph("square", SumSquares(), (on - 0.4).reshape(1, 3), t)
    program.minimize(t.sum() + np.array([0.0, 0.0, -9.0]) @ on)
    for solver in ("scip", "ecos_bb"):
        outcome = CVXPY.solve_native(CVXPY.build(program), solver, Options())
        assert outcome.x is not None
        assert np.round(outcome.x[:3]).tolist() == [0, 1, 0]


def test_the_model_is_not_touched_by_a_native_solve() -> None:
    program = curved(4, SumSquares())
    built = CVXPY.build(program)
    built.columns["x"].value = np.full(6, 0.5)
    CVXPY.solve_native(built, "clarabel", Options())
    assert built.columns["x"].value.tolist() == [0.5] * 6
    assert built.columns["t"].value is None
    assert built.model.status is None


@NATIVE
def test_columns_that_stand_nowhere_have_a_value_all_the_same(solver: str) -> None:
    program = Program()
    x, t = program.variables("x", 2), program.variables("t", 1)
    program.variables("far", (2, 1), [[2.0], [-np.inf]], [[5.0], [-3.0]])
    program.epigraph("square", SumSquares(), (x - 1).reshape(1, 2), t)
    program.minimize(t.sum())
    outcome = CVXPY.solve_native(CVXPY.build(program), solver, Options())
    assert outcome.x is not None
    np.testing.assert_allclose(outcome.x[3:], [2, -3])
    np.testing.assert_allclose(outcome.x[:2], 1, atol=1e-3)


def test_a_program_of_constants_is_solved_without_a_solver() -> None:
    program = Program()
    program.variables("alone", 1, 2.5, 4, domain="integer")
    program.add("fine", constant(1.0) <= 2)
    program.maximize(constant(3.0))
    solution = solve(program, backend=CVXPY, solver="scip", route="native")
    assert (solution.held, solution.objective, solution["alone"].tolist()) == ("proven", 3.0, [3.0])


# ── awkward outcomes ───────────────────────────────────────────────────────────────────────────────────────────────


@NATIVE
def test_infeasible_and_unbounded_are_told_apart(solver: str) -> None:
    program = Program()
    x, t = program.variables("x", 2), program.variables("t", 1)
    program.epigraph("square", SumSquares(), x.reshape(1, 2), t)
    program.minimize(t.sum() * -1)
    assert CVXPY.solve_native(CVXPY.build(program), solver, Options()).reason == "unbounded"
    program.add("low", t <= 1)
    program.add("high", x.sum() >= 3)
    outcome = CVXPY.solve_native(CVXPY.build(program), solver, Options())
    assert (outcome.reason, outcome.x, outcome.bound) == ("infeasible", None, -np.inf)


@NATIVE
def test_no_time_is_no_point(solver: str) -> None:
    built = CVXPY.build(curved(5, SumSquares(), binary=solver == "scip"))
    outcome = CVXPY.solve_native(built, solver, Options(time_limit=1e-4))
    assert (outcome.reason, outcome.x, outcome.bound) == ("time_limit", None, -np.inf)


@pytest.mark.parametrize(("solver", "limit"), [("clarabel", "time_limit"), ("scs", "time_limit_secs")])
def test_a_time_limit_of_an_interior_point_is_no_point(solver: str, limit: str) -> None:
    built = CVXPY.build(curved(5, LogSumExp()))
    outcome = CVXPY.solve_native(built, solver, Options(raw={limit: 1e-6}))
    assert (outcome.reason, outcome.x, outcome.bound) == ("time_limit", None, -np.inf)
    assert any("is not feasible, so it is not passed on" in warning for warning in outcome.warnings)


@pytest.mark.parametrize(
    ("solver", "raw", "reason"),
    [
        ("clarabel", {"max_iter": 2}, "interrupted"),
        ("ecos", {"max_iters": 2}, "interrupted"),
        ("scs", {"max_iters": 3}, "error"),
    ],
)
def test_iteration_limits_are_not_optimal(solver: str, raw: dict[str, int], reason: str) -> None:
    program = curved(5, LogSumExp())
    outcome = CVXPY.solve_native(CVXPY.build(program), solver, Options(raw=raw))
    assert (outcome.reason, outcome.x) == (reason, None)


def test_an_inaccurate_optimum_that_is_feasible_is_held_but_not_proven() -> None:
    program = curved(5, SumSquares())
    options = Options(raw={"max_iters": 60, "eps_abs": 1e-12, "eps_rel": 1e-12})
    for seed in range(5, 30):
        program = curved(seed, SumSquares())
        outcome = CVXPY.solve_native(CVXPY.build(program), "scs", options)
        if outcome.x is not None:
            break
    assert outcome.reason == "gap_limit"
    assert "scs through CVXPY says 'optimal_inaccurate'" in outcome.warnings
    judged = judge(program.compile(), outcome, None, Options())
    assert judged.held == "feasible"


def market_split(rows: int, columns: int) -> Program:
    """No solver finds a point of it in short time."""
    rng = np.random.default_rng(0)
    weights = rng.integers(0, 100, size=(rows, columns)).astype(float)
    program = Program()
    x, t = program.variables("x", columns, domain="binary"), program.variables("t", 1, 0, 1e4)
    program.add("split", weights @ x == np.floor(weights.sum(axis=1) / 2))
    program.epigraph("square", SumSquares(), x.reshape(1, columns), t)
    program.minimize(t.sum())
    return program


def test_scip_at_a_limit_without_a_point() -> None:
    """CVXPY raises a SolverError here, and forgets why."""
    pytest.importorskip("pyscipopt")
    outcome = CVXPY.solve_native(CVXPY.build(market_split(7, 40)), "scip", Options(time_limit=0.5))
    assert (outcome.reason, outcome.x) == ("time_limit", None)


def test_scip_at_a_limit_with_a_point() -> None:
    """CVXPY calls this ``optimal_inaccurate``."""
    pytest.importorskip("pyscipopt")
    rng = np.random.default_rng(0)
    program = Program()
    x, t = program.variables("x", 60, domain="binary"), program.variables("t", 1)
    program.add("weight", rng.integers(1, 99, size=(10, 60)).astype(float) @ x <= 900)
    program.epigraph("square", SumSquares(), (rng.normal(size=(8, 60)) @ x).reshape(1, 8), t)
    program.maximize(rng.integers(50, 99, size=(1, 60)).astype(float) @ x - t.sum() + 5)
    built = CVXPY.build(program)
    outcome = CVXPY.solve_native(built, "scip", Options(node_limit=1))
    assert outcome.reason == "node_limit"
    assert outcome.x is not None
    form = program.compile()
    assert check(form, outcome.x).accepted
    assert form.objective(outcome.x) <= outcome.bound < np.inf


def test_ecos_bb_at_a_limit() -> None:
    pytest.importorskip("ecos")
    outcome = CVXPY.solve_native(CVXPY.build(curved(2, LogSumExp(), binary=True)), "ecos_bb", Options(node_limit=1))
    assert outcome.reason == "node_limit"
    outcome = CVXPY.solve_native(CVXPY.build(market_split(3, 20)), "ecos_bb", Options(node_limit=2))
    assert (outcome.reason, outcome.x) == ("node_limit", None)


def test_what_a_solver_cannot_take_is_refused_by_name() -> None:
    soft, whole = curved(1, LogSumExp()), curved(1, SumSquares(), binary=True)
    with pytest.raises(InputError, match="'clarabel' takes no integers and the program has 6"):
        CVXPY.solve_native(CVXPY.build(whole), "clarabel", Options())
    with pytest.raises(
        InputError, match=r"'scip' does not take log_sum_exp .*: name one of clarabel, scs, ecos, ecos_bb"
    ):
        CVXPY.solve_native(CVXPY.build(soft), "scip", Options())
    with pytest.raises(InputError, match="no solver 'highs' for the native route"):
        CVXPY.solve_native(CVXPY.build(soft), "highs", Options())


@NATIVE
def test_raw_options_that_a_solver_does_not_know_are_refused(solver: str) -> None:
    built = CVXPY.build(curved(1, SumSquares(), binary=solver == "scip"))
    with pytest.raises(InputError, match=f"raw options nonsense: '{solver}' through CVXPY says"):
        CVXPY.solve_native(built, solver, Options(raw={"nonsense": 3}))


def test_options_that_a_solver_cannot_honour_are_said() -> None:
    built = CVXPY.build(curved(1, SumSquares()))
    asked = Options(time_limit=60, seed=3, threads=2, progress=lambda _: None, start=np.zeros(12))
    warnings = " ".join(CVXPY.solve_native(built, "ecos", asked).warnings)
    for name in ("time_limit", "seed", "threads", "progress", "start"):
        assert f"option {name}: solver 'ecos' has none" in warnings
    heard = CVXPY.solve_native(built, "clarabel", Options(time_limit=60, threads=2))
    assert heard.warnings == ()


@NATIVE
def test_the_log_goes_to_its_file(solver: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    built = CVXPY.build(curved(1, SumSquares(), binary=solver in ("scip", "ecos_bb")))
    file = tmp_path / "solver.log"
    outcome = CVXPY.solve_native(built, solver, Options(log_file=file))
    assert len(outcome.log) > 100
    assert file.read_text() == outcome.log
    assert capfd.readouterr().out == ""
    assert CVXPY.solve_native(built, solver, Options()).log == ""
