"""Scores, decisions, budgets and scopes are plain data: they go to JSON and back, and refuse what they cannot mean."""

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oamip.budget import Budget, Scope
from oamip.decision import Decision, Scores
from oamip.errors import BudgetError, InputError
from oamip.network import Affine, Dense, Groups, Input, Layer, Network, ReLU, find_groups


def mlp(*widths: int) -> Groups:
    """Groups ``fc1``, ``fc2`` … of a plain network with these widths, input and output included."""
    network = Network()
    before = network.add(Input("x", (widths[0],), "x"))
    for number, (columns, rows) in enumerate(itertools.pairwise(widths), start=1):
        map_ = Dense(np.ones((rows, columns)), (columns,))
        path = f"fc{number}"
        before = network.add(Affine(path, (rows,), path, np.zeros(rows), Layer(path, "linear", True)), (before, map_))
        if number < len(widths) - 1:
            before = network.add(ReLU(f"relu{number}", (rows,), f"relu{number}"), (before, None))
    network.outputs = (before,)
    return find_groups(network)


GROUPS = mlp(2, 3, 4, 2)


# ── scores and decisions ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "mask", [np.ones(8, dtype=bool), np.ones(6, dtype=bool), np.ones(7), np.ones((7, 1), dtype=bool)]
)
def test_a_decision_takes_one_bool_for_each_unit(mask: np.ndarray) -> None:
    assert Decision.of(GROUPS, np.arange(7) > 0).removed == 1
    with pytest.raises(InputError, match="one bool for each of 7 units"):
        Decision.of(GROUPS, mask)


def test_scores_come_back_from_json() -> None:
    scores = Scores.of(GROUPS, np.arange(7) / 3, np.ones(7), method="l2", samples=10)
    again = Scores.from_dict(json.loads(json.dumps(scores.to_dict())))
    np.testing.assert_array_equal(again.flat(GROUPS), scores.flat(GROUPS))
    assert (again.method, again.facts) == ("l2", {"samples": 10})


def test_missing_ties_are_zero_and_other_groups_are_ignored() -> None:
    scores = Scores({"fc1": np.arange(3.0), "fc2": np.arange(4.0), "elsewhere": np.ones(9)}, {"fc2": np.ones(4)})
    values, ties = scores.flat(GROUPS)
    assert values.tolist() == [0, 1, 2, 0, 1, 2, 3]
    assert ties.tolist() == [0, 0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize("part", ["values", "ties"])
def test_scores_of_another_network_are_refused(part: str) -> None:
    arrays = {"values": {"fc1": np.ones(3), "fc2": np.ones(4)}, "ties": {}}
    arrays[part] = {**arrays[part], "fc2": np.ones(5)}
    with pytest.raises(InputError, match=r"5 numbers for group 'fc2', which has 4 units"):
        Scores(**arrays).flat(GROUPS)
    with pytest.raises(InputError, match="group 'fc2'"):
        Scores({"fc1": np.ones(3)}).flat(GROUPS)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_scores_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(InputError, match="'fc1' contain numbers that are not finite"):
        Scores({"fc1": np.array([0.0, bad])})


@pytest.mark.parametrize("data", [{}, {"values": [1]}, {"values": {"a": ["x"]}}, {"values": None}])
def test_what_are_no_scores_is_refused(data: dict) -> None:
    with pytest.raises(InputError, match="these are not scores"):
        Scores.from_dict(data)


def test_decision_comes_back_from_a_file(tmp_path) -> None:
    keep = np.array([True, False, True, False, False, True, True])
    decision = Decision.of(GROUPS, keep, Scores.of(GROUPS, np.arange(7.0), method="l1"), "by hand")
    decision.save(tmp_path / "new" / "decision.json")
    again = Decision.load(tmp_path / "new" / "decision.json")
    assert again.to_dict() == decision.to_dict()
    assert again.flat(GROUPS).tolist() == keep.tolist()
    assert again.removed == 3


def test_groups_that_are_not_named_stay_whole() -> None:
    assert Decision({"fc1": np.array([True, False, False])}).flat(GROUPS).tolist() == [1, 0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        ({"fc9": np.ones(3, bool)}, "names group 'fc9'; the network has fc1, fc2"),
        ({"fc1": np.ones(4, bool)}, "4 units for group 'fc1', which has 3"),
        ({"fc1": np.zeros(3, bool)}, "removes every unit of group 'fc1'"),
    ],
)
def test_decisions_that_do_not_fit_are_refused(keep: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Decision(keep).flat(GROUPS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "no decision"),
        ("{", "Expecting"),
        ("{}", "'oamip_decision' is missing"),
        ('{"oamip_decision": 2}', "format 2 is not known"),
        ('{"oamip_decision": 1, "note": "", "scores": null, "keep": {"a": [1, 2]}}', "another mark"),
    ],
)
def test_files_that_hold_no_decision_are_refused_by_name(tmp_path, text: str, message: str) -> None:
    path = tmp_path / "some.json"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"some\.json: .*{message}"):
        Decision.load(path)
    with pytest.raises(InputError, match=r"none\.json: cannot be read"):
        Decision.load(tmp_path / "none.json")


