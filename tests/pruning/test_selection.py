"""Cutting by rank: the budget is never exceeded, and nothing goes that could have stayed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oamip.budget import Budget, Scope
from oamip.decision import Decision, Scores
from oamip.errors import BudgetError, InputError
from oamip.network import (
    Affine,
    Convolution,
    Dense,
    Groups,
    Input,
    Layer,
    Network,
    ReLU,
    cost_of,
    find_groups,
    flatten,
)
from oamip.pruning.selection import select, threshold

SIDE = 4
"""The images are SIDE × SIDE; convolutions keep that size, so their MACs weigh more than their parameters."""


def network(channels: list[int], widths: list[int]) -> Groups:
    """Convolutions ``conv1`` …, then linear layers ``fc1`` … and an output of 2."""
    net, before, inputs = Network(), "x", 1
    net.add(Input("x", (1, SIDE, SIDE), "x"))
    for number, outputs in enumerate(channels, start=1):
        shape, path = (outputs, SIDE, SIDE), f"conv{number}"
        map_ = Convolution(np.ones((outputs, inputs, 3, 3)), (inputs, SIDE, SIDE), (1, 1), ((1, 1), (1, 1)), (1, 1))
        before = net.add(Affine(path, shape, path, np.ones(shape), Layer(path, "conv", True)), (before, map_))
        before, inputs = net.add(ReLU(f"{path}.relu", shape, path), (before, None)), outputs
    inputs *= SIDE * SIDE
    before = net.add(Affine("flat", (inputs,), "flat", np.zeros(inputs)), (before, flatten(net[before].shape)))
    for number, outputs in enumerate([*widths, 2], start=1):
        path, map_ = f"fc{number}", Dense(np.ones((outputs, inputs)), (inputs,))
        before = net.add(Affine(path, (outputs,), path, np.ones(outputs), Layer(path, "linear", True)), (before, map_))
        if number <= len(widths):
            before = net.add(ReLU(f"{path}.relu", (outputs,), path), (before, None))
        inputs = outputs
    net.outputs = (before,)
    return find_groups(net)


def count(groups: Groups, keep: np.ndarray, measure: str) -> int:
    """What is left, by the formulas of the layers and not by `Cost`."""
    kept = {group.name: int(keep[group.slice].sum()) for group in groups.groups}
    if measure == "units":
        return int(keep.sum())
    total, inputs = 0, 1
    for name, left in [*kept.items(), ("output", 2)]:
        if name.startswith("conv"):
            total += left * inputs * 9 * (SIDE**2 if measure == "macs" else 1)
            inputs = left
        else:
            first = name == "fc1" or (name == "output" and "fc1" not in kept)
            total += left * inputs * (SIDE**2 if first else 1)
            inputs = left
        total += left * (measure == "params")
    return total


def kept(decision: Decision) -> dict[str, int]:
    return {name: int(mask.sum()) for name, mask in decision.keep.items()}


def scored(groups: Groups, seed: int) -> Scores:
    """Few different scores and ties, so that every rule of the ranking is needed."""
    rng = np.random.default_rng(seed)
    return Scores.of(groups, rng.integers(0, 4, groups.size) / 4, rng.integers(0, 3, groups.size) * 1.0, method="test")


networks = st.builds(
    network, st.lists(st.integers(1, 9), min_size=1, max_size=2), st.lists(st.integers(1, 14), min_size=0, max_size=2)
)
fractions = st.integers(5, 95).map(lambda percent: percent / 100)
scopes = st.builds(Scope, least=st.integers(1, 3), multiple=st.integers(1, 4))
measures = st.sampled_from(["units", "params", "macs"])
seeds = st.integers(0, 10**6)


def smallest(groups: Groups, scope: Scope) -> np.ndarray:
    """As few units of every group as it may keep."""
    return np.concatenate([np.arange(group.size) < scope.smallest(group.size) for group in groups.groups])


def selected(groups: Groups, scores: Scores, budget: Budget, scope: Scope) -> np.ndarray | None:
    """What stays; None where no choice at all meets the budget, which is asserted."""
    try:
        return select(scores, groups, budget, scope).flat(groups)
    except BudgetError:
        if budget.per == "layer":
            assert any(scope.smallest(group.size) > budget.allowed(group.size) for group in groups.groups)
        else:
            total = count(groups, np.ones(groups.size, bool), budget.measure)
            assert count(groups, smallest(groups, scope), budget.measure) > budget.allowed(total)
        return None


# ── a global budget ──────────────────────────────────────────────────────────────────────────────────────────────────


@settings(deadline=None, max_examples=150)
@given(networks, seeds, measures, fractions, scopes)
def test_the_budget_is_met_and_no_unit_less_would_do(groups, seed, measure, fraction, scope) -> None:
    scores = scored(groups, seed)
    keep = selected(groups, scores, Budget(measure, fraction), scope)
    if keep is None:
        return
    allowed = Budget(measure, fraction).allowed(count(groups, np.ones(groups.size, bool), measure))
    assert count(groups, keep, measure) <= allowed

    order = np.lexsort((np.arange(groups.size), *reversed(scores.flat(groups))))  # the least important first
    best = max(np.flatnonzero(~keep), key=lambda unit: order.tolist().index(unit))
    group = next(group for group in groups.groups if best in range(group.start, group.start + group.size))
    more = scope.smallest(group.size, int(keep[group.slice].sum()) + 1)
    back = keep.copy()
    back[[unit for unit in order if unit in range(group.start, group.start + group.size)][-more:]] = True
    assert back[best]
    assert count(groups, back, measure) > allowed


@settings(deadline=None)
@given(networks, seeds, measures, fractions, scopes)
def test_every_group_keeps_its_best_in_a_number_that_is_allowed(groups, seed, measure, fraction, scope) -> None:
    scores = scored(groups, seed)
    keep = selected(groups, scores, Budget(measure, fraction), scope)
    if keep is None:
        return
    values, ties = scores.flat(groups)
    for group in groups.groups:
        mine, number = keep[group.slice], int(keep[group.slice].sum())
        assert number == group.size or (number >= scope.least and number % scope.multiple == 0)
        ranked = list(zip(values[group.slice], ties[group.slice], range(group.size), strict=True))
        assert min(ranked[i] for i in np.flatnonzero(mine)) == sorted(ranked)[group.size - number]


@settings(deadline=None)
@given(networks, seeds, measures, scopes)
def test_a_budget_out_of_reach_names_one_within(groups, seed, measure, scope) -> None:
    scores = scored(groups, seed)
    total = count(groups, np.ones(groups.size, bool), measure)
    least = count(groups, smallest(groups, scope), measure)
    with pytest.raises(BudgetError, match=rf"the smallest reachable is {least:,}\b") as caught:
        select(scores, groups, Budget(measure, 0.9 * least / total), scope)
    advice = Budget.parse(str(caught.value).partition("ask for ")[2].split()[0])
    assert count(groups, select(scores, groups, advice, scope).flat(groups), measure) <= advice.allowed(total)


def test_score_then_tie_then_index_decide() -> None:
    groups = network([4], [2])
    scores = Scores.of(groups, np.array([1.0, 1, 1, 0, 1, 1]), np.array([1.0, 0, 0, 9, 0, 1]), method="test")
    removed = [np.flatnonzero(~select(scores, groups, Budget("units", n), Scope()).flat(groups)) for n in (5, 4, 3, 2)]
    assert [units.tolist() for units in removed] == [[3], [1, 3], [1, 2, 3], [1, 2, 3, 4]]


def test_fractions_are_of_the_whole_network_when_the_scope_is_narrow() -> None:
    groups = network([6], [20])
    scores = scored(groups, 0)
    total, _ = cost_of(groups).count()
    decision = select(scores, groups, Budget("params", 0.6), Scope(exclude=("conv1",)))
    assert set(decision.keep) == {"fc1"}
    assert 0.55 * total < cost_of(groups).count(decision.flat(groups))[0] <= 0.6 * total
    assert decision.note.startswith(f"params=0.6: {cost_of(groups).count(decision.flat(groups))[0]:,} of {total:,}")
    units = select(scores, groups, Budget("units", 0.5), Scope(exclude=("conv1",)))
    assert kept(units) == {"fc1": 7}  # 13 of 26, 6 of which are out of scope


def test_a_budget_that_holds_already_removes_nothing_and_says_so() -> None:
    groups = network([3], [4])
    decision = select(scored(groups, 0), groups, Budget("params", 10**9))
    assert decision.removed == 0
    assert "holds with nothing removed" in decision.note


def test_scores_need_to_cover_the_scope_and_no_more() -> None:
    groups = network([3], [4])
    scores = Scores({"fc1": np.arange(4.0)})
    assert kept(select(scores, groups, Budget("units", 0.8), Scope(include=("fc1",)))) == {"fc1": 2}
    with pytest.raises(InputError, match="group 'conv1'"):
        select(scores, groups, Budget("units", 0.8))


# ── per layer ────────────────────────────────────────────────────────────────────────────────────────────────────────


@settings(deadline=None)
@given(networks, seeds, fractions, scopes)
def test_per_layer_every_group_keeps_the_largest_number_allowed(groups, seed, fraction, scope) -> None:
    budget = Budget("units", fraction, "layer")
    keep = selected(groups, scored(groups, seed), budget, scope)
    if keep is None:
        return
    for group in groups.groups:
        number = int(keep[group.slice].sum())
        assert number <= fraction * group.size + 1e-9
        assert number == scope.largest(group.size, budget.allowed(group.size))


def test_a_group_too_small_for_its_share_is_named() -> None:
    groups = network([3], [40])
    with pytest.raises(BudgetError, match=r"0 of the 3 units of group 'conv1', and the smallest number .* is 1"):
        select(scored(groups, 0), groups, Budget("units", 0.3, "layer"))


# ── a threshold ──────────────────────────────────────────────────────────────────────────────────────────────────────


@settings(deadline=None)
@given(networks, seeds, st.sampled_from([0.0, 0.1, 0.25, 0.6]), scopes)
def test_a_threshold_keeps_what_reaches_it_and_what_its_group_needs(groups, seed, tau, scope) -> None:
    scores = scored(groups, seed)
    values, ties = scores.flat(groups)
    tau = min(tau, values.max())
    keep = threshold(scores, groups, tau, scope).flat(groups)
    assert keep[values >= tau].all()
    for group in groups.groups:
        above = int((values[group.slice] >= tau).sum())
        assert keep[group.slice].sum() == scope.smallest(group.size, above)
        ranked = sorted(zip(values[group.slice], ties[group.slice], range(group.size), strict=True), reverse=True)
        assert keep[group.slice][[i for *_, i in ranked[: keep[group.slice].sum()]]].all()


@pytest.mark.parametrize(("tau", "message"), [(1.1, "above every score: 0 to 1"), (float("nan"), "not a number")])
def test_a_threshold_above_every_score_is_refused(tau: float, message: str) -> None:
    groups = network([3], [4])
    scores = Scores.of(groups, np.array([0.0, 0, 0, 0, 1, 1, 1]), method="test")
    with pytest.raises(BudgetError, match=message):
        threshold(scores, groups, tau)


def test_a_threshold_says_what_it_spared() -> None:
    groups = network([3], [4])
    scores = Scores.of(groups, np.array([0.0, 0, 0, 0, 1, 1, 1]), method="test")
    decision = threshold(scores, groups, 0.1)
    assert kept(decision) == {"conv1": 1, "fc1": 3}
    assert decision.note == (
        "units with a score below 0.1 go: 3 of 7 in scope; 1 more stay because their group must keep them"
    )
