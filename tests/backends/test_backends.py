"""What a language compiles is what the matrix backend compiles; what users add in the language is in it too."""

from __future__ import annotations

import copy
import gc
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyomo.core.expr.numeric_expr import LinearExpression, SumExpression
from pyomo.core.expr.visitor import identify_variables
from pyomo.gdp import Disjunct, Disjunction
from pyomo.repn import generate_standard_repn
from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler

from oamip.errors import InfeasibleProgram, InputError
from oamip.program import LogSumExp, Program, StandardForm, SumSquares, check
from oamip.solving import solve, solve_built
from oamip.solving.backend import Backend, Built
from oamip_matrix import MatrixBackend
from oamip_pyomo import PyomoBackend, build
from oamip_pyomo.deferred import Deferred, origin

from .conftest import assert_same_form, random_program

BACKENDS = [pytest.param(MatrixBackend(), id="matrix"), pytest.param(PyomoBackend(), id="pyomo")]
PYOMO = PyomoBackend()


def small() -> tuple[Program, Built]:
    program = Program("small")
    x = program.variables("x", 3, 0, 5)
    on = program.variables("on", (2, 2), domain="binary")
    program.variables("spare", (), -1, 1)
    program.add("budget", x.reshape(3, 1) * np.ones((1, 2)) <= 4)
    program.add("link", x[0] + on[1, 1] >= 1)
    program.minimize(x.sum() + 1)
    return program, PYOMO.build(program)


# ── the program ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("backend", BACKENDS)
def test_backends_follow_the_protocol(backend: Backend) -> None:
    assert isinstance(backend, Backend)
    program = random_program(0)
    built = backend.build(program)
    assert list(built.columns) == list(program.blocks)
    assert list(built.rows) == list(program.rows)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_pyomo_compiles_what_matrix_compiles(seed: int) -> None:
    program = random_program(seed)
    ours, theirs = MatrixBackend(), PYOMO
    plain, through = ours.compile(ours.build(program)), theirs.compile(theirs.build(program))
    assert_same_form(through, plain)
    # Pyomo keeps the order of rows, and with it their names.
    assert [through.row_name(i) for i in range(through.shape[0])] == [plain.row_name(i) for i in range(plain.shape[0])]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_pyomo_agrees_with_the_compiler_of_pyomo(seed: int) -> None:
    program = random_program(seed)
    program.sets.clear()  # it has none
    built = PYOMO.build(program)
    form = PYOMO.compile(built)
    theirs = LinearStandardFormCompiler().write(built.model, mixed_form=True, set_sense=None)
    ours = {
        (form.row_name(i), kind): (form.A[[i]].toarray()[0], side)
        for i in range(form.shape[0])
        for kind, side in sides(form, i)
    }
    position = {id(v): j for j, v in enumerate(v for block in built.columns.values() for v in block.values())}
    at = [position[id(column)] for column in theirs.columns]
    for row, right, (constraint, kind) in zip(theirs.A.toarray(), theirs.rhs, theirs.rows, strict=True):
        coefficients, side = ours[constraint.name, kind]
        np.testing.assert_allclose(coefficients[at], row, rtol=1e-14)
        assert side == pytest.approx(right)
    np.testing.assert_allclose(form.cost[at], theirs.c.toarray()[0], rtol=1e-14)
    assert form.constant == pytest.approx(theirs.c_offset[0])


