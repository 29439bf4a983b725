"""A case of the suite, and what it is run on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.errors import MismatchError
from oamip.options import Options
from oamip.program import Program, StandardForm
from oamip.solution import Solution
from oamip.solving import Backend, Built, Driver, Session, solve, solve_built

__all__ = ["Case", "ConformanceError", "Kind", "Native", "Subject", "UserRow"]

Vector: TypeAlias = NDArray[np.float64]
Kind: TypeAlias = Literal["driver", "backend", "core"]

PATIENCE = 30.0  # seconds; no case needs a tenth of it, and a solver that never ends must not stop the suite


class ConformanceError(MismatchError):
    """A backend or a driver does not do what every one of them must; the message names case, pair and difference."""


@dataclass(frozen=True)
class UserRow:
    """A row ``Σ coefficients[block] · block ≤ upper`` that a user writes in the language.

    The coefficients have the shapes of their blocks.
    """

    name: str
    coefficients: Mapping[str, Vector]
    upper: float


@dataclass(frozen=True)
class Native:
    """How users of a language work on a built model: two short functions, given by whoever tests a backend.

    Args:
        extend: writes one more row in the language, and gives the built model that has it.
        read: the values of a block as the language holds them, in the block's shape; ``None`` where it holds none.
    """

    extend: Callable[[Built, UserRow], Built]
    read: Callable[[Built, str], Vector] | None = None


@dataclass(frozen=True)
class Subject:
    """The pair on which a case runs."""

    backend: Backend
    driver: Driver
    native: Native | None = None

    def solve(self, program: Program, **options: Any) -> Solution:
        """Solve a program as a user would; ``options`` are fields of `Options`."""
        return solve(program, _options(options), backend=self.backend, solver=self.driver)

    def solve_built(self, built: Built, **options: Any) -> Solution:
        """Solve a native model as a user would."""
        return solve_built(built, _options(options), backend=self.backend, solver=self.driver)

    def open(self, form: StandardForm, **options: Any) -> Session:
        """A session of the driver."""
        return self.driver.open(form, _options(options))


@dataclass(frozen=True)
class Case:
    """One thing that every pair must do.

    Args:
        name: of the case.
        shows: what it shows, in a line.
        run: runs it, and raises `ConformanceError` when it fails.
        kind: whether it is about the solver or about the language.
        core: whether it is one of the few that every pair is put through.
        needs: abilities (fields and atoms of `Support`) without which it does not apply, ``extend`` and
            ``read`` where it needs those of `Native`.
    """

    name: str
    shows: str
    run: Callable[[Subject], None] = field(repr=False)
    kind: Literal["driver", "backend"] = "driver"
    core: bool = False
    needs: frozenset[str] = frozenset()

    def lacks(self, subject: Subject) -> tuple[str, ...]:
        """What the pair would need for this case and does not have; empty when the case applies."""
        native = subject.native
        there = {*subject.driver.support.abilities, *subject.driver.support.atoms, *(("extend",) if native else ())}
        there |= {"read"} if native and native.read else set()
        return tuple(sorted(self.needs - there))


def _options(changes: Mapping[str, Any]) -> Options:
    return Options(**{"time_limit": PATIENCE, **changes})
