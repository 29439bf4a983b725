"""What PuLP compiles is what the matrix backend compiles; what users add, change and delete in PuLP is in it too."""

from __future__ import annotations

import copy
import gc
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pulp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oamip.errors import InfeasibleProgram, InputError
from oamip.options import Options
from oamip.program import LogSumExp, Program, Rows, StandardForm, SumSquares, check
from oamip.solving import solve, solve_built
from oamip.solving.backend import Backend, Built
from oamip_matrix import MatrixBackend
from oamip_pulp import PulpBackend, Range, build
from oamip_pulp.deferred import DeferredConstraint

from .conftest import Sorted, assert_same_form, random_program

PULP = PulpBackend()


def small() -> tuple[Program, Built]:
    program = Program("small")
    x = program.variables("x", 3, 0, 5)
    on = program.variables("on", (2, 2), domain="binary")
    program.variables("spare", (), -1, 1)
    program.add("budget", x.reshape(3, 1) * np.ones((1, 2)) <= 4)
    program.add("link", x[0] + on[1, 1] >= 1)
    program.add("band", Rows(x[:2] + 1.0, np.array([2.0, -np.inf]), np.array([5.0, np.inf])))
    program.sos1("either", x[np.array([[2, 0], [1, 2]])])
    program.minimize(x.sum() + 1)
    return program, PULP.build(program)


def names(form: StandardForm) -> list[str]:
    return [form.row_name(i) for i in range(form.shape[0])]


def columns(form: StandardForm) -> list[str]:
    return [form.column_name(j) for j in range(form.shape[1])]


def row(form: StandardForm, name: str) -> tuple[dict[str, float], float, float]:
    i = names(form).index(name)
    entries = dict(zip(columns(form), form.A[[i]].toarray()[0].tolist(), strict=True))
    return {name: value for name, value in entries.items() if value}, form.row_lower[i], form.row_upper[i]


# ── the program ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_backend_follows_the_protocol_and_imports_nothing_before_it_is_used() -> None:
    assert isinstance(PULP, Backend)
    code = "import sys, oamip_pulp; oamip_pulp.PulpBackend(); sys.exit('pulp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_pulp_compiles_what_matrix_compiles(seed: int) -> None:
    program = random_program(seed)
    built, plain = PULP.build(program), MatrixBackend().compile(MatrixBackend().build(program))
    through = PULP.compile(built)
    assert list(built.columns) == list(program.blocks)
    assert list(built.rows) == list(program.rows)
    assert_same_form(through, plain)
    assert names(through) == names(plain)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_what_pulp_itself_solves_is_the_compiled_form(seed: int) -> None:
    # PuLP's own solver and ours agree on the optimum, or on there being none: the `LpProblem` alone is the program.
    program = random_program(seed)
    program.sets.clear()  # HiGHS has none, and PuLP's interface to it says nothing
    built = PULP.build(program)
    built.model.solve(pulp.HiGHS(msg=False, gapRel=0.0))
    found = solve(program, Options(gap_relative=0.0, gap_absolute=0.0))
    if found.held == "proven":
        assert built.model.status == pulp.LpStatusOptimal
        assert pulp.value(built.model.objective) == pytest.approx(found.objective, abs=1e-6)
    else:
        assert built.model.status != pulp.LpStatusOptimal


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_shuffled_and_renamed_a_problem_compiles_to_the_same_form(seed: int) -> None:
    # Nothing hangs on names or on the order of PuLP's dictionaries.
    rng = np.random.default_rng(seed)
    program = random_program(seed)
    built, plain = PULP.build(program), program.compile()
    items = list(built.model._constraints.items())
    built.model._constraints.clear()
    built.model.extend({f"n{k}": items[k][1] for k in rng.permutation(len(items))})
    for variable in built.model.variables():
        variable.name = "same"
    assert_same_form(PULP.compile(built), plain)


