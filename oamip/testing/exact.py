"""Exact optima without any solver: enumeration and dynamic programming."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.program import StandardForm

__all__ = ["best_knapsack", "enumerate_points", "fractional_knapsack"]

Vector: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

MOST = 300_000  # points that are enumerated


def enumerate_points(form: StandardForm) -> float | None:
    """The optimum of a form whose columns are all integer and bounded, or ``None`` when it is infeasible.

    Atoms count: epigraphs, indicators and SOS1 sets are evaluated at each point.
    """
    low, high = np.ceil(form.column_lower), np.floor(form.column_upper)
    if not form.integer.all() or not np.prod(high - low + 1.0) <= MOST:
        raise ValueError("only a small box of integers can be enumerated")
    ranges = [np.arange(a, b + 1.0) for a, b in zip(low, high, strict=True)]
    points = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, len(ranges))
    activity = (form.A @ points.T).T
    holds = ((activity >= form.row_lower - 1e-9) & (activity <= form.row_upper + 1e-9)).all(axis=1)
    feasible = points[holds]
    atoms: tuple[Any, ...] = (*form.epigraphs, *form.indicators, *form.sos1)
    for atom in atoms:
        feasible = feasible[[bool((atom.excess(point) <= 1e-9).all()) for point in feasible]]
    if not len(feasible):
        return None
    values = feasible @ form.cost + form.constant
    return float(values.min() if form.sense == "min" else values.max())


def best_knapsack(weights: Integers, values: Integers, capacity: int) -> int:
    """The largest value of a 0-1 knapsack, by dynamic programming over capacities."""
    best = np.zeros(capacity + 1, dtype=np.int64)
    for weight, value in zip(weights, values, strict=True):
        if weight <= capacity:
            best[weight:] = np.maximum(best[weight:], best[: capacity + 1 - weight] + value)
    return int(best[capacity])


def fractional_knapsack(weights: Vector, values: Vector, capacity: float) -> float:
    """The largest value of a knapsack whose items may be cut, by density (Dantzig 1957)."""
    order = np.argsort(-values / weights)
    room = np.clip(capacity - np.concatenate([[0.0], np.cumsum(weights[order])[:-1]]), 0.0, weights[order])
    return float((room / weights[order]) @ values[order])
