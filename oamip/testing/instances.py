"""Programs with an optimum that is known exactly, made by seed; all have under 1000 rows and columns.

Each says how its optimum is known: by enumeration, by dynamic programming, or by an argument; never from a solver.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.program import Program, Rows
from oamip.testing.exact import best_knapsack, fractional_knapsack

__all__ = [
    "Hard",
    "Instance",
    "knapsack",
    "linear",
    "location",
    "many_knapsacks",
    "near_ties",
    "small_mixed",
    "small_sets",
    "split",
    "wide",
]

Vector: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Instance:
    """A program and its optimum."""

    program: Program
    optimum: float


@dataclass(frozen=True)
class Hard:
    """A program that nothing solves in seconds, with a feasible point and its value.

    ``relaxed`` is the value of a relaxation: a bound that any solver passes at once.
    """

    program: Program
    point: Vector
    value: float
    relaxed: float


def linear(seed: int = 0, *, maximise: bool = False) -> Instance:
    """A linear program of 24 rows (≥, ≤, =, ranged) and 30 columns (one-sided, boxed, free).

    Primal and dual point come first and the costs are made for them, ``c = Aᵀy + r``: y prices rows at the side where
    they are tight, r the columns at their bounds. By weak duality the primal point is optimal; all numbers are whole.
    """
    rng = np.random.default_rng(seed)
    A = rng.integers(-4, 5, (24, 30)) * (rng.random((24, 30)) < 0.3)
    x = rng.integers(1, 6, 30).astype(float)
    activity, kind = A @ x, np.arange(24) % 4
    y = rng.integers(1, 5, 24) * np.choose(kind, [1, -1, rng.choice([-1, 1], 24), rng.choice([-1, 1], 24)])
    y[rng.random(24) < 0.3] = 0
    slack = np.where(y == 0, 3, 0)  # a row without a price need not be tight
    lower = np.choose(kind, [activity - slack, np.full(24, -np.inf), activity, np.where(y < 0, activity - 5, activity)])
    upper = np.choose(kind, [np.full(24, np.inf), activity + slack, activity, np.where(y > 0, activity + 5, activity)])
    place = rng.integers(4, size=30)  # at its lower bound, at its upper bound, between, free
    r = np.choose(place, [rng.integers(1, 4, 30), -rng.integers(1, 4, 30), np.zeros(30), np.zeros(30)])
    low = np.choose(place, [x, x - 3, x - 1, np.full(30, -np.inf)])
    high = np.choose(place, [np.full(30, np.inf), x, x + 4, np.full(30, np.inf)])
    cost = A.T @ y + r
    program = Program("linear")
    columns = program.variables("x", 30, low, high)
    program.add("rows", Rows(A @ columns, lower, upper))
    if maximise:
        program.maximize((columns * -cost).sum() - 7.0)
        return Instance(program, float(-cost @ x - 7.0))
    program.minimize((columns * cost).sum() + 7.0)
    return Instance(program, float(cost @ x + 7.0))


def knapsack(seed: int = 0) -> Instance:
    """Thirty items; the optimum by dynamic programming."""
    rng = np.random.default_rng(seed)
    weights, values = rng.integers(5, 60, 30), rng.integers(10, 80, 30)
    return _knapsack("knapsack", weights, values, int(weights.sum() // 3))


def near_ties(seed: int = 0) -> Instance:
    """Twenty items of almost equal density: many points within 1e-4 of the optimum, the default gap of some solvers."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(100, 1000, 20)
    return _knapsack("near_ties", weights, 1000 * weights + rng.integers(0, 1000, 20), int(weights.sum() // 2))


def _knapsack(name: str, weights: NDArray[np.int64], values: NDArray[np.int64], capacity: int) -> Instance:
    program = Program(name)
    take = program.variables("take", weights.size, domain="binary")
    program.add("weight", (take * weights).sum() <= capacity)
    program.maximize((take * values).sum())
    return Instance(program, float(best_knapsack(weights, values, capacity)))


def location(seed: int = 0) -> Instance:
    """Where to open 12 depots for 24 customers: 300 binaries, 12 continuous and 3 general integer columns.

    Four to seven depots may open (a ranged row); an open one may hold stock up to its room, and the stock must be 60 in
    all; each region needs a truck for every two depots in it. The optimum by enumeration of all 2¹² sets of open
    depots: given the set, each customer takes its cheapest depot, trucks are ``⌈depots / 2⌉``, and stock fills the
    cheapest rooms first (a knapsack whose items may be cut).
    """
    rng = np.random.default_rng(seed)
    opening, serving = rng.integers(40, 90, 12), rng.integers(5, 60, (12, 24))
    room, holding, region = rng.integers(10, 30, 12), rng.integers(1, 9, 12), np.arange(12) % 3
    program = Program("location")
    opened = program.variables("opened", 12, domain="binary")
    serves = program.variables("serves", (12, 24), domain="binary")
    stock = program.variables("stock", 12, 0.0)
    trucks = program.variables("trucks", 3, 0, 9, domain="integer")
    program.add("served", serves.sum(axis=0) == 1)
    program.add("open_to_serve", serves - opened.reshape(12, 1) * np.ones((1, 24)) <= 0)
    program.add("number", Rows(opened.sum(), np.array([4.0]), np.array([7.0])))
    program.add("room", stock - opened * room <= 0)
    program.add("stocked", stock.sum() == 60)
    program.add("hauled", np.equal.outer(np.arange(3), region).astype(float) @ opened - 2 * trucks <= 0)
    cost = (opened * opening).sum() + (serves * serving).sum() + (stock * holding).sum() + 25 * trucks.sum()
    program.minimize(cost + 11)
    best = np.inf
    for number in range(2**12):
        chosen = (number >> np.arange(12)) & 1 == 1
        if not (4 <= chosen.sum() <= 7 and room[chosen].sum() >= 60):
            continue
        regions = np.bincount(region[chosen], minlength=3)
        total = opening[chosen].sum() + serving[chosen].min(axis=0).sum() + 25 * np.ceil(regions / 2).sum()
        best = min(best, total + _cheapest_stock(room[chosen], holding[chosen], 60) + 11)
    return Instance(program, float(best))


def _cheapest_stock(room: NDArray[np.int64], holding: NDArray[np.int64], wanted: int) -> float:
    order = np.argsort(holding)
    before = np.concatenate([[0], np.cumsum(room[order])[:-1]])
    return float(holding[order] @ np.clip(wanted - before, 0, room[order]))


def small_sets(seed: int) -> Program:
    """Three or four columns that may be negative in one to three SOS1 sets, two binaries, one to three rows."""
    rng = np.random.default_rng(seed)
    count, rows = int(rng.integers(3, 5)), int(rng.integers(1, 4))
    program = Program("small_sets")
    lower, upper = -rng.integers(0, 4, count), rng.integers(0, 5, count)
    x, on = program.variables("x", count, lower, upper), program.variables("on", 2, domain="binary")
    for number in range(int(rng.integers(1, 4))):
        members = rng.choice(count, int(rng.integers(2, count + 1)), replace=False)
        program.sos1(f"one{number}", x.take(members).reshape(1, -1))
    left = rng.integers(-4, 5, (rows, count)) @ x + rng.integers(-5, 6, (rows, 2)) @ on
    side = rng.integers(-2, 6, rows).astype(float)
    program.add("rows", Rows(left, np.where(rng.random(rows) < 0.6, -np.inf, side - 3), side))
    total = (x * rng.integers(-5, 6, count)).sum() + (on * rng.integers(-4, 5, 2)).sum()
    (program.minimize if rng.random() < 0.5 else program.maximize)(total)
    return program


def many_knapsacks(rows: int = 30, columns: int = 250, *, seed: int = 1) -> Hard:
    """Thirty knapsacks in 250 binaries: points at once, a proof after hours (8 in 35: half a second, some 1000 nodes).

    The point is greedy by value; ``relaxed`` lets the items of the sum of all rows be cut, which is a relaxation.
    """
    rng = np.random.default_rng(seed)
    weights = rng.integers(1, 1000, (rows, columns))
    capacity = weights.sum(axis=1) // 2
    values = weights.mean(axis=0).astype(int) + rng.integers(0, 500, columns)
    program = Program("many_knapsacks")
    take = program.variables("take", columns, domain="binary")
    program.add("weight", weights @ take <= capacity)
    program.maximize((take * values).sum())
    point, left = np.zeros(columns), capacity.copy()
    for item in np.argsort(-values / weights.mean(axis=0)):
        if (weights[:, item] <= left).all():
            point[item], left = 1.0, left - weights[:, item]
    relaxed = fractional_knapsack(weights.sum(axis=0).astype(float), values.astype(float), float(capacity.sum()))
    return Hard(program, point, float(values @ point), relaxed)


def split(seed: int = 0) -> Hard:
    """A market split (Cornuéjols and Dawande 1998) of 7 rows and 60 binaries around a planted point.

    Solvers find no point in seconds, so that whatever is held came from the start. Costs are nonnegative: a bound of
    zero is a relaxation.
    """
    rng = np.random.default_rng(seed)
    parts, cost = rng.integers(0, 100, (7, 60)), rng.integers(5, 25, 60)
    point = np.zeros(60)
    point[rng.permutation(60)[:30]] = 1.0
    program = Program("split")
    side = program.variables("side", 60, domain="binary")
    program.add("balance", parts @ side == parts @ point)
    program.minimize((side * cost).sum())
    return Hard(program, point, float(cost @ point), 0.0)


def wide(columns: int = 2100) -> Instance:
    """More columns than size-limited licences allow, and nothing else: the 1000 best values of all."""
    values = np.random.default_rng(0).permutation(columns)
    program = Program("wide")
    take = program.variables("take", columns, domain="binary")
    program.add("number", take.sum() <= 1000)
    program.maximize((take * values).sum())
    return Instance(program, float(np.sort(values)[-1000:].sum()))


def small_mixed(seed: int) -> Program:
    """One or two continuous and one to three integer columns, one to three rows, small integers everywhere."""
    rng = np.random.default_rng(seed)
    free, whole, rows = int(rng.integers(1, 3)), int(rng.integers(1, 4)), int(rng.integers(1, 4))
    program = Program("small_mixed")
    x = program.variables("x", free, rng.integers(-2, 1, free), rng.integers(1, 4, free))
    y = program.variables("y", whole, rng.integers(-2, 2, whole), rng.integers(2, 5, whole), domain="integer")
    left = rng.integers(-2, 3, (rows, free)) @ x + rng.integers(-2, 3, (rows, whole)) @ y
    side = rng.integers(0, 6, rows)
    program.add("rows", left <= side if rng.random() < 0.5 else left >= -side)
    total = (x * rng.integers(-3, 4, free)).sum() + (y * rng.integers(-3, 4, whole)).sum()
    (program.minimize if rng.random() < 0.5 else program.maximize)(total)
    return program