def test_atoms_are_attached_again_over_the_users_columns_too() -> None:
    program, _ = small()
    x, on, spare = (program.blocks[name] for name in ("x", "on", "spare"))
    program.epigraph("soft", LogSumExp(), (x.reshape(1, 3) + 0.5), spare.reshape(1))
    program.indicator("gate", on.reshape(-1)[:1], x[:1] <= 2)
    built = PULP.build(program)
    problem = built.model
    problem += built.model.add_variable("mine") <= 3
    form = PULP.compile(built)
    assert form.shape[1] == 9
    (epigraph,), (indicator,) = form.epigraphs, form.indicators
    assert epigraph.B.shape == (3, 9)
    assert (indicator.switch.tolist(), indicator.R.shape) == ([3], (1, 9))
    np.testing.assert_allclose(epigraph.arguments(np.arange(9.0)), [[0.5, 1.5, 2.5]])


# ── the problem that PuLP users see ────────────────────────────────────────────────────────────────────────────────


def test_variables_and_constraints_have_the_names_that_pulp_would_give() -> None:
    _, built = small()
    problem = built.model
    theirs = problem.add_variable_dicts("on", (range(2), range(2)))
    assert built.columns["on"][1, 0].name == theirs[1][0].name == "on_1_0"
    assert built.columns["on"][1, 0].isBinary()
    assert (built.columns["x"][2].lowBound, built.columns["x"][2].upBound) == (0, 5)
    assert isinstance(built.columns["spare"], pulp.LpVariable)
    assert problem.get_constraint_by_name("budget_2_1") is built.rows["budget"][2, 1]
    assert problem.get_constraint_by_name("link") is built.rows["link"]
    pair = built.rows["band"][0]
    assert isinstance(pair, Range)
    assert (pair.lower.name, pair.lower.getLb(), pair.upper.name, pair.upper.getUb()) == (
        "band_0_lower",
        1.0,
        "band_0_upper",
        4.0,
    )
    assert isinstance(built.rows["band"][1], pulp.LpAffineExpression)  # free on both sides
    assert [v.name for v in problem.variables()] == sorted(
        ["x_0", "x_1", "x_2", "on_0_0", "on_0_1", "on_1_0", "on_1_1", "spare"]
    )
    assert list(problem.sos1) == ["either_0", "either_1"]
    assert [v.name for v in problem.sos1["either_0"]] == ["x_2", "x_0"]


def test_names_of_different_blocks_never_meet() -> None:
    program = Program("a name with spaces")
    x, first = program.variables("x", 2, 0, 1), program.variables("x_1", (), 0, 1)
    program.add("r", Rows(x.sum(), np.array([0.0]), np.array([1.0])))
    program.add("r_lower", first <= 0.5)
    program.add("r_upper", first <= 0.75)
    built = PULP.build(program)
    built.model.checkDuplicateVars()
    assert built.columns["x_1"].name == "x_1_"
    assert built.model.numConstraints() == 4
    assert_same_form(PULP.compile(built), program.compile())


def test_a_program_without_rows_or_variables_compiles() -> None:
    program = Program("nothing")
    assert PULP.compile(PULP.build(program)).shape == (0, 0)
    program.variables("none", (0, 2))
    program.variables("free", 2)
    assert_same_form(PULP.compile(PULP.build(program)), program.compile())


def test_the_collector_runs_again_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    program, _ = small()

    def fail(*_: Any) -> None:
        assert not gc.isenabled()
        raise RuntimeError("out of luck")

    monkeypatch.setattr(build, "_objective", fail)
    with pytest.raises(RuntimeError, match="out of luck"):
        PULP.build(program)
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    program, _ = small()
    gc.disable()
    try:
        PULP.compile(PULP.build(program))
        assert not gc.isenabled()
    finally:
        gc.enable()


# ── what users change ──────────────────────────────────────────────────────────────────────────────────────────────


