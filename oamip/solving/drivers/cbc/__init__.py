"""CBC as an executable: the program goes in as an MPS file, the answer comes back from files and the log."""

from __future__ import annotations

from oamip.errors import MissingDependency
from oamip.options import Options
from oamip.program import StandardForm
from oamip.solving.driver import Support
from oamip.solving.session import Session

__all__ = ["CbcDriver"]


class CbcDriver:
    """The driver of CBC; the executable is looked for when a session opens.

    ``seed`` is not among its abilities: CBC takes two seeds and reports them as set, and three pairs of them gave the
    same search to the iteration.
    """

    name = "cbc"
    support = Support(
        distribution="pulp",
        install="pip install 'pulp>=3.3.2,<4'",
        start=True,
        gap=True,
        node_limit=True,
        threads=True,
        progress=True,
        objective_limit=True,
        duals=True,
        objective_options=frozenset({"allow", "allowableGap", "cutoff", "increment"}),
    )

    def version(self) -> str | None:
        """The version of the executable that will be used."""
        from oamip.solving.drivers.cbc.executable import find_executable, version_of

        try:
            return version_of(find_executable())
        except MissingDependency:
            return None

    def open(self, form: StandardForm, options: Options) -> Session:
        """A session that starts CBC anew for every solve.

        Raises:
            InputError: ``OAMIP_CBC`` names no executable; at a solve, a raw option that CBC does not take.
            MissingDependency: there is no CBC.
        """
        from oamip.solving.drivers.cbc.executable import find_executable
        from oamip.solving.drivers.cbc.run import run

        find_executable()
        if options.log_file is not None:
            options.log_file.write_text("", encoding="utf-8")  # each solve adds to it
        return Session(form, options, run)
