"""Gurobi through gurobipy, with a session that keeps the model hot.

Logical atoms and convex quadratic functions go to Gurobi as they are. `LogSumExp` goes through the cut loop: as
nonlinear constraints its points are right, but Gurobi searches them by spatial branching, which did not end in 20 s on
a continuous program of 40 columns and 10 rows that the cut loop solves in 0.04 s.

The licence that comes with gurobipy takes 2000 columns and 2000 rows, or 200 columns once anything is quadratic
(columns that the driver adds count as well); a larger model, and any other trouble with a licence, ends with the reason
``licence``.
"""

from __future__ import annotations

from oamip.options import Options
from oamip.program import StandardForm
from oamip.solving.driver import Support
from oamip.solving.session import Session

__all__ = ["GurobiDriver"]


class GurobiDriver:
    """The driver of Gurobi; gurobipy itself is imported when a session opens."""

    name = "gurobi"
    support = Support(
        distribution="gurobipy",
        install="pip install 'oamip[gurobi]'",
        atoms=frozenset({"indicator", "sos1", "sum_squares", "perspective"}),
        start=True,
        gap=True,
        node_limit=True,
        memory_limit=True,
        threads=True,
        seed=True,
        progress=True,
        objective_limit=True,
        hot=True,
        duals=True,
        objective_options=frozenset({"BestBdStop", "BestObjStop", "Cutoff", "MIPGapAbs", "PoolGapAbs"}),
    )

    def open(self, form: StandardForm, options: Options) -> Session:
        """A hot session; without a licence, one whose every solve says so.

        Raises:
            InputError: a raw option that Gurobi does not know, or a value that it does not take.
            SolveError: Gurobi does not take the model (a coefficient is not finite).
        """
        from oamip.solving.drivers.gurobi.licence import refusal
        from oamip.solving.drivers.gurobi.session import GurobiSession
        from oamip.solving.drivers.gurobi.settings import Unlicensed, started

        try:
            environment = started(options)
        except Unlicensed as error:
            outcome = refusal(str(error), form)
            return Session(form, options, lambda _form, _options: outcome)
        return GurobiSession(environment, form, options)
