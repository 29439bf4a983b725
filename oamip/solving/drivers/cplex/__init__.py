"""CPLEX through its own Python API, with a session that keeps the model hot."""

from __future__ import annotations

from oamip.options import Options
from oamip.program import StandardForm
from oamip.solving.driver import Support
from oamip.solving.session import Session

__all__ = ["CplexDriver"]


class CplexDriver:
    """The driver of CPLEX; cplex itself is imported when a session opens."""

    name = "cplex"
    support = Support(
        distribution="cplex",
        install="pip install 'oamip[cplex]'",
        atoms=frozenset({"indicator", "sos1", "sum_squares", "perspective"}),
        start=True,
        gap=True,
        node_limit=True,
        memory_limit=True,  # of the branch-and-bound tree, not of the process; each solve that asks for it says so
        threads=True,
        seed=True,
        progress=True,
        objective_limit=True,
        hot=True,
        duals=True,
        objective_options=frozenset(
            {
                "mip.limits.lowerobjstop",
                "mip.limits.upperobjstop",
                "mip.pool.absgap",
                "mip.tolerances.absmipgap",
                "mip.tolerances.lowercutoff",
                "mip.tolerances.objdifference",
                "mip.tolerances.uppercutoff",
                "simplex.limits.lowerobj",
                "simplex.limits.upperobj",
            }
        ),
    )

    def open(self, form: StandardForm, options: Options) -> Session:
        """A hot session; without a licence, one whose solves say so.

        Raises:
            InputError: a raw option that CPLEX does not know, or a value that it does not take.
            SolveError: CPLEX does not take the model (a coefficient is not finite).
        """
        from cplex.exceptions import CplexSolverError

        from oamip.solving.drivers.cplex import refusals
        from oamip.solving.drivers.cplex.session import CplexSession

        try:
            return CplexSession(form, options)
        except CplexSolverError as error:
            if not refusals.by_licence(error):
                raise
            message = str(error)  # the error itself would keep the failed session alive
            return Session(form, options, lambda form, _: refusals.licence(form, message))