def test_users_variables_and_constraints_come_after_the_programs() -> None:
    program, built = small()
    problem, x = built.model, built.columns["x"]
    cost = problem.add_variable("cost", 0, 9, pulp.LpInteger)
    plant = problem.add_variable_dicts("plant", ["oslo", "rome"])
    unused = problem.add_variable("unused", -2)
    problem._add_variables([unused])
    problem += x[0] + 2 * plant["rome"] - 1 <= cost, "total"
    problem += pulp.lpSum(x) + plant["oslo"] >= 3
    problem.sos1["mine"] = {cost: 2.0, x[1]: 1.0}
    form, plain = PULP.compile(built), program.compile()
    assert columns(form)[8:] == ["plant_rome", "cost", "plant_oslo", "unused"]
    assert names(form)[: plain.shape[0]] == names(plain)
    assert row(form, "total") == ({"x[0]": 1, "plant_rome": 2, "cost": -1}, -np.inf, 1)
    assert row(form, "_C1") == ({"x[0]": 1, "x[1]": 1, "x[2]": 1, "plant_oslo": 1}, 3, np.inf)
    j = columns(form).index("cost")
    assert (form.column_lower[j], form.column_upper[j], form.integer[j]) == (0, 9, True)
    assert form.column_lower[columns(form).index("unused")] == -2
    assert [sets.name for sets in form.sos1] == ["either", "mine"]
    np.testing.assert_array_equal(form.sos1[1].members, [[1, j]])


def test_users_variables_of_one_name_are_different_columns() -> None:
    _, built = small()
    problem = built.model
    first, second = built.model.add_variable("x", 0, 1), built.model.add_variable("x", 0, 2)
    problem += first + 2 * second <= 2, "both"
    assert row(PULP.compile(built), "both") == ({"x_": 1, "x__": 2}, -np.inf, 2)


def test_a_copied_variable_is_a_column_of_its_own() -> None:
    # PuLP copies the hash of a variable along with it, so its dictionaries may take one for the other; we do not.
    _, built = small()
    problem = built.model
    mine = built.model.add_variable("mine", 0, 1)
    problem += mine <= 1, "first"
    problem += copy.deepcopy(mine) >= 0, "second"
    form = PULP.compile(built)
    assert row(form, "first")[0] == {"mine": 1}
    assert row(form, "second")[0] == {"mine_": 1}


def test_bounds_and_categories_are_read_as_they_now_stand() -> None:
    _, built = small()
    x, on, spare = built.columns["x"], built.columns["on"], built.columns["spare"]
    x[0].upBound = 2.5
    x[1].lowBound = None
    x[2].cat = pulp.LpInteger
    on[0, 0].cat = pulp.LpContinuous
    spare.cat = pulp.LpBinary  # set afterwards: PuLP leaves the bounds as they are
    on[1, 1].varValue = 1.0
    on[1, 1].fixValue()
    form = PULP.compile(built)
    np.testing.assert_array_equal(form.column_lower, [0, -np.inf, 0, 0, 0, 0, 1, 0])
    np.testing.assert_array_equal(form.column_upper, [2.5, 5, 5, 1, 1, 1, 1, 1])
    np.testing.assert_array_equal(form.integer, [False, False, True, False, True, True, True, True])


def test_right_sides_coefficients_and_senses_are_read_as_they_now_stand() -> None:
    _, built = small()
    x, link = built.columns["x"], built.rows["link"]
    link.changeRHS(0.5)
    link.expr.addterm(x[2], 3.0)
    link.sense = pulp.LpConstraintEQ
    built.rows["budget"][0, 0].expr[x[0]] = 0.0
    form = PULP.compile(built)
    assert row(form, "link") == ({"x[0]": 1, "x[2]": 3, "on[1,1]": 1}, 0.5, 0.5)
    assert row(form, "budget[0,0]")[0] == {}


def test_deleted_constraints_are_gone_and_the_rest_keep_their_names() -> None:
    _, built = small()
    problem = built.model
    for key in ("budget_1_0", "budget_2_1", "link"):
        del built.model._constraints[key]
    problem += built.columns["x"][1] <= 9, "budget_1_0"  # another one under the name of a deleted one
    form = PULP.compile(built)
    assert names(form) == [*(f"budget[{k}]" for k in ("0,0", "0,1", "1,1", "2,0")), "band[0]", "band[1]", "budget_1_0"]
    assert row(form, "budget_1_0")[2] == 9


