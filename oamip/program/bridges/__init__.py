"""Atoms that a solver does not know, rewritten into what it knows.

Every kind of atom has an ordered tuple of bridges, best first; `lower` takes the first that applies and whose output
the solver accepts, and notes what it took and what that added:

    >>> import numpy as np
    >>> from oamip.program import Program
    >>> program = Program("fixed charge")
    >>> open_ = program.variables("open", 2, domain="binary")
    >>> flow = program.variables("flow", 2, 0, 8)
    >>> program.indicator("closed", open_, flow <= 0, on=False)
    >>> lowered = lower(program.compile(), frozenset())
    >>> print(*lowered.steps)
    indicator 'closed' (2 rows): big-M, +2 rows
    >>> lower(program.compile(), frozenset({"indicator"})).steps[0].way
    'native'

| atom | bridges, best first |
| --- | --- |
| ``indicator`` | big-M from the bounds of its row; a slack in a SOS1 set with the switch |
| ``sos1`` | big-M with one binary each; indicators with one binary each |
| convex epigraph | tangents, by the cut loop of `oamip.solving` |
"""

from oamip.program.bridges.draft import Draft
from oamip.program.bridges.lower import Lowered, Step, lower
from oamip.program.bridges.settle import settle

__all__ = ["Draft", "Lowered", "Step", "lower", "settle"]
