"""HiGHS through highspy, with a session that keeps the model hot."""

from __future__ import annotations

from oamip.options import Options
from oamip.program import StandardForm
from oamip.solving.driver import Support
from oamip.solving.session import Session

__all__ = ["HighsDriver"]


class HighsDriver:
    """The driver of HiGHS; highspy itself is imported when a session opens."""

    name = "highs"
    support = Support(
        distribution="highspy",
        install="pip install 'highspy>=1.15.1'",
        start=True,
        gap=True,
        node_limit=True,
        threads=True,
        seed=True,
        progress=True,
        objective_limit=True,
        hot=True,
        duals=True,
        objective_options=frozenset({"mip_abs_gap", "objective_bound", "objective_target"}),
    )

    def open(self, form: StandardForm, options: Options) -> Session:
        """A hot session.

        Raises:
            InputError: a raw option that HiGHS does not know, or a value that it does not take.
            SolveError: HiGHS does not take the model (a coefficient is not finite).
        """
        from oamip.solving.drivers.highs.session import HighsSession

        return HighsSession(form, options)