@pytest.mark.parametrize(("side", "limits"), [("lower", (-np.inf, 4.0)), ("upper", (1.0, np.inf))])
def test_half_of_a_range_may_be_deleted(side: str, limits: tuple[float, float]) -> None:
    _, built = small()
    del built.model._constraints[f"band_0_{side}"]
    assert row(PULP.compile(built), "band[0]") == ({"x[0]": 1}, *limits)


def test_a_range_of_which_one_half_was_changed_is_two_rows() -> None:
    _, built = small()
    x = built.columns["x"]
    built.rows["band"][0].upper.expr.addterm(x[2], 1.0)
    form = PULP.compile(built)
    assert row(form, "band_0_lower") == ({"x[0]": 1}, 1, np.inf)
    assert row(form, "band_0_upper") == ({"x[0]": 1, "x[2]": 1}, -np.inf, 4)
    built.rows["band"][0].lower.expr.addterm(x[2], 1.0)
    assert row(PULP.compile(built), "band[0]") == ({"x[0]": 1, "x[2]": 1}, 1, 4)


def test_sets_are_read_as_they_now_stand() -> None:
    _, built = small()
    x, sos1 = built.columns["x"], built.model.sos1
    sos1["either_0"] = {x[0]: 5, x[1]: 4}
    (sets,) = PULP.compile(built).sos1
    np.testing.assert_array_equal(sets.members, [[1, 0], [1, 2]])
    sos1["either_1"][built.columns["spare"]] = 9
    assert [(s.name, s.members.tolist()) for s in PULP.compile(built).sos1] == [
        ("either_0", [[1, 0]]),
        ("either_1", [[1, 2, 7]]),
    ]
    sos1.clear()
    assert PULP.compile(built).sos1 == ()


def test_the_users_objective_replaces_ours() -> None:
    _, built = small()
    x = built.columns["x"]
    built.model.setObjective(2 * x[1] - 4)
    built.model.sense = pulp.LpMaximize
    form = PULP.compile(built)
    assert (form.sense, form.constant, form.cost[1], form.cost[0]) == ("max", -4, 2, 0)
    built.model.setObjective(x[2])
    assert PULP.compile(built).cost.tolist() == [0, 0, 1, 0, 0, 0, 0, 0]
    built.model.objective = None
    assert PULP.compile(built).cost.tolist() == [0] * 8


def test_a_constraint_made_elastic_is_compiled_with_its_penalties() -> None:
    _, built = small()
    problem, x = built.model, built.columns["x"]
    problem += x[0] + x[1] + x[2] >= 20, "demand"
    demand = problem._constraints.pop("demand")
    problem.extend(demand.makeElasticSubProblem(penalty=10.0))
    form = PULP.compile(built)
    solution = solve_built(built, backend=PULP)
    assert form.shape[1] == 8 + 3
    assert solution.objective == pytest.approx(4 + 4 + 1 + 10 * 12)  # x[2] is 0, the others are 4


def test_what_pulp_leaves_behind_when_it_solves_is_no_part_of_the_problem() -> None:
    program = Program("constant objective")
    program.add("sum", program.variables("x", 2, 0, 1).sum() >= 1)
    built = PULP.build(program)
    built.model.solve(pulp.HiGHS(msg=False))
    assert_same_form(PULP.compile(built), program.compile())


# ── expressions that are made when somebody looks ──────────────────────────────────────────────────────────────────


def constraints(built: Built) -> list[Any]:
    return list(built.model._constraints.values())


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_it_makes_no_difference_who_has_looked_at_which_row(seed: int) -> None:
    rng = np.random.default_rng(seed)
    program = random_program(seed)
    built = PULP.build(program)
    for constraint in constraints(built):
        if rng.random() < 0.5:
            assert len(constraint) == len(list(constraint.keys()))
    assert_same_form(PULP.compile(built), program.compile())


def test_compiling_looks_at_no_row_that_nobody_has_looked_at() -> None:
    _, built = small()
    PULP.compile(built)
    assert {type(constraint) for constraint in constraints(built)} == {DeferredConstraint}
    assert built.rows["budget"][1, 0].value() is None
    PULP.compile(built)
    assert [type(constraint) for constraint in constraints(built)].count(pulp.LpConstraint) == 1


