"""The searches on fronts that are known, without any training."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from oamip.errors import InputError
from oamip.training.biobjective import search
from oamip.training.biobjective.search import Weights

ENDS = ((1.0, 0.0), (0.0, 1.0))


@dataclass(frozen=True)
class Dot:
    weights: Weights
    values: tuple[float, float]


@dataclass(frozen=True)
class Finite:
    """The best of finitely many points; of equally good ones that with the smallest f1, or f2."""

    points: tuple[tuple[float, float], ...]
    first: int = 0

    def __call__(self, weights: Weights) -> Dot:
        best = min(self.points, key=lambda p: (round(weights[0] * p[0] + weights[1] * p[1], 12), p[self.first], p))
        return Dot(weights, best)


@dataclass(frozen=True)
class Hyperbola:
    """f1 f2 = 1, a convex front: the minimum of λ1 f1 + λ2 / f1 is at f1 = √(λ2/λ1), kept within [0.01, 100]."""

    def __call__(self, weights: Weights) -> Dot:
        f1 = float(np.clip(np.sqrt(weights[1] / weights[0]) if weights[0] else np.inf, 0.01, 100.0))
        return Dot(weights, (f1, 1 / f1))


def slow(weights: Weights) -> Dot:
    time.sleep(random.Random(weights[1]).random() / 50)
    return Hyperbola()(weights)


def corners(points: np.ndarray) -> set[tuple[float, float]]:
    """Extreme supported points: corners of the hull that some positive weights reach."""
    hull = points[ConvexHull(points).vertices]
    reached = set()
    for angle in np.linspace(1e-6, np.pi / 2 - 1e-6, 20_001):
        reached.add(tuple(hull[np.argmin(hull @ [np.cos(angle), np.sin(angle)])]))
    return reached


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("seed", range(8))
def test_dichotomic_search_finds_all_corners_of_any_front_and_then_ends(seed: int, first: int) -> None:
    """A cloud in a square has a front that is not convex: only the corners of its hull can be found, and all are."""
    points = np.random.default_rng(seed).random((60, 2)).round(3)
    asked: list[Weights] = []

    def solve(weights: Weights) -> Dot:
        asked.append(weights)
        return Finite(tuple(map(tuple, points.tolist())), first)(weights)

    found = search.dichotomic(
        search.in_turn(solve), levels=50, solves=500, start=ENDS, resolution=1e-9, least=0, nearness=0
    )
    assert corners(points) <= {dot.values for dot in found}
    # Each corner once, and each edge proven once; twice where the first proof looks like a failed solve.
    assert len(found) <= (2 + first) * len(corners(points)) + 1
    assert len(asked) == len(found) == len(set(asked))


def test_dichotomic_search_asks_for_the_normal_of_the_segment() -> None:
    left, right = Dot((0.5, 0.5), (3.0, 1.0)), Dot((0.9, 0.1), (1.0, 7.0))
    weights = search.normal(left, right)
    assert weights == (6 / 8, 2 / 8)
    assert np.dot(weights, left.values) == pytest.approx(np.dot(weights, right.values))
    assert search.normal(left, left) is None


def test_dichotomic_search_covers_a_convex_front_better_than_bisection() -> None:
    solve = search.in_turn(Hyperbola())
    start = ((0.999, 0.001), (0.001, 0.999))

    def gap(found: Sequence[Dot]) -> float:
        """Largest ratio between the chord and the front, in the middle of each segment."""
        dots = sorted(dot.values for dot in found)
        return max((a[0] + b[0]) / 2 * (a[1] + b[1]) / 2 for a, b in pairwise(dots))

    geometric = search.dichotomic(solve, solves=17, start=start)
    middles = search.bisection(solve, solves=17, start=start)
    assert len(geometric) <= len(middles) <= 17
    assert gap(geometric) < gap(middles)


def test_flat_ends_are_left_alone_and_large_gaps_come_first() -> None:
    asked: list[list[float]] = []

    def solve_all(weights: Sequence[Weights]) -> list[Dot]:
        asked.append([second for _, second in weights])
        return [Hyperbola()(one) for one in weights]

    start = ((0.9999, 0.0001), (0.01, 0.99))
    fine = search.dichotomic(search.in_turn(Hyperbola()), start=start, solves=200, levels=30, least=1e-4)
    coarse = search.dichotomic(solve_all, start=start, solves=200, levels=30, least=1e-2)
    assert len(coarse) < len(fine) < 200
    for found, least in ((coarse, 1e-2), (fine, 1e-4)):
        dots = sorted(dot.values for dot in found)
        whole = (dots[-1][0] - dots[0][0]) * (dots[0][1] - dots[-1][1])
        assert max((b[0] - a[0]) * (a[1] - b[1]) for a, b in pairwise(dots)) < least * whole
    two = search.dichotomic(search.in_turn(Hyperbola()), start=start, solves=4)
    third = asked[2]  # of the two halves the one with the larger rectangle is solved where one is all that may be
    assert two[3].weights[1] == third[0]


def test_points_above_the_chord_and_dominated_ones_propose_nothing() -> None:
    """An inexact solver that answers badly once must not lead the search to waste solves around that answer."""
    exact = Hyperbola()

    def solve(weights: Weights) -> Dot:
        dot = exact(weights)
        return Dot(weights, (dot.values[0] * 40, dot.values[1] * 40)) if abs(weights[1] - 0.5) < 1e-9 else dot

    start = ((0.99, 0.01), (0.01, 0.99))
    found = search.dichotomic(search.in_turn(solve), start=start, solves=12)
    assert found[2].weights == pytest.approx((0.5, 0.5))
    assert found[3].weights == pytest.approx((0.745, 0.255))  # on, halfway to the neighbour with the larger f2
    assert sum(abs(dot.weights[1] - 0.5) < 1e-9 for dot in found) == 1
    drawn = search.stochastic(search.in_turn(solve), start=start, solves=12)
    assert len(found) == len(drawn) == 12


@dataclass(frozen=True)
class Fragile:
    """What training does: above some λ2 the network dies, however good the weighted sum of others is."""

    limit: float
    noise: float = 0.0

    def __call__(self, weights: Weights) -> Dot:
        if weights[1] > self.limit:
            return Dot(weights, (2.3 + self.noise * weights[1], self.noise / weights[1]))
        return Dot(weights, (0.1 + 900 * weights[1], 300 / (1 + 3e3 * weights[1])))


@pytest.mark.parametrize("noise", [0.0, 1e-9])
@pytest.mark.parametrize("kind", [search.dichotomic, search.bisection])
def test_a_network_that_dies_at_the_first_weights_is_not_the_end(kind: Callable[..., list[Dot]], noise: float) -> None:
    found = kind(search.in_turn(Fragile(1e-3, noise)), levels=15)
    alive = [dot for dot in found if 0 < dot.weights[1] <= 1e-3]
    assert len(alive) >= 3
    assert len({dot.weights for dot in found}) == len(found)


def test_stochastic_search_draws_only_where_the_geometric_one_stalls() -> None:
    solve = search.in_turn(Hyperbola())
    start = ((0.99, 0.01), (0.01, 0.99))
    exact = search.dichotomic(solve, solves=9, start=start)
    assert search.stochastic(solve, solves=9, start=start) == exact
    stalled = search.in_turn(lambda weights: Dot(weights, (1.0, 1.0) if weights[1] > 0.05 else (0.5, 2.0)))
    found = search.stochastic(stalled, levels=30, solves=20)
    firsts = [dot.weights[0] for dot in found[3:]]
    assert len(found) == 20
    assert all(0.9 * 0.9 <= first <= 1.0 for first in firsts)
    assert [dot.weights for dot in search.stochastic(stalled, levels=30, solves=20)] == [dot.weights for dot in found]
    assert [dot.weights for dot in search.stochastic(stalled, levels=30, solves=20, seed=1)] != [
        dot.weights for dot in found
    ]


def test_stochastic_search_tries_a_rounded_weight_three_times() -> None:
    """Weights near 1e-4 all round to the same four decimals, so that even useful normals are drawn anew."""

    def solve(weights: Weights) -> Dot:
        f1 = float(np.clip(np.sqrt(weights[1] / weights[0]), 0.004, 1.0)) * 0.01  # all prices are far above 1e4
        return Dot(weights, (f1, 1e-4 / f1))

    found = search.stochastic(search.in_turn(solve), solves=20, start=((1.0, 0.0), (0.9, 0.1)), digits=1)
    rounded = [round(dot.weights[1], 1) for dot in found]
    geometric = [dot for dot in found if dot.weights[1] not in (0.0, 0.1)]
    assert rounded.count(0.0) >= 3
    assert len(found) == 20
    assert len({dot.weights for dot in geometric}) == 18


RECORDED = np.array(  # λ2, f1 and f2 of LeNet-5 on MNIST after five or ten epochs; between them we interpolate
    [
        *[(1e-9, 0.0528, 4290.5), (1.05e-6, 0.0531, 2693.9), (1.02e-5, 0.0554, 1871.2), (3.21e-5, 0.0535, 1127.7)],
        *[(4.32e-5, 0.0596, 951.8), (1e-4, 0.0744, 658.5), (3e-4, 0.0936, 316.4), (5.24e-4, 0.0949, 168.8)],
    ]
)


def test_trainings_that_are_too_short_leave_no_gap_beside_the_knee() -> None:
    """There f2 is far above its minimum, and normals repeat the weights of the larger neighbour."""

    def solve(weights: Weights) -> Dot:
        second = max(weights[1], 1e-9)
        if second > 1e-3:
            return Dot(weights, (2.3012, 0.0))
        at, f1, f2 = RECORDED.T
        return Dot(weights, tuple(float(np.interp(np.log(second), np.log(at), column)) for column in (f1, f2)))

    def gap(found: Sequence[Dot]) -> float:
        seconds = sorted(dot.weights[1] for dot in found if 1e-5 < dot.weights[1] < 1e-3)
        return max(b / a for a, b in pairwise(seconds))

    normals = search.dichotomic(search.in_turn(solve), solves=16, nearness=0)
    ours = search.dichotomic(search.in_turn(solve), solves=16)
    assert gap(ours) < 5 < 10 < gap(normals)


def test_bisection_halves_the_weights() -> None:
    found = search.bisection(search.in_turn(Hyperbola()), levels=2, start=((0.8, 0.2), (0.2, 0.8)))
    assert sorted(dot.weights[1] for dot in found) == pytest.approx([0.2, 0.35, 0.5, 0.65, 0.8])


def test_grid_takes_the_published_weights_or_some_spread_along_them() -> None:
    solve = search.in_turn(Hyperbola())
    full = search.grid(solve)
    assert len(full) == 38
    assert {1e-5, 3e-4, 9e-3, 0.025, 0.1} <= {round(dot.weights[1], 12) for dot in full}
    few = [dot.weights[1] for dot in search.grid(solve, solves=5)]
    assert (len(few), few[0], few[-1]) == (5, 0.0, 0.1)


@pytest.mark.parametrize("kind", [search.dichotomic, search.stochastic, search.bisection])
def test_caps_on_levels_and_solves_hold(kind: Callable[..., list[Dot]]) -> None:
    for solves in (1, 2, 3, 7):
        calls: list[int] = []

        def solve_all(weights: Sequence[Weights], calls: list[int] = calls) -> list[Dot]:
            calls.append(len(weights))
            return [Hyperbola()(one) for one in weights]

        found = kind(solve_all, solves=solves, levels=2, start=((0.99, 0.01), (0.01, 0.99)))
        assert len(found) == sum(calls) <= solves
        assert len(calls) <= 3
    with pytest.raises(InputError, match="at least 1"):
        kind(search.in_turn(Hyperbola()), solves=0)


@pytest.mark.parametrize("kind", [search.dichotomic, search.stochastic, search.bisection, search.grid])
def test_side_by_side_gives_what_in_turn_gives(kind: Callable[..., list[Dot]]) -> None:
    serial = kind(search.in_turn(slow))
    with ThreadPoolExecutor(5) as threads:
        assert kind(search.side_by_side(slow, threads)) == serial
    if kind is search.dichotomic:
        with ProcessPoolExecutor(2) as processes:
            assert kind(search.side_by_side(Hyperbola(), processes)) == serial


def test_an_error_of_one_solve_stops_those_that_wait() -> None:
    begun: list[float] = []

    def solve(weights: Weights) -> Dot:
        begun.append(weights[1])
        if weights[1] == 0:
            raise InputError("no such network")
        time.sleep(0.05)
        return Hyperbola()(weights)

    with ThreadPoolExecutor(1) as one, pytest.raises(InputError, match="no such network"):
        search.grid(search.side_by_side(solve, one))
    assert len(begun) < 5
