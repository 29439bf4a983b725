"""A backend and a solver, settled: what formulations and procedures are given as ``solve``."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from oamip.errors import SolveError
from oamip.options import Options, Progress
from oamip.program import Program
from oamip.solution import Solution
from oamip.solving.backend import Backend
from oamip.solving.driver import Driver
from oamip.solving.pipeline import Route, solve
from oamip.solving.registry import find_backend, find_driver

__all__ = ["Solver", "solver_for", "workers"]


@dataclass(frozen=True)
class Solver:
    """Solves programs one at a time when called, and independent ones side by side through an executor.

    It can be pickled as long as backend and solver are names, so any `concurrent.futures.Executor` serves: a pool of
    threads (with ``isolate``, so that each waits for a process of its own), of processes, or a cluster (Dask's
    ``Client(...).get_executor(pure=False)``).

    Args:
        backend, solver, route, isolate: as for `oamip.solving.solve`.
        executor: for `many`; ``None`` solves one after the other.
    """

    backend: str | Backend = "matrix"
    solver: str | Driver = "highs"
    route: Route = "driver"
    isolate: bool = False
    executor: Executor | None = None

    def __call__(self, program: Program, options: Options | None = None, /) -> Solution:
        """Solve one program."""
        return solve(program, options, backend=self.backend, solver=self.solver, route=self.route, isolate=self.isolate)

    def many(self, programs: Iterable[Program], options: Options | None = None, /) -> Iterator[Solution]:
        """Solve independent programs; the solutions come in order.

        Whatever ends the waiting (Ctrl-C, an error of one program) stops the others too: those in threads through
        their progress callback, those that wait in the executor by cancelling.

        Raises:
            SolveError: the executor broke, because a process of it was ended for example.
        """
        if self.executor is None:
            for program in programs:
                yield self(program, options)
            return
        one, enough = replace(self, executor=None), threading.Event()
        if isinstance(self.executor, ThreadPoolExecutor):
            options = _stoppable(options or Options(), enough)
        futures: list[Future[Solution]] = []
        try:
            futures.extend(self.executor.submit(one, program, options) for program in programs)
            for future in futures:
                yield future.result()
        except BrokenExecutor as error:
            raise SolveError(
                f"the executor broke: a process was ended, perhaps for want of memory, or could not begin ({error}); "
                "open another, with fewer processes, or a ThreadPoolExecutor with isolate=True: there it is a status "
                "of that program"
            ) from error
        finally:
            enough.set()
            for future in futures:
                future.cancel()


def solver_for(
    backend: str | Backend = "matrix",
    solver: str | Driver = "highs",
    *,
    route: Route = "driver",
    isolate: bool = False,
    executor: Executor | None = None,
) -> Solver:
    """A `Solver` whose names are known to be right.

    Raises:
        InputError: no such backend or solver.
        MissingDependency: the language or the solver is not installed.
    """
    find_backend(backend)
    if route == "driver":
        find_driver(solver)
    return Solver(backend, solver, route, isolate, executor)


def workers(threads: int) -> int:
    """How many solves of ``threads`` threads fit on this machine at a time."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, usable // threads)


def _stoppable(options: Options, enough: threading.Event) -> Options:
    tell = options.progress

    def progress(told: Progress) -> bool | None:
        return enough.is_set() or (tell(told) if tell is not None else None)

    return options.with_(progress=progress)
