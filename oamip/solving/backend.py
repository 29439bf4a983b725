"""A backend is a modelling language: it builds a program natively, and compiles what the user made of it.

Between `Backend.build` and `Backend.compile` the model belongs to the user, who may add variables and constraints in
the language. `compile` reads the model as it then stands, so those additions reach the solver and our check alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from oamip.options import Options
from oamip.program import Program, StandardForm
from oamip.solving.outcome import Outcome

__all__ = ["Backend", "Built", "NativeBackend"]

Vector: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Built:
    """A program in the terms of a language.

    A language whose models cannot be changed in place is served by ``dataclasses.replace(built, model=larger)``.

    Args:
        model: the language's own object (a ``ConcreteModel``, a ``Problem`` ...).
        columns: block name to the native variables of that block.
        program: where both came from; its epigraphs are attached again by `Backend.compile`.
        rows: row block name to the native constraints, where the language has an object for them.
    """

    model: Any
    columns: Mapping[str, Any]
    program: Program
    rows: Mapping[str, Any]


@runtime_checkable
class Backend(Protocol):
    """One modelling language. Register it as an entry point of the group ``oamip.backends``.

    Attributes:
        name: what users say in ``backend=``.
        language: the distribution that must be installed, whose version is reported.
        install: the exact command that installs it.
    """

    name: str
    language: str
    install: str

    def build(self, program: Program) -> Built:
        """The native model of a program."""
        ...

    def compile(self, built: Built) -> StandardForm:
        """The standard form of the model as it now stands.

        It has a column for every variable of the program, used or not, in block order, and then the user's own as
        further spans; the program's rows under their names, and then the user's; the program's epigraphs.

        Raises:
            InputError: something in the model is not mixed-integer linear; the message names it.
            InfeasibleProgram: the language itself found a row that can never hold.
        """
        ...

    def load(self, built: Built, values: Mapping[str, Vector]) -> None:
        """Put an answer (span name to array) back into the native variables, where users of the language look."""
        ...


@runtime_checkable
class NativeBackend(Backend, Protocol):
    """A language that brings solvers of its own, reached by ``route="native"``: conic ones, say.

    Attributes:
        proven_by: names of the solvers whose claim of optimality, with a bound, our tests have pinned; what any other
            claims counts as feasible at most.
    """

    proven_by: frozenset[str]

    def native_solvers(self) -> tuple[str, ...]:
        """Names of those that are installed."""
        ...

    def native_distribution(self, solver: str) -> str:
        """The distribution whose version is reported for one of them."""
        ...

    def solve_native(self, built: Built, solver: str, options: Options) -> Outcome:
        """Let the language solve its model as it stands; ``x`` in the order of the columns of `compile`.

        Raises:
            InputError: no such solver, or the model is not one that it takes.
        """
        ...
