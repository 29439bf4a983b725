"""Points in the plane where both numbers should be small: which are efficient, what area they dominate, the knee.

All functions take objective vectors (n, 2), columns f1 and f2, in any order, and mean positions in that array.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["below_chord", "bend", "chord_distance", "efficient", "hypervolume", "knee", "price_jump", "prices"]

Array: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.intp]


def efficient(values: ArrayLike) -> Indices:
    """The points that no other dominates, in ascending f2; of equal points the first one only.

    A point dominates another if it is nowhere larger and somewhere smaller.
    """
    f1, f2 = _columns(values)
    order: Indices = np.lexsort((f1, f2))  # ascending f2, then f1, then as given: the sort is stable
    before = np.minimum.accumulate(np.concatenate([[np.inf], f1[order]]))[:-1]
    kept: Indices = order[f1[order] < before]
    return kept


def below_chord(values: ArrayLike) -> Indices:
    """The efficient points that do not lie above the straight line through the two extreme ones, in ascending f2.

    A weighted sum can only have its minimum below that line: what lies above it came out of a solve that was not exact.
    """
    f1, f2 = _columns(values)
    front = efficient(values)
    if len(front) < 3:
        return front
    first, last = front[0], front[-1]
    excess = (f1[front] - f1[first]) * (f2[last] - f2[first]) - (f1[last] - f1[first]) * (f2[front] - f2[first])
    scale = (f1[first] - f1[last]) * (f2[last] - f2[first])
    kept: Indices = front[excess <= 1e-12 * scale]
    return kept


def hypervolume(values: ArrayLike, reference: tuple[float, float]) -> float:
    """Area that the points dominate inside the box below a reference point; exact.

    Points that do not dominate the reference add nothing.
    """
    f1, f2 = _columns(values)
    inside = (f1 < reference[0]) & (f2 < reference[1])
    f1, f2 = f1[inside], f2[inside]
    front = efficient(np.column_stack([f1, f2]))
    right = np.append(f2[front][1:], reference[1])
    return float(((right - f2[front]) * (reference[0] - f1[front])).sum())


def prices(values: ArrayLike) -> Array:
    """What one unit of f1 costs in f2 between neighbours on the efficient set, −Δf2/Δf1 > 0, in ascending f2.

    That is λ1/λ2 of the normal of the segment between them, so it needs no weights; a point with λ2 = 0 is like others.
    """
    f1, f2 = _columns(values)
    front = efficient(values)
    with np.errstate(divide="ignore", over="ignore"):
        return -np.diff(f2[front]) / np.diff(f1[front])


def price_jump(values: ArrayLike) -> Array:
    """By how much the price λ1/λ2 rises at each inner efficient point (n − 2,): the published measure of a knee.

    Reiners, Klamroth and Stiglmayr (arXiv 2008.13590). On a convex front it is the width of the range of λ1/λ2 for
    which the point is optimal. It does not depend on units, but prefers the end where f2 is large.
    """
    return np.diff(prices(values))


def bend(values: ArrayLike) -> Array:
    """The logarithm of the factor by which the price rises at each inner efficient point (n − 2,).

    Like `price_jump` it does not depend on units; and it does not change when the objectives change places.
    """
    with np.errstate(divide="ignore"):
        return np.diff(np.log(prices(values)))


def chord_distance(values: ArrayLike) -> Array:
    """How far each inner efficient point (n − 2,) lies below the line through the extremes, both ranges scaled to 1.

    Das (1999), "On characterizing the knee of the Pareto curve based on normal-boundary intersection".
    """
    f1, f2 = _columns(values)
    front = efficient(values)
    if len(front) < 3:
        return np.empty(0)
    first, last = front[0], front[-1]
    down = (f1[front] - f1[last]) / (f1[first] - f1[last])
    along = (f2[front] - f2[first]) / (f2[last] - f2[first])
    distance: Array = (1.0 - along - down) / np.sqrt(2.0)
    return distance[1:-1]


_MEASURES = {"jump": price_jump, "bend": bend, "chord": chord_distance}


def knee(values: ArrayLike, rule: str = "chord") -> int | None:
    """Position of the knee: the inner efficient point with the largest `price_jump`, `bend` or `chord_distance`.

    Args:
        values: objective vectors (n, 2).
        rule: ``jump``, ``bend`` or ``chord``.

    Returns:
        Its position in ``values``; ``None`` where fewer than three points are efficient: none is inside.
    """
    front = efficient(values)
    return None if len(front) < 3 else int(front[1 + int(np.argmax(_MEASURES[rule](values)))])


def _columns(values: ArrayLike) -> tuple[Array, Array]:
    array = np.asarray(values, dtype=np.float64).reshape(-1, 2)
    return array[:, 0], array[:, 1]