def sides(form: StandardForm, i: int) -> list[tuple[int, float]]:
    """The sides of a row as Pyomo counts them: 0 for both at once, 1 for the upper and -1 for the lower one."""
    lower, upper = form.row_lower[i], form.row_upper[i]
    return [(0, upper)] if lower == upper else [(1, upper), (-1, lower)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_epigraphs_are_attached_again(backend: Backend) -> None:
    program, _ = small()
    x, spare = program.blocks["x"], program.blocks["spare"]
    program.epigraph("soft", LogSumExp(), (x.reshape(1, 3) + 0.5), spare.reshape(1))
    built = backend.build(program)
    if backend.name == "pyomo":
        built.model.mine = pyo.Var(range(2))
    form = backend.compile(built)
    (epigraph,) = form.epigraphs
    assert epigraph.B.shape == (3, form.shape[1])
    assert epigraph.T.shape == (1, form.shape[1])
    point = np.arange(form.shape[1], dtype=float)
    np.testing.assert_allclose(epigraph.arguments(point), [[0.5, 1.5, 2.5]])
    assert epigraph.excess(point)[0] == pytest.approx(np.log(np.exp([0.5, 1.5, 2.5]).sum()) - 7)


def test_users_of_matrix_add_to_the_program() -> None:
    backend = MatrixBackend()
    program, _ = small()
    built = backend.build(program)
    built.model.add("more", built.columns["x"].sum() <= 7)
    form = backend.compile(built)
    assert form.row_name(form.shape[0] - 1) == "more"
    backend.load(built, {"x": np.ones(3)})


# ── the model that Pyomo users see ─────────────────────────────────────────────────────────────────────────────────


def test_components_have_the_names_and_keys_of_the_program() -> None:
    _, built = small()
    model = built.model
    assert model.x is built.columns["x"]
    assert model.x[2].bounds == (0, 5)
    assert model.on[1, 0].is_binary()
    assert not model.spare.is_indexed()
    assert model.budget[2, 1] is built.rows["budget"][2, 1]
    assert not model.link.is_indexed()


def test_names_that_pyomo_or_a_block_has_taken_get_an_underscore() -> None:
    program = Program()
    name, same = program.variables("name", 2), program.variables("same", 2)
    program.add("same", same <= name)
    built = PYOMO.build(program)
    assert (built.columns["name"].name, built.rows["same"].name) == ("name_", "same_")
    form = PYOMO.compile(built)
    assert (form.column_name(1), form.row_name(1)) == ("name[1]", "same[1]")
    built.model.same_[0].deactivate()
    assert PYOMO.compile(built).row_name(0) == "same[1]"


def test_a_model_can_be_cloned_and_pickled() -> None:
    _, built = small()
    assert pickle.loads(pickle.dumps(built.model)).x[1].bounds == (0, 5)
    assert built.model.clone().budget[0, 0].upper == 4


def with_atoms() -> tuple[Program, Any]:
    """An epigraph, an indicator and sets; the optimum is where they say."""
    program = Program("atoms")
    before, x = program.variables("before", (), 0, 1), program.variables("x", 3, -4, 4)
    on, t = program.variables("on", 3, domain="binary"), program.variables("t", 1)
    program.epigraph("square", SumSquares(), (x - 2.0).reshape(1, 3), t)
    program.indicator("off", on, x <= 0, on=False)
    program.sos1("one", x[:2].reshape(1, 2))
    program.add("row", x.sum() + before >= -3)
    program.minimize(t.sum() + 3 * on.sum() - before)
    return program, PYOMO.build(program)


def copied(model: Any) -> Any:
    return model.clone()


def transformed(model: Any) -> Any:
    larger = model.clone()
    larger.pair = Disjunction(expr=[larger.x[2] <= 5, larger.x[2] >= 6])  # within reach of x is the first part only
    return pyo.TransformationFactory("gdp.bigm").create_using(larger)


@pytest.mark.parametrize("way", [copied, transformed])
def test_atoms_go_with_the_variables_of_a_copy(way: Callable[[Any], Any]) -> None:
    program, built = with_atoms()
    best = solve(program).objective
    assert best == pytest.approx(3 * 2 + 4 - 1)  # two at 2, one of them in the set, for 3 each; the other at 0
    copy_ = way(built.model)
    solution = solve_built(replace(built, model=copy_), backend=PYOMO)
    assert (solution.held, solution.objective) == ("proven", pytest.approx(best, abs=1e-5))
    assert pyo.value(copy_.x[2]) == pytest.approx(2.0, abs=1e-3)
    assert built.model.x[2].value is None
    form, original = PYOMO.compile(replace(built, model=built.model.clone())), PYOMO.compile(built)
    assert (form.columns, form.rows) == (original.columns, original.rows)


def scaled_in_place(model: Any) -> Any:
    model.scaling_factor = pyo.Suffix(direction=pyo.Suffix.EXPORT)
    model.scaling_factor[model.x] = 0.5
    pyo.TransformationFactory("core.scale_model").apply_to(model)
    return model


def scaled_under_their_names(model: Any) -> Any:
    model.scaling_factor = pyo.Suffix(direction=pyo.Suffix.EXPORT)
    model.scaling_factor[model.x] = 0.5
    pyo.TransformationFactory("core.scale_model").apply_to(model, rename=False)
    return model.clone()


def renamed(model: Any) -> Any:
    copy_ = model.clone()
    x = copy_.x
    copy_.del_component(x)
    copy_.y = x
    return copy_


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (scaled_in_place, "variables 'x' were scaled by Pyomo, and indicators or convex functions"),
        (scaled_under_their_names, "variables 'x' were scaled by Pyomo"),
        (renamed, "variables 'x' of the program are not on this model"),
    ],
)
def test_copies_on_which_atoms_would_mean_something_else_are_refused(change: Any, message: str) -> None:
    _, built = with_atoms()
    with pytest.raises(InputError, match=message):
        PYOMO.compile(replace(built, model=change(built.model)))


