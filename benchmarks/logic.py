"""Random programs with SOS1 sets and with indicators, solved by each solver and compared with enumeration.

    python benchmarks/logic.py --programs 300

Sets hold columns of either sign; indicators stand on columns that may have no bounds, so that most programs with them
are unbounded. An answer is wrong when its reason or its optimum is; one that ends at the time limit is counted apart.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from oamip.options import Options
from oamip.program import Program, Rows, StandardForm
from oamip.solving import driver_names, find_driver, solve
from oamip.testing.exact import enumerate_sets
from oamip.testing.instances import small_sets

Answer = float | str | None  # the optimum, "unbounded", or nothing for infeasible


def switched(seed: int) -> Program:
    """One to four columns, half of them without a bound on a side, under one to three indicators."""
    rng = np.random.default_rng(seed)
    program = Program("switched")
    width, count = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    lower = np.where(rng.random(width) < 0.5, -np.inf, -rng.integers(0, 5, width))
    upper = np.where(rng.random(width) < 0.5, np.inf, rng.integers(0, 5, width))
    x = program.variables("x", width, lower, upper, domain="integer" if rng.random() < 0.4 else "continuous")
    on = program.variables("on", count, domain="binary")
    side, kind = rng.integers(-3, 6, count).astype(float), rng.integers(0, 3, count)  # ≤, ranged, =
    low = np.choose(kind, [np.full(count, -np.inf), side - 3, side])
    program.indicator("when", on, Rows(rng.integers(-3, 4, (count, width)) @ x, low, side), on=rng.random(count) < 0.5)
    total = (x * rng.integers(-3, 4, width)).sum() + (on * rng.integers(-4, 5, count)).sum()
    (program.minimize if rng.random() < 0.5 else program.maximize)(total)
    return program


def enumerate_switches(form: StandardForm) -> Answer:
    """Every choice of the switches, each a program of scipy's HiGHS; unbounded is what has a point and a ray."""
    (block,) = form.indicators
    sign = 1.0 if form.sense == "min" else -1.0
    best: float | None = None
    for chosen in itertools.product((0.0, 1.0), repeat=block.rows):
        lower, upper = form.column_lower.copy(), form.column_upper.copy()
        lower[block.switch] = upper[block.switch] = chosen
        which = np.flatnonzero((np.array(chosen) > 0.5) == block.on)
        rows = LinearConstraint(block.R.toarray()[which], block.lower[which], block.upper[which])
        common = {"constraints": rows, "bounds": Bounds(lower, upper)}
        if milp(0 * form.cost, integrality=form.integer, **common).status != 0:
            continue
        if milp(sign * form.cost, **common).status != 0:
            return "unbounded"
        found = milp(sign * form.cost, integrality=form.integer, options={"mip_rel_gap": 0}, **common)
        best = found.fun if best is None else min(best, found.fun)
    return None if best is None else sign * best + form.constant


FAMILIES: dict[str, tuple[Callable[[int], Program], Callable[[StandardForm], Answer], str]] = {
    "sets of either sign": (small_sets, enumerate_sets, ""),
    "switches without bounds": (switched, enumerate_switches, "indicator"),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--programs", type=int, default=300, help="random programs of each family")
    given = parser.parse_args()
    print("| family | solver | programs | of which unbounded, infeasible | at a limit | wrong |")
    print("| --- | --- | ---: | ---: | ---: | --- |")
    for family, (make, exact, needed) in FAMILIES.items():
        answers = [exact(make(seed).compile()) for seed in range(given.programs)]
        kinds = f"{answers.count('unbounded')}, {answers.count(None)}"
        for name in driver_names():
            if needed and needed not in find_driver(name).support.atoms:
                continue  # without bounds there is no big-M
            wrong, late = [], 0
            for seed, answer in enumerate(answers):
                solution = solve(make(seed), Options(time_limit=10.0), solver=name)
                late += solution.reason == "time_limit"
                if solution.reason != "time_limit" and not agrees(solution.reason, solution.objective, answer):
                    wrong.append(seed)
            print(f"| {family} | {name} | {given.programs} | {kinds} | {late} | {wrong or 'none'} |", flush=True)


def agrees(reason: str, objective: float, answer: Answer) -> bool:
    """Whether a solution says what enumeration says."""
    if isinstance(answer, float):
        return reason == "optimal" and abs(objective - answer) <= 1e-5
    return reason == (answer or "infeasible")


if __name__ == "__main__":
    main()