# ── budgets ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("units=0.5", Budget("units", 0.5)),
        ("units=0.5/layer", Budget("units", 0.5, "layer")),
        ("params=70%/global", Budget("params", 0.7)),
        ("macs=40000", Budget("macs", 40000)),
        ("params=1e6", Budget("params", 1_000_000)),
    ],
)
def test_budgets_are_read_from_text(text: str, budget: Budget) -> None:
    assert Budget.parse(text) == budget


@given(st.sampled_from(["units", "params", "macs"]), st.floats(1e-6, 1.0) | st.integers(2, 10**12))
def test_budgets_survive_their_text(measure, keep) -> None:
    budget = Budget(measure, keep)
    assert Budget.parse(str(budget)) == budget


@pytest.mark.parametrize(
    "text",
    ["", "params", "params=", "=0.5", "flops=0.5", "units=0.5/", "units=0.5/row", "params=0.5/layer", "units=10/layer"],
)
def test_budgets_that_mean_nothing_are_refused(text: str) -> None:
    with pytest.raises(BudgetError, match="budget"):
        Budget.parse(text)


@pytest.mark.parametrize("amount", ["many", "0", "-1", "nan", "inf", "1.5", "150%"])
def test_budgets_without_an_amount_are_refused(amount: str) -> None:
    with pytest.raises(BudgetError, match="budget"):
        Budget.parse(f"params={amount}")


@pytest.mark.parametrize("keep", [0, -1, math.nan, math.inf, 1.5])
def test_amounts_that_mean_nothing_are_refused(keep: float) -> None:
    with pytest.raises(BudgetError, match="keeps a fraction"):
        Budget("params", keep)


@given(st.integers(1, 999), st.integers(1, 10**9))
def test_a_fraction_allows_its_exact_floor(thousandths: int, total: int) -> None:
    assert Budget("params", thousandths / 1000).allowed(total) == thousandths * total // 1000


def test_a_count_allows_itself() -> None:
    assert Budget("params", 40_000).allowed(10) == 40_000


# ── scope ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_scope_takes_and_leaves_out_by_pattern() -> None:
    groups = mlp(2, 3, 4, 5, 2)
    assert [group.name for group in Scope(exclude=("*2",)).select(groups).groups] == ["fc1", "fc3"]
    assert [group.name for group in Scope(include=("fc[12]",), exclude=("fc1",)).select(groups).groups] == ["fc2"]


def test_scope_refuses_patterns_without_a_layer_and_an_empty_rest() -> None:
    with pytest.raises(InputError, match=r"'conv\*' matches no layer; there are fc1, fc2, fc3"):
        Scope(include=("conv*",)).select(GROUPS)
    with pytest.raises(InputError, match=r"nothing to prune.*'fc3': its channels are outputs"):
        Scope(include=("fc3",)).select(GROUPS)


@pytest.mark.parametrize("change", [{"least": 0}, {"multiple": 0}])
def test_scope_refuses_to_empty_a_group(change: dict) -> None:
    with pytest.raises(InputError, match="at least 1"):
        Scope(**change)


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 9), st.integers(0, 45))
def test_scope_rounds_to_the_nearest_number_allowed(size: int, least: int, multiple: int, number: int) -> None:
    scope = Scope(least=least, multiple=multiple)
    allowed = {n for n in range(1, size + 1) if n == size or (n >= least and n % multiple == 0)}
    assert scope.smallest(size, number) == min({n for n in allowed if n >= number}, default=size)
    assert scope.largest(size, number) == max({n for n in allowed if n <= number}, default=0)
