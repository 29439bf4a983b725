"""Does a backend or a driver do what every one of them must? A suite for strangers' as well as for our own.

A `Case` is a program whose answer is known without any solver, with a check of everything that comes back: both fields
of the status, objective, bound, values, warnings. `check` puts one pair through one case, `conformance` through all:

    >>> from oamip.testing import cases, check, conformance
    >>> check("knapsack", backend="matrix", solver="highs")
    True
    >>> report = conformance(solver="highs", chosen=[case for case in cases("core") if "limit" not in case.name])
    >>> report.summary
    '5/5 ok'

With pytest, a stranger's driver is tested by

    @pytest.mark.parametrize("case", cases("driver"), ids=lambda case: case.name)
    def test_conformance(case):
        if not check(case, solver=MyDriver()):
            pytest.skip("the solver says that it cannot do this")

``python -m oamip.testing`` prints the table of all pairs. `oamip.testing.liars` has drivers that lie, hang and crash,
for tests of whoever relies on solvers. Every program has fewer than 1000 rows and columns, so that size-limited
licences suffice, but for the case that asks what happens beyond them.
"""

from oamip.testing.case import Case, ConformanceError, Native, Subject, UserRow
from oamip.testing.conformance import Report, Result, cases, check, conformance

__all__ = [
    "Case",
    "ConformanceError",
    "Native",
    "Report",
    "Result",
    "Subject",
    "UserRow",
    "cases",
    "check",
    "conformance",
]
