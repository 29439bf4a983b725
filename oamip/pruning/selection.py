"""From scores to a decision: rank the units, then cut where the budget or the threshold says.

Units are ranked by score, then tie, then index; the largest go last. Whatever the cut, a group that would fall below
`Scope.least` or between two multiples takes back the best of what it lost, so the sets kept for successive cuts contain
one another. Their cost only falls, and the first cut that meets a budget is found by bisection, with a recount of the
whole network at each step: parameters and MACs are products over neighbouring groups, nothing is added up per unit.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.budget import EVERYTHING, Budget, Measure, Scope
from oamip.decision import Decision, Scores
from oamip.errors import BudgetError
from oamip.network import Groups, cost_of

__all__ = ["meets", "same_counts", "select", "threshold"]

Mask: TypeAlias = NDArray[np.bool_]

_NAMES = {"units": "units", "params": "parameters", "macs": "MACs"}


def select(scores: Scores, groups: Groups, budget: Budget, scope: Scope = EVERYTHING) -> Decision:
    """Remove the least important units until the budget holds, and no unit more.

    A fraction is one of the whole network, also when the scope leaves groups out; per layer it is one of each group in
    scope.

    Args:
        scores: at least one number for every unit in scope.
        groups: all units of the network.
        budget: how much may stay; never exceeded.
        scope: which groups may lose units, and how many each keeps.

    Returns:
        A decision on the groups in scope. One that removes nothing, because the budget holds as it is, says so in its
        note; what that means is for the caller to decide.

    Raises:
        BudgetError: the budget cannot be met; says the smallest figure that can.
        InputError: scores are missing, or nothing is in scope.
    """
    inside = scope.select(groups)
    ranking = _Ranking.of(scores, inside, scope)
    keep = _per_layer(ranking, budget) if budget.per == "layer" else _global(ranking, groups, budget)
    count = _counter(groups, inside, budget.measure)
    total, left = count(np.ones(inside.size, dtype=np.bool_)), count(keep)
    note = f"{budget}: {left:,} of {total:,} {_NAMES[budget.measure]} stay ({left / max(total, 1):.1%})"
    if keep.all():
        note += ", so the budget holds with nothing removed"
    return Decision.of(inside, keep, scores, note)


def threshold(scores: Scores, groups: Groups, tau: float, scope: Scope = EVERYTHING) -> Decision:
    """Remove every unit with a score below ``tau``: the rule of OAMIP.

    Args:
        scores: at least one number for every unit in scope.
        groups: all units of the network.
        tau: a unit with exactly this score stays.
        scope: which groups may lose units; a group takes back its best units where it must keep more.

    Returns:
        A decision on the groups in scope, which may remove nothing.

    Raises:
        BudgetError: no score reaches ``tau``, or it is not a number.
        InputError: scores are missing, or nothing is in scope.
    """
    inside = scope.select(groups)
    values = scores.flat(inside)[0]
    if math.isnan(tau):
        raise BudgetError("the threshold is not a number")
    if tau > values.max():
        raise BudgetError(f"threshold {tau:g} is above every score: {values.min():g} to {values.max():g}")
    above = values >= tau
    keep = _Ranking.of(scores, inside, scope).completed(above)
    note = f"units with a score below {tau:g} go: {int((~keep).sum()):,} of {inside.size:,} in scope"
    if spared := int((keep & ~above).sum()):
        note += f"; {spared:,} more stay because their group must keep them"
    return Decision.of(inside, keep, scores, note)


def same_counts(scores: Scores, groups: Groups, decision: Decision) -> Decision:
    """Keep as many units of every group as another decision does, chosen by these scores."""
    inside = groups.only(set(decision.keep))
    ranking = _Ranking.of(scores, inside, EVERYTHING)
    keep = ranking.best([int(np.count_nonzero(decision.keep[group.name])) for group in inside.groups])
    return Decision.of(inside, keep, scores, "as many units of every layer")


def meets(budget: Budget, groups: Groups, inside: Groups) -> Callable[[Mask], bool]:
    """A test of whether the network meets a budget when these units of ``inside`` (a part of ``groups``) stay."""
    if budget.per == "layer":
        # A group of few units may be allowed less than one; select says so, here the last unit counts as enough.
        limits = [(group.slice, max(1, budget.allowed(group.size))) for group in inside.groups]
        return lambda keep: all(int(keep[units].sum()) <= limit for units, limit in limits)
    count = _counter(groups, inside, budget.measure)
    allowed = budget.allowed(count(np.ones(inside.size, dtype=np.bool_)))
    return lambda keep: count(keep) <= allowed


@dataclass(frozen=True)
class _Ranking:
    """The units in scope, in order of importance.

    Args:
        groups: the groups in scope.
        scope: what each must keep.
        place: per unit, the number of units that are less important; a permutation.
    """

    groups: Groups
    scope: Scope
    place: NDArray[np.intp]

    @staticmethod
    def of(scores: Scores, groups: Groups, scope: Scope) -> _Ranking:
        values, ties = scores.flat(groups)
        place = np.empty(groups.size, dtype=np.intp)
        place[np.lexsort((ties, values))] = np.arange(groups.size)  # lexsort is stable: the index breaks what is left
        return _Ranking(groups, scope, place)

    def without(self, worst: int) -> Mask:
        """What stays when the ``worst`` least important units go, except those that their group must keep."""
        return self.completed(self.place >= worst)

    def completed(self, keep: Mask) -> Mask:
        """The smallest superset of a cut that gives every group a number of units it may keep."""
        counts = [self.scope.smallest(group.size, int(keep[group.slice].sum())) for group in self.groups.groups]
        return self.best(counts)

    def best(self, counts: list[int]) -> Mask:
        """The most important units of each group, so many (at least one) of each."""
        keep = np.empty(self.place.size, dtype=np.bool_)
        for group, count in zip(self.groups.groups, counts, strict=True):
            place = self.place[group.slice]
            keep[group.slice] = place >= np.partition(place, group.size - count)[group.size - count]
        return keep


def _global(ranking: _Ranking, groups: Groups, budget: Budget) -> Mask:
    units = ranking.groups.size
    count = _counter(groups, ranking.groups, budget.measure)
    total = count(ranking.without(0))
    allowed = budget.allowed(total)
    smallest = count(ranking.without(units))
    if smallest > allowed:
        name = _NAMES[budget.measure]
        fraction = math.ceil(10_000 * smallest / total) / 10_000
        raise BudgetError(
            f"budget {budget} allows {allowed:,} of {total:,} {name}, and the smallest reachable is {smallest:,}, with "
            f"every group in scope cut as far as it may be: ask for {budget.measure}={fraction:g} or more, or widen "
            "the scope"
        )
    return ranking.without(
        bisect.bisect_left(range(units), True, key=lambda cut: count(ranking.without(cut)) <= allowed)
    )


def _per_layer(ranking: _Ranking, budget: Budget) -> Mask:
    counts = []
    for group in ranking.groups.groups:
        allowed = budget.allowed(group.size)
        count = ranking.scope.largest(group.size, allowed)
        if not count:
            raise BudgetError(
                f"budget {budget} allows {allowed} of the {group.size} units of group '{group.name}', and the smallest "
                f"number that it may keep is {ranking.scope.smallest(group.size)}: raise the budget, exclude the "
                "group, or use a global budget"
            )
        counts.append(count)
    return ranking.best(counts)


def _counter(groups: Groups, inside: Groups, measure: Measure) -> Callable[[Mask], int]:
    """Counts the whole network that is left, given which units in scope stay."""
    if measure == "units":
        outside = groups.size - inside.size
        return lambda keep: outside + int(keep.sum())
    cost, which = cost_of(inside), ("params", "macs").index(measure)
    return lambda keep: cost.count(keep)[which]
