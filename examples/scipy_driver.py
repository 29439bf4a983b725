"""A solver of your own in forty lines: scipy's milp, proven by the conformance suite.

A driver that has no model to keep is one function from a standard form to a claim; `Session` does the rest, also for
the cut loop. What it cannot do it simply does not list in its `Support`, and users who ask for it are told by name.
"""

import math
import time

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

import oamip
from oamip.errors import InputError
from oamip.solving import Outcome, Session, Support
from oamip.testing import cases, conformance

REASONS = {0: "optimal", 1: "time_limit", 2: "infeasible", 3: "unbounded"}


class ScipyDriver:
    name = "scipy"
    support = Support(distribution="scipy", install="pip install scipy", gap=True)

    def open(self, form, options):
        if options.raw:
            raise InputError(f"raw option '{next(iter(options.raw))}': the driver of scipy passes none on")
        return Session(form, options, run)


def run(form, options):
    began = time.perf_counter()
    sign = 1.0 if form.sense == "min" else -1.0  # scipy only minimises
    result = call(form, sign * form.cost, options)
    reason = REASONS.get(result.status, "error")
    if reason == "unbounded" or "unbounded or infeasible" in result.message:
        # Either may mean the other: what has a point at all is unbounded.
        feasible = call(form, np.zeros_like(form.cost), options)
        reason = "unbounded" if feasible.status == 0 else REASONS.get(feasible.status, "error")
    bound = getattr(result, "mip_dual_bound", None)
    bound = result.fun if bound is None else bound
    known = reason not in ("infeasible", "unbounded") and bound is not None and math.isfinite(bound)
    return Outcome(
        reason=reason,
        x=result.x if reason in ("optimal", "time_limit") else None,
        bound=sign * bound + form.constant if known else -sign * math.inf,
        nodes=getattr(result, "mip_node_count", None) or 0,
        seconds=time.perf_counter() - began,
        warnings=tuple(warnings(options)),
    )


def warnings(options):
    if options.log_file is not None:
        yield "option log_file: scipy gives no log"
    if options.gap_absolute > oamip.Options.gap_absolute:
        yield "option gap_absolute: scipy has a relative gap only"


def call(form, cost, options):
    limits = {"mip_rel_gap": options.gap_relative}
    if math.isfinite(options.time_limit):
        limits["time_limit"] = options.time_limit
    rows = LinearConstraint(form.A, form.row_lower, form.row_upper) if form.shape[0] else ()
    columns = Bounds(form.column_lower, form.column_upper)
    return milp(cost, integrality=form.integer.astype(int), bounds=columns, constraints=rows, options=limits)


if __name__ == "__main__":
    program = oamip.Program("purse")
    coins = program.variables("coins", 4, 0, 9, domain="integer")
    program.add("sum", (coins * [1, 5, 10, 25]).sum() == 68)
    program.minimize(coins.sum())
    solution = oamip.solve(program, solver=ScipyDriver())
    print(solution.objective, solution["coins"], solution.held)
    report = conformance(solver=ScipyDriver(), chosen=cases("core"))
    print(report)
    assert report.passed
