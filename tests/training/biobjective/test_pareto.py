"""Efficient points, hypervolume and knee, against brute force."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from numpy.typing import NDArray

from oamip.training.biobjective import pareto

Array = NDArray[np.float64]


def clouds() -> list[Array]:
    """Random points at many scales, some on a coarse grid so that many are equal or share a coordinate."""
    rng = np.random.default_rng(0)
    clouds = []
    for number in range(120):
        n = int(rng.integers(1, 14))
        points = rng.random((n, 2)) if number % 2 else rng.integers(0, 5, (n, 2)) / 4
        clouds.append(points * 10.0 ** rng.integers(-6, 7, 2))
    return clouds


def dominates(a: Array, b: Array) -> bool:
    return bool((a <= b).all() and (a < b).any())


def test_efficient_points_are_those_that_no_other_dominates() -> None:
    for points in clouds():
        kept = pareto.efficient(points)
        brute = {
            i
            for i, p in enumerate(points)
            if not any(dominates(q, p) for q in points) and not any((q == p).all() for q in points[:i])
        }
        assert set(kept.tolist()) == brute
        assert all(points[a][1] < points[b][1] and points[a][0] > points[b][0] for a, b in pairwise(kept))


def test_hypervolume_is_the_area_of_dominated_cells() -> None:
    for points in clouds():
        reference = tuple(points.max(axis=0) * np.random.default_rng(1).choice([0.7, 1.0, 1.5], 2))
        xs = np.unique([*points[:, 0], reference[0]])
        ys = np.unique([*points[:, 1], reference[1]])
        area = 0.0
        for (x0, x1), (y0, y1) in product(pairwise(xs), pairwise(ys)):  # each cell is dominated wholly or not at all
            inside = x1 <= reference[0] and y1 <= reference[1]
            if inside and any(p[0] <= x0 and p[1] <= y0 for p in points):
                area += (x1 - x0) * (y1 - y0)
        assert pareto.hypervolume(points, reference) == pytest.approx(area, rel=1e-12, abs=1e-300)


def test_hypervolume_grows_with_every_efficient_point() -> None:
    points = np.array([[0.0, 4.0], [1.0, 2.0], [3.0, 1.0]])
    assert pareto.hypervolume(points, (4.0, 5.0)) == 4 * 1 + 3 * 2 + 1 * 1
    assert pareto.hypervolume(points[:2], (4.0, 5.0)) == 4 * 1 + 3 * 2
    assert pareto.hypervolume(np.empty((0, 2)), (1.0, 1.0)) == 0


def test_points_above_the_chord_are_put_aside() -> None:
    for points in clouds():
        kept = pareto.below_chord(points)
        front = pareto.efficient(points)
        first, last = points[front[0]], points[front[-1]]
        for index in front:
            share = 0.0 if last[1] == first[1] else (points[index][1] - first[1]) / (last[1] - first[1])
            height = points[index][0] - (first[0] + share * (last[0] - first[0]))
            assert (index in kept) == (height <= 1e-12 * first[0] or len(front) < 3)


def test_knee_by_each_rule_is_that_of_brute_force() -> None:
    found = 0
    for points in clouds():
        distinct = {tuple(p) for p in points}
        front = sorted((p for p in distinct if not any(dominates(q, np.array(p)) for q in points)), key=lambda p: p[1])
        if len(front) < 3:
            assert all(pareto.knee(points, rule) is None for rule in ("jump", "bend", "chord"))
            continue
        found += 1
        best: dict[str, tuple[float, int]] = {}
        (a1, a2), (b1, b2) = front[0], front[-1]
        for k in range(1, len(front) - 1):
            (l1, l2), (p1, p2), (r1, r2) = front[k - 1 : k + 2]
            before, after = (p2 - l2) / (l1 - p1), (r2 - p2) / (p1 - r1)
            x, y = (p1 - b1) / (a1 - b1), (p2 - a2) / (b2 - a2)
            measures = {
                "jump": after - before,
                "bend": np.log(after / before),
                "chord": abs(np.cross([1.0, -1.0, 0.0], [x, y - 1.0, 0.0])[2]) / 2**0.5 * np.sign(1 - x - y),
            }
            for rule, value in measures.items():
                if rule not in best or value > best[rule][0] * (1 + 1e-12 * np.sign(best[rule][0])):
                    best[rule] = value, k
        for rule, (value, k) in best.items():
            index = pareto.knee(points, rule)
            assert index is not None
            measured = {"jump": pareto.price_jump, "bend": pareto.bend, "chord": pareto.chord_distance}[rule](points)
            assert measured.max() == pytest.approx(value, rel=1e-9, abs=1e-12)
            np.testing.assert_allclose(measured[k - 1], value, rtol=1e-9, atol=1e-12)
            if np.sum(np.isclose(measured, value, rtol=1e-9)) == 1:
                assert tuple(points[index]) == front[k]
    assert found > 30


@pytest.mark.parametrize("rule", ["jump", "bend", "chord"])
def test_the_corner_of_two_segments_is_the_knee_in_any_units(rule: str) -> None:
    corner = np.array([0.1, 0.2])
    left, right = np.array([1.0, 0.0]), np.array([0.0, 3.0])
    steps = np.linspace(0, 1, 5)[:, None]
    points = np.concatenate([left + steps * (corner - left), (corner + steps[1:] * (right - corner))])
    for scale in ((1.0, 1.0), (1e-3, 1e4), (50.0, 1e-5)):
        for order in (np.arange(9), np.arange(9)[::-1]):
            index = pareto.knee((points * scale)[order], rule)
            assert index is not None
            np.testing.assert_allclose((points * scale)[order][index], corner * scale)


def test_weights_of_zero_are_no_exception_to_the_knee() -> None:
    """The point solved for λ2 = 0 has no price of its own, and once shifted every index behind it."""
    points = np.array([[2.0, 0.0], [1.0, 1.0], [0.5, 2.0], [0.45, 60.0]])
    np.testing.assert_allclose(pareto.prices(points), [1.0, 2.0, 1160.0])
    assert pareto.knee(points, "jump") == 2