def test_the_collector_runs_again_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    program, _ = small()

    def fail(*_: Any) -> None:
        assert not gc.isenabled()
        raise RuntimeError("out of luck")

    monkeypatch.setattr(build, "_objective", fail)
    with pytest.raises(RuntimeError, match="out of luck"):
        PYOMO.build(program)
    assert gc.isenabled()


# ── what users change ──────────────────────────────────────────────────────────────────────────────────────────────


def test_users_variables_and_constraints_come_after_the_programs() -> None:
    program, built = small()
    model = built.model
    model.cost = pyo.Var(bounds=(0, 9), domain=pyo.Integers)
    model.plant = pyo.Var(["oslo", "rome"])
    model.counted = pyo.Var(pyo.RangeSet(2))
    model.site = pyo.Block()
    model.site.flow = pyo.Var(range(2), range(2), bounds=(-1, None))
    model.site.level = pyo.Constraint(range(2), rule=lambda b, i: pyo.inequality(1, b.flow[i, 0] + model.cost, 3))
    model.total = pyo.Constraint(expr=model.x[0] + 2 * model.plant["rome"] - 1 <= model.cost)
    form = PYOMO.compile(built)
    start = sum(block.size for block in program.blocks.values())
    names = [form.column_name(j) for j in range(start, form.shape[1])]
    flow = [f"site.flow[{i},{j}]" for i in range(2) for j in range(2)]
    assert names == ["cost", "plant[oslo]", "plant[rome]", "counted[1]", "counted[2]", *flow]
    assert [form.row_name(i) for i in range(7, form.shape[0])] == ["total", "site.level[0]", "site.level[1]"]
    row = dict(zip([form.column_name(j) for j in range(form.shape[1])], form.A[[7]].toarray()[0], strict=True))
    assert {name: value for name, value in row.items() if value} == {"x[0]": 1, "plant[rome]": 2, "cost": -1}
    assert (form.row_upper[7], form.row_lower[8], form.row_upper[8]) == (1, 1, 3)
    assert form.integer[start]
    assert (form.column_lower[start], form.column_upper[start]) == (0, 9)
    assert form.column_lower[-1] == -1


def test_parameters_and_named_expressions_are_read_with_their_values() -> None:
    _, built = small()
    model = built.model
    model.weight = pyo.Param(initialize=2.0, mutable=True)
    model.flow = pyo.Expression(expr=model.weight * model.x[1] + 3)
    model.cap = pyo.Constraint(expr=model.flow <= 4 * model.weight)
    model.weight.set_value(5.0)
    form = PYOMO.compile(built)
    assert form.A[[form.shape[0] - 1], [1]] == 5.0
    assert form.row_upper[-1] == 17.0


def test_inactive_and_deleted_constraints_are_gone_and_the_rest_keep_their_names() -> None:
    _, built = small()
    built.model.budget[1, 0].deactivate()
    del built.model.budget[2, 1]
    built.model.link.deactivate()
    form = PYOMO.compile(built)
    assert [form.row_name(i) for i in range(form.shape[0])] == [f"budget[{k}]" for k in ("0,0", "0,1", "1,1", "2,0")]
    built.model.del_component(built.model.budget)
    assert PYOMO.compile(built).shape[0] == 0


def test_bounds_and_domains_are_read_as_they_now_stand() -> None:
    _, built = small()
    built.model.x[0].setub(2.5)
    built.model.x[1].setlb(None)
    built.model.x[2].domain = pyo.NonNegativeIntegers
    built.model.on[0, 0].domain = pyo.Reals
    form = PYOMO.compile(built)
    np.testing.assert_array_equal(form.column_upper[:3], [2.5, 5, 5])
    np.testing.assert_array_equal(form.column_lower[:3], [0, -np.inf, 0])
    np.testing.assert_array_equal(form.integer[:5], [False, False, True, False, True])


