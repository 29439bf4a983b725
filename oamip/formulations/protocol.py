"""What a formulation and a procedure are.

A formulation states one program and reads its answer; a procedure runs several solves. Both receive ``solve`` and know
no solver, so that they run on every backend and solver alike.
"""

from __future__ import annotations

from typing import Protocol, TypeVar, runtime_checkable

from oamip.program import Program
from oamip.solution import Solution, Solve

__all__ = ["Formulation", "Procedure"]

R_co = TypeVar("R_co", covariant=True)


class Formulation(Protocol[R_co]):
    """One question asked of a network, as one program."""

    def program(self) -> Program:
        """The program, without any reference to a solver."""
        ...

    def interpret(self, solution: Solution) -> R_co:
        """What a solution of that program means; checks it against the network where it can."""
        ...


@runtime_checkable
class Procedure(Protocol[R_co]):
    """A question that takes several solves."""

    def run(self, solve: Solve) -> R_co:
        """Answer it."""
        ...