LOOKS: dict[str, Callable[[Any], Any]] = {
    "expression": lambda c: {variable.name: number for variable, number in c.expr.items()},
    "items": lambda c: sorted((variable.name, number) for variable, number in c.items()),
    "length": len,
    "iteration": lambda c: [variable.name for variable in c],
    "text": str,
    "representation": repr,
    "value": lambda c: c.value(),
    "validity": lambda c: c.valid(),
    "sum": lambda c: str(c + 1),
    "negative": lambda c: str(-c),
    "product": lambda c: str(2 * c),
    "copy": lambda c: str(c.copy()),
    "file": lambda c: c.asCplexLpConstraint("name"),
    "data": lambda c: c.toDataclass(),
    "elastic": lambda c: str(c.makeElasticSubProblem(penalty=1.0)),
    "pickle": lambda c: str(pickle.loads(pickle.dumps(c))),
    "deep copy": lambda c: str(copy.deepcopy(c)),
}


@pytest.mark.parametrize("look", LOOKS)
def test_whatever_the_first_look_is_it_sees_a_constraint(look: str) -> None:
    _, built = small()
    x, on = built.columns["x"], built.columns["on"]
    for variable in (x[0], on[1, 1]):
        variable.varValue = 1.0
    made = pulp.LpConstraint(pulp.LpAffineExpression({x[0]: 1.0, on[1, 1]: 1.0}), pulp.LpConstraintGE, "link", 1.0)
    assert LOOKS[look](built.rows["link"]) == LOOKS[look](made)
    assert isinstance(built.rows["link"], pulp.LpConstraint)


def test_an_expression_that_is_replaced_unseen_is_read() -> None:
    _, built = small()
    x = built.columns["x"]
    built.rows["link"].expr = 3 * x[2]
    assert row(PULP.compile(built), "link") == ({"x[2]": 3}, 1, np.inf)


def test_a_problem_can_be_copied_and_pickled() -> None:
    _, built = small()
    text = repr(built.model)
    _, unseen = small()
    assert repr(pickle.loads(pickle.dumps(unseen.model))) == text
    assert list(map(str, unseen.model.deepcopy().constraints())) == list(map(str, constraints(built)))


def test_an_attribute_that_constraints_do_not_have_is_an_error() -> None:
    _, built = small()
    with pytest.raises(AttributeError, match="no attribute 'body'"):
        assert built.rows["link"].body


# ── what is refused ────────────────────────────────────────────────────────────────────────────────────────────────


def second_kind(built: Built) -> None:
    built.model.sos2["near"] = {built.columns["x"][0]: 1, built.columns["x"][1]: 2}


def no_weights(built: Built) -> None:
    built.model.sos1["near"] = list(built.columns["x"])


def not_a_number(built: Built) -> None:
    built.rows["link"].expr[built.columns["x"][1]] = float("nan")


def not_numeric(built: Built) -> None:
    built.rows["budget"][2, 0].expr[built.columns["x"][2]] = None


def no_right_side(built: Built) -> None:
    built.rows["link"].changeRHS(float("inf"))


def no_sense(built: Built) -> None:
    built.rows["link"].sense = "<="


def infinite_cost(built: Built) -> None:
    built.model.setObjective(pulp.LpAffineExpression({built.columns["x"][0]: float("inf")}))


def infinite_constant(built: Built) -> None:
    built.model.objective.constant = float("nan")


def wrong_bound(built: Built) -> None:
    built.columns["x"][1].upBound = float("nan")


def wrong_category(built: Built) -> None:
    built.columns["x"][1].cat = "Semicontinuous"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (second_kind, "sos2 'near' is not mixed-integer linear"),
        (no_weights, "sos1 'near' is no dictionary from variables to weights"),
        (not_a_number, "constraint 'link' has nan times 'x_1'"),
        (not_numeric, r"constraint 'budget\[2,0\]' has None times 'x_2'"),
        (no_right_side, "constraint 'link' has -inf on its right side"),
        (no_sense, "constraint 'link' has sense '<='"),
        (infinite_cost, "the objective has inf times 'x_0'"),
        (infinite_constant, "the objective has the constant nan"),
        (wrong_bound, "variable 'x_1' has upBound nan"),
        (wrong_category, "variable 'x_1' has category 'Semicontinuous'"),
    ],
)
def test_what_cannot_be_compiled_is_refused_by_name(change: Any, message: str) -> None:
    _, built = small()
    change(built)
    with pytest.raises(InputError, match=message):
        PULP.compile(built)