def test_a_fixed_variable_keeps_its_column_and_its_effect() -> None:
    program, built = small()
    built.model.x[0].fix(3.0)
    built.model.twist = pyo.Constraint(expr=built.model.x[0] * built.model.x[1] <= 6)
    form, plain = PYOMO.compile(built), program.compile()
    assert form.column_lower[0] == form.column_upper[0] == 3.0
    point = np.array([3.0, 2.0, 1.0, 1, 0, 0, 1, 0.5])
    assert form.objective(point) == plain.objective(point) == 7.0
    assert check(form, point).accepted
    assert check(form, np.where(np.arange(8) == 1, 2.5, point)).worst == "row twist"


def test_rows_of_fixed_variables_may_miss_by_a_rounding_but_not_by_more() -> None:
    _, built = small()
    built.model.sum = pyo.Constraint(expr=built.model.x[0] + built.model.x[1] == 0.3)
    built.model.x[0].fix(0.1)
    built.model.x[1].fix(0.2)
    form = PYOMO.compile(built)
    assert form.A[[form.shape[0] - 1]].nnz == 0
    built.model.x[1].fix(0.21)
    with pytest.raises(InfeasibleProgram, match="'sum' cannot hold") as caught:
        PYOMO.compile(built)
    assert caught.value.rows == ("sum",)


def test_the_users_objective_replaces_ours() -> None:
    _, built = small()
    built.model.objective.deactivate()
    built.model.gain = pyo.Objective(expr=2 * built.model.x[1] - 4, sense=pyo.maximize)
    form = PYOMO.compile(built)
    assert (form.sense, form.constant, form.cost[1], form.cost[0]) == ("max", -4, 2, 0)


@pytest.mark.parametrize("relax", [True, False])
def test_disjunctions_are_refused_until_they_are_transformed(relax: bool) -> None:
    _, built = small()
    model = built.model
    model.low, model.high = Disjunct(), Disjunct()
    model.low.c = pyo.Constraint(expr=model.x[0] <= 1)
    model.high.c = pyo.Constraint(expr=model.x[0] >= 3)
    model.either = Disjunction(expr=[model.low, model.high])
    if not relax:
        with pytest.raises(InputError, match=r"Disjunct.* '(low|high|either)' is not mixed-integer linear"):
            PYOMO.compile(built)
        return
    pyo.TransformationFactory("gdp.bigm").apply_to(model)
    form = PYOMO.compile(built)
    assert "low.binary_indicator_var" in [form.column_name(j) for j in range(form.shape[1])]


# ── SOS1 sets ──────────────────────────────────────────────────────────────────────────────────────────────────────


def with_sets() -> Built:
    program, _ = small()
    x, on = program.blocks["x"], program.blocks["on"]
    program.sos1("either", x[np.array([[2, 0], [1, 2]])])
    program.sos1("on", on.reshape(1, 4))  # a name that the model has taken
    return PYOMO.build(program)


def sets(built: Built) -> list[tuple[str, list[list[int]]]]:
    return [(found.name, found.members.tolist()) for found in PYOMO.compile(built).sos1]


def test_sets_are_native_and_not_doubled() -> None:
    built = with_sets()
    model = built.model
    assert model.either.ctype is model.on_.ctype is pyo.SOSConstraint
    assert [variable.name for variable in model.either[0].variables] == ["x[2]", "x[0]"]
    assert sets(built) == [("either", [[2, 0], [1, 2]]), ("on", [[3, 4, 5, 6]])]
    assert solve_built(built, backend=PYOMO).verified
    assert list(model.clone().either[1].get_items())[1][1] == 2


def test_users_sets_come_after_ours_and_their_weights_order_them() -> None:
    built = with_sets()
    model = built.model
    model.mine = pyo.Var(bounds=(0, 1))
    model.early = pyo.Block()
    model.early.one = pyo.SOSConstraint(rule=lambda _: ([model.x[0], model.mine, model.x[1]], [3, 1, 2]), sos=1)
    uneven = {"a": [0, 1], "b": [0, 1, 2]}
    model.uneven = pyo.SOSConstraint(["a", "b"], var=model.x, sos=1, index=uneven)
    found = dict(sets(built)[2:])
    assert found == {"early.one": [[8, 1, 0]], "uneven[a]": [[0, 1]], "uneven[b]": [[0, 1, 2]]}


def test_sets_that_are_inactive_or_deleted_are_gone() -> None:
    built = with_sets()
    built.model.either[0].deactivate()
    built.model.del_component("on_")
    assert sets(built) == [("either[1]", [[1, 2]])]


# ── expressions that are made when somebody looks ──────────────────────────────────────────────────────────────────


