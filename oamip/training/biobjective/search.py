"""Which weights to solve for next: searches over weighted sums, as functions of a solver of weighted sums.

A search asks for the minimum of ``λ1 f1 + λ2 f2`` for some weights, looks at the points, and asks again. It knows
nothing of networks: ``solve_all`` takes the weights of one level and returns their points in order, one after the other
(`in_turn`) or side by side through any executor (`side_by_side`).

Reiners, Klamroth and Stiglmayr (arXiv 2008.13590): after each level points that are dominated, or lie above the chord
of the extreme ones, are put aside, and each pair of neighbours that is left proposes one weight for the next level.
Ours: pairs with a larger rectangle between them come first, and those with less than a thousandth of the rectangle
between the extremes propose nothing; solves at the flat ends of a front are lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, as_completed
from itertools import pairwise
from typing import Protocol, TypeAlias, TypeVar

import numpy as np

from oamip.errors import InputError
from oamip.training.biobjective.pareto import below_chord

__all__ = [
    "GRID",
    "LEAST",
    "NEARNESS",
    "RESOLUTION",
    "START",
    "SolveAll",
    "Solved",
    "Weights",
    "bisection",
    "dichotomic",
    "grid",
    "in_turn",
    "normal",
    "side_by_side",
    "stochastic",
]

Weights: TypeAlias = tuple[float, float]
"""(λ1, λ2) ≥ 0 with λ1 + λ2 = 1."""


class Solved(Protocol):
    """A point that came out of a weighted sum."""

    @property
    def weights(self) -> Weights:
        """The weights it was solved for."""
        ...

    @property
    def values(self) -> tuple[float, float]:
        """(f1, f2), both to be small."""
        ...


P = TypeVar("P", bound=Solved)
SolveAll: TypeAlias = Callable[[Sequence[Weights]], Sequence[P]]
Propose: TypeAlias = Callable[[P, P, Sequence[P]], Weights | None]
"""The next weights for two neighbours, the one with the smaller f2 first, given all points so far."""

START: tuple[Weights, ...] = ((1.0, 0.0), (0.9, 0.1))
"""The first weights of every search, as published."""

GRID: tuple[float, ...] = (
    0.0,
    *(digit * 10.0**power for power in (-5, -4, -3) for digit in range(1, 10)),
    *(0.01, 0.015, 0.02, 0.025, 0.03, 0.035, 0.05, 0.07, 0.09, 0.1),
)
"""Weights λ2 over the range in which the authors draw their front, denser where it bends."""

RESOLUTION = 1e-3
"""Relative difference of λ2 under which two weights are one."""

LEAST = 1e-3
"""Share of the rectangle between the extremes under which the one between two neighbours is not divided."""

NEARNESS = 0.1
"""Relative difference of λ2/λ1 under which a normal is about what one of its two points was solved for."""

_ROUNDING = 1e-9


def in_turn(solve: Callable[[Weights], P], told: Callable[[P], object] | None = None) -> SolveAll[P]:
    """One solve after the other; ``told`` of each point."""

    def solve_all(weights: Sequence[Weights]) -> Sequence[P]:
        points = []
        for one in weights:
            points.append(solve(one))
            if told is not None:
                told(points[-1])
        return points

    return solve_all


def side_by_side(
    solve: Callable[[Weights], P], executor: Executor, told: Callable[[P], object] | None = None
) -> SolveAll[P]:
    """The solves of one level through an executor; the first error stops those that have not begun.

    Args:
        solve: can be pickled, if the executor is one of processes.
        executor: any `concurrent.futures.Executor`.
        told: of each point, as soon as it is there.
    """

    def solve_all(weights: Sequence[Weights]) -> Sequence[P]:
        futures = [executor.submit(solve, one) for one in weights]
        try:
            for future in as_completed(futures):
                point = future.result()
                if told is not None:
                    told(point)
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()

    return solve_all


def normal(left: Solved, right: Solved) -> Weights | None:
    """The weights for which two points are equally good: the normal of the segment between them.

    With Δ = right − left: ``λ = (Δ2, −Δ1) / (|Δ1| + |Δ2|)``; ``None`` if the points are equal.
    """
    first, second = (b - a for a, b in zip(left.values, right.values, strict=True))
    size = abs(first) + abs(second)
    return None if size == 0 else (abs(second) / size, abs(first) / size)


def dichotomic(
    solve_all: SolveAll[P],
    *,
    levels: int = 15,
    solves: int = 20,
    start: Sequence[Weights] = START,
    resolution: float = RESOLUTION,
    least: float = LEAST,
    nearness: float = NEARNESS,
) -> list[P]:
    """Each pair of neighbours proposes the normal of its segment; no weight is solved twice.

    If the solves are exact, the points are the corners of the convex hull between the first two, and the search ends by
    itself once it has found them all. A solve that finds nothing better than the neighbour with the smaller f2, or is
    worse than both, may be one that failed: a network that died of too large a λ2. The published search is at its end
    there; here the pair goes on, halfway to the weights of the neighbour with the larger f2, until a solve is as good
    as that neighbour. And where the normal is about what one of the two was solved for, as it is when trainings are too
    short to reach their minimum, the pair proposes the geometric mean of both λ2/λ1.

    Args:
        solve_all: see the module's page.
        levels: at most so many after the start.
        solves: at most so many in all.
        start: the weights of the first level.
        resolution: relative difference under which two weights λ2 are one, or two points.
        least: share of the rectangle between the extremes under which that of a pair is left alone.
        nearness: relative difference of λ2/λ1 under which a normal is about the weights of a neighbour.

    Returns:
        All points that were solved, in that order.
    """

    def propose(left: P, right: P, points: Sequence[P]) -> Weights | None:
        weights = normal(left, right)
        if weights is not None and any(_near(weights, point.weights, nearness) for point in (left, right)):
            weights = _mean_price(left.weights, right.weights)
        while weights is not None and (met := _solved(weights[1], points, resolution)) is not None:
            as_good = _weighted(weights, met) <= _weighted(weights, right) * (1.0 + _ROUNDING)
            if met is right or (as_good and not _alike(met, left, right, resolution)):
                return None
            weights = _between(weights, right.weights)
        return weights

    return _search(solve_all, propose, levels, solves, start, least)


def stochastic(
    solve_all: SolveAll[P],
    *,
    levels: int = 15,
    solves: int = 20,
    start: Sequence[Weights] = START,
    seed: int = 0,
    digits: int = 4,
    repeats: int = 3,
    resolution: float = RESOLUTION,
    least: float = LEAST,
) -> list[P]:
    """Dichotomic search that draws a weight where the geometric one stalls, as it does when solves are not exact.

    Where two neighbours are equal, or the normal's λ2, rounded, was tried ``repeats`` times (or itself was tried once:
    a solve has one answer), λ1 is drawn from U(0.9 λ1', λ1') instead, with λ1' that of the neighbour of larger f2.

    Args:
        solve_all: see the module's page.
        levels: at most so many after the start.
        solves: at most so many in all.
        start: the weights of the first level.
        seed: of the draws; they depend on the points alone, not on the order in which solves end.
        digits: decimals to which λ2 is rounded.
        repeats: how often a rounded λ2 is tried.
        resolution: relative difference of λ2 under which two weights are one.
        least: share of the rectangle between the extremes under which that of a pair is left alone.
    """
    rng = np.random.default_rng(seed)
    tried: list[float] = [round(weights[1], digits) for weights in start]
    exactly: list[float] = [weights[1] for weights in start]

    def propose(left: P, right: P, points: Sequence[P]) -> Weights:  # noqa: ARG001
        weights = normal(left, right)
        if (
            weights is None
            or _among(weights[1], exactly, resolution)
            or tried.count(round(weights[1], digits)) >= repeats
        ):
            most = right.weights[0]
            first = float(rng.uniform(0.9 * most, most))
            weights = (first, 1.0 - first)
        tried.append(round(weights[1], digits))
        exactly.append(weights[1])
        return weights

    return _search(solve_all, propose, levels, solves, start, least)


def bisection(
    solve_all: SolveAll[P],
    *,
    levels: int = 5,
    solves: int = 20,
    start: Sequence[Weights] = START,
    resolution: float = RESOLUTION,
    least: float = LEAST,
) -> list[P]:
    """Each pair of neighbours proposes the mean of the weights that they were solved for; arguments as `dichotomic`.

    Where that was solved before and put aside, the mean of it and those of the neighbour with the larger f2.
    """

    def middle(left: P, right: P, points: Sequence[P]) -> Weights | None:
        weights = _between(left.weights, right.weights)
        while (met := _solved(weights[1], points, resolution)) is not None:
            if met is right or met is left:
                return None
            weights = _between(weights, right.weights)
        return weights

    return _search(solve_all, middle, levels, solves, start, least)


def grid(solve_all: SolveAll[P], *, solves: int | None = None, weights: Sequence[float] = GRID) -> list[P]:
    """All of some weights λ2 at once; with ``solves``, so many of them, evenly spread along the list."""
    chosen = np.asarray(weights, dtype=np.float64)
    if solves is not None and solves < len(chosen):
        chosen = chosen[np.linspace(0, len(chosen) - 1, _positive(solves, "solves")).round().astype(int)]
    return list(solve_all([(1.0 - second, second) for second in chosen.tolist()]))


def _search(
    solve_all: SolveAll[P],
    propose: Propose[P],
    levels: int,
    solves: int,
    start: Sequence[Weights],
    least: float,
) -> list[P]:
    points = list(solve_all(start[: _positive(solves, "solves")]))
    for _ in range(levels):
        left = [points[index] for index in below_chord([point.values for point in points])]
        smallest = least * _area(left[0], left[-1]) if left else 0.0
        pairs = sorted(pairwise(left), key=lambda pair: -_area(*pair))
        wanted: list[Weights] = []
        for pair in pairs:
            weights = propose(*pair, points) if _area(*pair) >= smallest else None
            if weights is not None and not _among(weights[1], [other[1] for other in wanted], _ROUNDING):
                wanted.append(weights)
        wanted = wanted[: solves - len(points)]
        if not wanted:
            break
        points += solve_all(wanted)
    return points


def _area(one: Solved, other: Solved) -> float:
    return abs((one.values[0] - other.values[0]) * (one.values[1] - other.values[1]))


def _between(one: Weights, other: Weights) -> Weights:
    second = (one[1] + other[1]) / 2
    return (1.0 - second, second)


def _near(one: Weights, other: Weights, nearness: float) -> bool:
    first, second = one[1] * other[0], other[1] * one[0]  # λ2/λ1 of both, times the same
    return min(first, second) > 0 and abs(first - second) <= nearness * max(first, second)


def _mean_price(one: Weights, other: Weights) -> Weights:
    """The geometric mean of two λ2/λ1; of two λ2 the mean where one of them is zero."""
    if min(*one, *other) == 0:
        return _between(one, other)
    price = float(np.sqrt(one[1] / one[0] * (other[1] / other[0])))
    return (1.0 / (1.0 + price), price / (1.0 + price))


def _weighted(weights: Weights, point: Solved) -> float:
    return weights[0] * point.values[0] + weights[1] * point.values[1]


def _alike(point: Solved, left: Solved, right: Solved, resolution: float) -> bool:
    """Whether a point is where ``left`` is, measured by the segment from there to ``right``."""
    return all(
        abs(p - a) <= resolution * abs(b - a) for p, a, b in zip(point.values, left.values, right.values, strict=True)
    )


def _solved(second: float, points: Sequence[P], resolution: float) -> P | None:
    """The latest point that was solved for a weight λ2."""
    return next((point for point in reversed(points) if _among(point.weights[1], [second], resolution)), None)


def _among(second: float, tried: Sequence[float], resolution: float) -> bool:
    return any(abs(second - other) <= resolution * max(second, other) for other in tried)


def _positive(count: int, name: str) -> int:
    if count < 1:
        raise InputError(f"{name}={count}: give at least 1")
    return count
