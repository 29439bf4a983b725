"""Exact optima without any solver: enumeration and dynamic programming."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.program import StandardForm

__all__ = ["best_knapsack", "enumerate_mixed", "enumerate_points", "enumerate_sets", "fractional_knapsack"]

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


def enumerate_mixed(form: StandardForm) -> float | None:
    """The optimum of a small mixed form whose columns all have bounds, or ``None`` when it is infeasible.

    For every integer part the continuous one is best at a vertex, where as many rows or bounds are tight as there are
    continuous columns; all of them are tried. There are no atoms.
    """
    whole, free = np.flatnonzero(form.integer), np.flatnonzero(~form.integer)
    A = form.A.toarray()
    sides = np.vstack([A[:, free], A[:, free], np.eye(free.size), np.eye(free.size)])
    limits = np.concatenate([form.column_lower[free], form.column_upper[free]])
    ranges = [np.arange(np.ceil(form.column_lower[j]), np.floor(form.column_upper[j]) + 1.0) for j in whole]
    tight = [list(rows) for rows in combinations(range(len(sides)), free.size)]
    tight = [rows for rows in tight if abs(np.linalg.det(sides[rows])) > 1e-9]
    best, sign = None, 1.0 if form.sense == "min" else -1.0
    for integers in product(*ranges):
        shift = A[:, whole] @ np.array(integers)
        right = np.concatenate([form.row_lower - shift, form.row_upper - shift, limits])
        for rows in tight:
            if not np.isfinite(right[rows]).all():
                continue
            x = np.empty(form.cost.size)
            x[whole], x[free] = integers, np.linalg.solve(sides[rows], right[rows])
            value = sign * (form.cost @ x + form.constant)
            if (best is None or value < best) and _holds(form, A, x):
                best = value
    return None if best is None else float(sign * best)


def enumerate_sets(form: StandardForm) -> float | None:
    """The optimum of a small mixed form with SOS1 sets, or ``None``: every choice of what may differ from zero."""
    members = [set(row) for sets in form.sos1 for row in sets.members.tolist()]
    columns = sorted(set().union(*members))
    best, sign = None, 1.0 if form.sense == "min" else -1.0
    for flags in product((False, True), repeat=len(columns)):
        nonzero = {j for j, flag in zip(columns, flags, strict=True) if flag}
        if any(len(nonzero & one) > 1 for one in members):
            continue
        kept = np.array([j in nonzero or j not in columns for j in range(form.shape[1])])
        value = enumerate_mixed(
            replace(
                form,
                A=form.A[:, kept],
                column_lower=form.column_lower[kept],
                column_upper=form.column_upper[kept],
                integer=form.integer[kept],
                cost=form.cost[kept],
                sos1=(),
            )
        )
        if value is not None and (best is None or sign * value < sign * best):
            best = value
    return best


def _holds(form: StandardForm, A: NDArray[np.float64], x: Vector) -> bool:
    activity = A @ x
    rows = (activity >= form.row_lower - 1e-9) & (activity <= form.row_upper + 1e-9)
    columns = (x >= form.column_lower - 1e-9) & (x <= form.column_upper + 1e-9)
    return bool(rows.all() and columns.all())


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