def bodies(built: Built) -> list[Any]:
    """The bodies of all constraints, reached without a look at any of their attributes."""
    relations = [entry.expr for rows in built.rows.values() for entry in rows.values()]
    return [next(side for side in relation.args if type(side) is not float) for relation in relations]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_it_makes_no_difference_who_has_looked_at_which_row(seed: int) -> None:
    rng = np.random.default_rng(seed)
    program = random_program(seed)
    seen, unseen = PYOMO.build(program), PYOMO.build(program)
    for body in bodies(seen):
        if rng.random() < 0.5:
            assert body.nargs() == len(body.args)
    for ours, theirs in zip(variables_of(seen), variables_of(unseen), strict=True):
        if rng.random() < 0.3:
            value = float(np.clip(0.5, ours.lb, ours.ub))
            ours.fix(value, skip_validation=True)
            theirs.fix(value, skip_validation=True)
    assert outcome(seen) == outcome(unseen)


def variables_of(built: Built) -> list[Any]:
    return [entry for block in built.columns.values() for entry in block.values()]


def outcome(built: Built) -> Any:
    """Everything of the compiled form that fixed variables touch, rounded; or the rows that cannot hold."""
    try:
        form = PYOMO.compile(built)
    except InfeasibleProgram as found:
        return found.rows
    arrays = (form.A.toarray(), form.row_lower, form.row_upper, form.column_lower, form.cost)
    return [np.round(array, 9).tolist() for array in arrays]


def test_compiling_looks_at_no_row_that_nobody_has_looked_at() -> None:
    _, built = small()
    PYOMO.compile(built)
    assert {type(body) for body in bodies(built)} == {Deferred}
    assert len(built.model.budget[1, 0].body.args) == 1
    PYOMO.compile(built)
    assert [type(body) for body in bodies(built)].count(LinearExpression) == 1


def test_our_rows_may_be_part_of_the_users() -> None:
    _, built = small()
    model = built.model
    model.link.set_value(model.link.body + 2 * model.x[1] >= 2)
    model.double = pyo.Constraint(expr=2 * model.budget[0, 0].body - model.budget[2, 1].body == 1)
    form = PYOMO.compile(built)
    assert form.A[[6]].toarray()[0].tolist() == [1, 2, 0, 0, 0, 0, 1, 0]
    assert form.row_lower[6] == 2
    assert form.A[[7]].toarray()[0].tolist() == [2, 0, -1, 0, 0, 0, 0, 0]


LOOKS: dict[str, Callable[[Any], Any]] = {
    "class": lambda body: body.__class__ is LinearExpression,
    "arguments": lambda body: [[term.args[0], term.args[1].name] for term in body.args],
    "arity": lambda body: body.nargs(),
    "text": str,
    "degree": lambda body: body.polynomial_degree(),
    "sum": lambda body: str(body + 1),
    "difference": lambda body: str(2 - body),
    "product": lambda body: str(3 * body),
    "power": lambda body: str(body**2),
    "comparison": lambda body: str(body <= 3),
    "value": lambda body: pyo.value(body),
    "call": lambda body: body(),
    "coefficients": lambda body: body.linear_coefs,
    "standard": lambda body: [generate_standard_repn(body).linear_coefs, generate_standard_repn(body).constant],
    "variables": lambda body: [variable.name for variable in identify_variables(body)],
    "clone": lambda body: str(body.clone()),
    "deep copy": lambda body: type(copy.deepcopy(body)) is LinearExpression,
    "pickle": lambda body: type(pickle.loads(pickle.dumps(body))) is LinearExpression,
    "kind": lambda body: [body.is_expression_type(), body.is_potentially_variable(), isinstance(body, SumExpression)],
}


@pytest.mark.parametrize("look", LOOKS)
def test_whatever_the_first_look_is_it_sees_a_linear_expression(look: str) -> None:
    program, built = small()
    for variable in variables_of(built):
        variable.set_value(1, skip_validation=True)
    (body,) = (each for each in bodies(built) if origin(each)[0].matrix.shape[0] == 1)
    made = LinearExpression(linear_coefs=[1.0, 1.0], linear_vars=[built.model.x[0], built.model.on[1, 1]])
    assert LOOKS[look](body) == LOOKS[look](made)
    assert type(body) is LinearExpression
    assert_same_form(PYOMO.compile(built), program.compile())


