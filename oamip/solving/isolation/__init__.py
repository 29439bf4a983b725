"""Solvers in processes of their own: whatever they do there, the caller gets an outcome.

`Isolated` wraps a driver and is one, so that the route, the cut loop and the judge work over it unchanged. A solver
that crashes, hangs, prints, ignores its limits or takes all memory loses its process and nothing else:

    >>> import numpy as np
    >>> from oamip.program import Program
    >>> from oamip.solving import solve
    >>> from oamip.solving.drivers.highs import HighsDriver
    >>> from oamip.solving.isolation import Isolated
    >>> program = Program()
    >>> x = program.variables("x", 3, domain="binary")
    >>> program.add("one", x.sum() <= 1)
    >>> program.maximize((x * np.array([1.0, 3.0, 2.0])).sum())
    >>> with Isolated(HighsDriver()) as highs:
    ...     solution = solve(program, solver=highs)
    >>> solution.held, solution["x"].tolist()
    ('proven', [0.0, 1.0, 0.0])

What each outcome says when no answer comes; its point and bound are the last ones that were told, and claims as ever:

* ``time_limit``: killed some seconds after the time limit that it did not keep;
* ``memory_limit``: killed beyond the limit, which counts resident memory over that of the process when the session
  opened, executables that the driver runs included; or it died for want of memory;
* ``interrupted``: killed because it did not hear an interrupt;
* ``error``: it died by itself, raised what is no `OamipError`, or broke the protocol; a warning says which.

Files: `wire` (messages), `reference` and `raising` (drivers and errors as messages), `process` (one process from
outside) with `family` (and all that it has started), `counterpart` (one session in it), `remote` (the session that the
caller sees), `isolated` (the driver); `oamip.solving.worker` is what runs in the process.
"""

from oamip.solving.isolation.isolated import Isolated
from oamip.solving.isolation.remote import RemoteSession

__all__ = ["Isolated", "RemoteSession"]
