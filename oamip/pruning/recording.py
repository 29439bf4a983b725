"""A `Solve` that keeps every solution, for the report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from oamip.options import Options
from oamip.program import Program
from oamip.solution import Solution, Solve, solve_all

__all__ = ["Recording"]


class Recording:
    """Solves with settled options and remembers the answers.

    Args:
        solve: does the work.
        options: of every solve that is not given others.

    Attributes:
        solutions: all so far, in order.
    """

    def __init__(self, solve: Solve, options: Options) -> None:
        self.solutions: list[Solution] = []
        self._solve, self._options = solve, options

    def __call__(self, program: Program, options: Options | None = None, /) -> Solution:
        """Solve one program."""
        return self._kept(self._solve(program, options or self._options))

    def many(self, programs: Iterable[Program], options: Options | None = None, /) -> Iterator[Solution]:
        """Solve independent programs, side by side where the solver can."""
        yield from map(self._kept, solve_all(self._solve, programs, options or self._options))

    def _kept(self, solution: Solution) -> Solution:
        self.solutions.append(solution)
        if solution.reason == "interrupted" and self._options.progress is None:
            raise KeyboardInterrupt  # a session answers Ctrl-C with what it has; half-made scores prune nothing
        return solution
