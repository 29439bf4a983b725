"""The cases, by what they are about; importing this fills `CASES`."""

from oamip.testing.suite import optima  # noqa: I001 cases stand in the order in which they are read here
from oamip.testing.suite import endings, limits, habits, atoms, sessions, languages
from oamip.testing.suite.register import CASES

__all__ = ["CASES", "atoms", "endings", "habits", "languages", "limits", "optima", "sessions"]