def test_rows_without_variables_hold_or_are_refused() -> None:
    _, built = small()
    problem = built.model
    problem += pulp.LpAffineExpression(constant=3.0) <= 4, "true"
    x = built.columns["x"][0]
    form = PULP.compile(built)
    assert row(form, "true") == ({}, -np.inf, 1)
    problem += x - x >= 2, "false"
    with pytest.raises(InfeasibleProgram, match=r"'false' cannot hold.*\[2, inf\]") as caught:
        PULP.compile(built)
    assert caught.value.rows == ("false",)
    assert solve_built(built, backend=PULP).reason == "infeasible"


# ── the way back ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_solution_stands_where_users_of_pulp_look_for_it() -> None:
    _, built = small()
    problem, x, on = built.model, built.columns["x"], built.columns["on"]
    mine = problem.add_variable("mine", 0, 10)
    problem += x[0] + mine >= 3.5, "more"
    problem.setObjective(problem.objective + 2 * mine)
    solution = solve_built(built, backend=PULP)
    assert solution.held == "proven"
    assert [variable.varValue for variable in x] == solution["x"].tolist()
    assert on[1, 1].value() == solution["on"][1, 1]
    assert mine.value() == solution["mine"]
    assert problem.objective.value() == pytest.approx(solution.objective)
    assert problem.valid(1e-6)
    assert (problem.status, problem.sol_status) == (pulp.LpStatusNotSolved, pulp.LpSolutionIntegerFeasible)
    form = PULP.compile(built)
    assert check(form, np.array([v.varValue for v in (*x, *on.ravel(), built.columns["spare"], mine)])).accepted


def test_values_of_spans_not_given_stay() -> None:
    _, built = small()
    built.columns["x"][0].varValue = 7.0
    PULP.load(built, {"spare": np.array(0.25), "on": np.array([[0.0, 1.0], [1.0, 0.9999999]])})
    assert (built.columns["x"][0].value(), built.columns["spare"].value()) == (7.0, 0.25)
    assert built.columns["on"][1, 1].value() == 0.9999999


def test_values_of_the_wrong_size_are_refused() -> None:
    _, built = small()
    with pytest.raises(InputError, match="'x' have 2 entries; the problem has 3"):
        PULP.load(built, {"x": np.ones(2)})


def test_the_form_is_sorted_within_rows() -> None:
    _, built = small()
    form = PULP.compile(built)
    assert form.A.has_canonical_format
    assert Sorted.of(form).rows.shape == (9, 10)


@pytest.mark.parametrize(
    "way", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))], ids=["copy", "pickle"]
)
def test_a_copied_model_is_about_its_own_variables(way: Callable[[Any], Any]) -> None:
    program = Program("copied")
    x, y = program.variables("x", 3, 0, 10), program.variables("y", 2, 0, 10)
    program.add("one", x.sum() <= 20)
    program.add("two", y.sum() + x[0] <= 5)
    program.maximize(x.sum() + 2 * y.sum())
    built = PULP.build(program)
    form = PULP.compile(replace(built, model=way(built.model)))
    assert form.shape == (2, 10)
    assert not form.A[:, [0, 1, 2, 3, 4]].nnz
    assert form.A.nnz == 6


def test_a_copy_is_refused_where_atoms_would_stay_with_the_original() -> None:
    program = Program("copied")
    x, t = program.variables("x", 2, 0, 3), program.variables("t", 1)
    program.epigraph("square", SumSquares(), x.reshape(1, 2), t)
    built = PULP.build(program)
    assert PULP.compile(built).epigraphs
    with pytest.raises(InputError, match="'x_0' of the program is not in this problem, which seems to be a copy"):
        PULP.compile(replace(built, model=copy.deepcopy(built.model)))
