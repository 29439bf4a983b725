"""SCIP through PySCIPOpt, with a session that keeps the model, and convex and logical atoms as SCIP knows them."""

from __future__ import annotations

from oamip.options import Options
from oamip.program import StandardForm
from oamip.solving.driver import Support
from oamip.solving.session import Session

__all__ = ["ScipDriver"]


class ScipDriver:
    """The driver of SCIP; pyscipopt itself is imported when a session opens.

    SCIP runs in one thread. A perspective is taken as the cone ``‖w‖² ≤ t·y`` with ``y ≥ 0`` and ``t ≥ 0``.
    """

    name = "scip"
    support = Support(
        distribution="pyscipopt",
        install="pip install 'oamip[scip]'",
        atoms=frozenset({"indicator", "sos1", "log_sum_exp", "sum_squares", "perspective"}),
        start=True,
        gap=True,
        node_limit=True,
        memory_limit=True,
        seed=True,
        progress=True,
        objective_limit=True,
        hot=True,
        duals=True,
        objective_options=frozenset({"limits/absgap", "limits/dual", "limits/primal"}),
    )

    def open(self, form: StandardForm, options: Options) -> Session:
        """A hot session.

        Raises:
            InputError: a raw option that SCIP does not know, or a value that it does not take.
            SolveError: SCIP does not take the model (a coefficient is not finite).
        """
        from oamip.solving.drivers.scip.session import ScipSession

        return ScipSession(form, options)
