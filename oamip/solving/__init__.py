"""From a program to a checked solution, in any modelling language and with any solver.

A `Backend` is a modelling language: it builds the program natively, lets the user add to it, and compiles the result
to a standard form. A `Driver` is a solver: it opens a `Session` on a standard form. So languages and solvers add up
instead of multiplying, and every pair means the same by a time limit, a gap or a status. What has convex epigraphs goes
through the cut loop, unless the solver takes them as they are. Whatever comes back is a claim (`Outcome`) until `judge`
has checked it on the compiled form, users' own rows included.

    >>> import numpy as np
    >>> from oamip.program import LogSumExp, Program
    >>> from oamip.solving import solve
    >>> program = Program("smallest softmax")
    >>> keep = program.variables("keep", 4, domain="binary")
    >>> loss = program.variables("loss", 1)
    >>> program.add("count", keep.sum() == 2)
    >>> scores = np.array([[1.0, -1.0, 0.5, 0.0], [0.0, 2.0, -0.5, 1.0]]) @ keep
    >>> program.epigraph("softmax", LogSumExp(), scores.reshape(1, 2), loss)
    >>> program.minimize(loss.sum())
    >>> solution = solve(program, solver="highs")
    >>> solution.held, solution["keep"].tolist(), round(solution.objective, 6)
    ('proven', [0.0, 0.0, 1.0, 1.0], 1.193147)

Files, in the order in which data passes: `backend`, `compiling`, `registry`, `pipeline`, `route`, `scale`, `driver`,
`session`, `undecided`, ``drivers/``; `cutloop` with `master`, `incumbent` and `epigraphs`; `judge`, `second`,
`infeasible`; `export` writes an MPS file instead.
"""

from oamip.solving.backend import Backend, Built, NativeBackend
from oamip.solving.cutloop import Refined, solve_with_cuts
from oamip.solving.driver import Driver, Support
from oamip.solving.export import Exported, export
from oamip.solving.isolation import Isolated
from oamip.solving.outcome import Outcome
from oamip.solving.pipeline import Route, solve, solve_built, solve_form
from oamip.solving.reading import read_form
from oamip.solving.registry import Pair, backend_names, driver_names, find_backend, find_driver, overview
from oamip.solving.session import Session
from oamip.solving.solver import Solver, solver_for, workers
from oamip.solving.undecided import told_apart

__all__ = [
    "Backend",
    "Built",
    "Driver",
    "Exported",
    "Isolated",
    "NativeBackend",
    "Outcome",
    "Pair",
    "Refined",
    "Route",
    "Session",
    "Solver",
    "Support",
    "backend_names",
    "driver_names",
    "export",
    "find_backend",
    "find_driver",
    "overview",
    "read_form",
    "solve",
    "solve_built",
    "solve_form",
    "solve_with_cuts",
    "solver_for",
    "told_apart",
    "workers",
]