@pytest.mark.parametrize("ending", ["lp", "nl", "mps"])
def test_files_that_pyomo_writes_do_not_depend_on_who_has_looked(ending: str, tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.{ending}" for name in ("seen", "unseen")]
    for seed in range(10):
        program = random_program(seed)
        program.sets.clear()  # not every format has them
        if not program.compile().A.nnz:
            continue  # nor constraints without any variable
        seen, unseen = PYOMO.build(program), PYOMO.build(program)
        assert all(body.args is not None for body in bodies(seen))
        seen.model.write(str(files[0]))
        unseen.model.write(str(files[1]))
        assert files[0].read_text() == files[1].read_text()


# ── what is refused ────────────────────────────────────────────────────────────────────────────────────────────────


def nonlinear_row(model: Any) -> None:
    model.bent = pyo.Constraint(expr=model.x[0] * model.x[1] <= 1)


def nonlinear_objective(model: Any) -> None:
    model.objective.deactivate()
    model.bent = pyo.Objective(expr=model.x[0] ** 2)


def second_kind(model: Any) -> None:
    model.near = pyo.SOSConstraint(var=model.x, sos=2)


def foreign_member(model: Any) -> None:
    other = pyo.ConcreteModel()
    other.y = pyo.Var(range(2))
    model.one = pyo.SOSConstraint(var=other.y, sos=1)


def second_objective(model: Any) -> None:
    model.other = pyo.Objective(expr=model.x[0])


def no_objective(model: Any) -> None:
    model.objective.deactivate()


def fixed_without_value(model: Any) -> None:
    model.x[2].fixed = True


def gaps(model: Any) -> None:
    model.jump = pyo.Var(domain=pyo.Set(initialize=[0, 2, 5]))


def stranger(model: Any) -> None:
    model.apart = pyo.ConcreteModel()
    other = pyo.ConcreteModel()
    other.y = pyo.Var()
    model.uses = pyo.Constraint(expr=LinearExpression(linear_coefs=[1.0], linear_vars=[other.y]) <= 1)


def no_number(model: Any) -> None:
    model.rate = pyo.Param(mutable=True, initialize=0.0)
    model.share = pyo.Constraint(expr=model.x[0] / model.rate <= 1)


def deleted(model: Any) -> None:
    del model.x[1]


def made_anew(model: Any) -> None:
    del model.x[1]
    model.x.add(1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (nonlinear_row, "constraint 'bent' is not linear"),
        (nonlinear_objective, "objective 'bent' is not linear"),
        (second_kind, "SOSConstraint 'near' is of kind 2, which is not mixed-integer linear"),
        (foreign_member, r"SOSConstraint 'one' uses variable 'y\[0\]', which is not on this model"),
        (made_anew, r"constraint 'budget\[1,0\]' uses variable '.*', which is not on this model"),
        (second_objective, "exactly one active objective, and has objective, other"),
        (no_objective, "exactly one active objective, and has none"),
        (fixed_without_value, r"variable 'x\[2\]' is fixed, but has no value"),
        (gaps, "variable 'jump' has domain"),
        (stranger, "constraint 'uses' uses variable 'y'"),
        (no_number, "constraint 'share' has no number"),
        (deleted, "variables 'x' of the program were deleted"),
    ],
)
def test_what_cannot_be_compiled_is_refused_by_name(change: Any, message: str) -> None:
    _, built = small()
    change(built.model)
    with pytest.raises(InputError, match=message):
        PYOMO.compile(built)


# ── the way back ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_values_are_where_users_look_for_them() -> None:
    _, built = small()
    model = built.model
    model.plant = pyo.Var(["oslo", "rome"])
    model.x[0].fix(3.0)
    on = np.array([[0.0, 1.0], [1.0, 0.9999999]])
    values = {"x": np.array([1.0, 2.0, 2.5]), "on": on, "spare": np.array(0.25), "plant[rome]": np.array(4.0)}
    PYOMO.load(built, values)
    assert pyo.value(model.x[2]) == 2.5
    assert pyo.value(model.x[0]) == 3.0
    assert model.on[1, 1].value == 0.9999999
    assert (model.spare.value, model.plant["rome"].value, model.plant["oslo"].value) == (0.25, 4.0, None)
    assert pyo.value(model.objective) == 3.0 + 2.0 + 2.5 + 1


def test_values_of_the_wrong_size_are_refused() -> None:
    _, built = small()
    with pytest.raises(InputError, match="'x' have 2 entries; the model has 3"):
        PYOMO.load(built, {"x": np.ones(2)})
