"""A built problem, and what each of its constraints states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.errors import InputError
from oamip.program import CompiledEpigraph, CompiledIndicator, CompiledSOS1, StandardForm
from oamip.solving.backend import Built

__all__ = ["Atom", "CvxpyBuilt", "Sides", "as_cvxpy"]

Atom: TypeAlias = CompiledEpigraph | CompiledIndicator | CompiledSOS1


@dataclass(frozen=True)
class Sides:
    """The lower sides, the upper sides, or both, of some rows of the form."""

    rows: NDArray[np.intp]
    lower: bool
    upper: bool


@dataclass(frozen=True)
class CvxpyBuilt(Built):
    """A program in CVXPY, with its standard form as it was when it was built.

    What our constraints state is therefore known without asking CVXPY, which takes ten times as long as the rest.

    Args:
        form: the program, compiled.
        objective: our objective.
        states: what each of our constraints states; constraints compare by identity.
    """

    form: StandardForm
    objective: Any
    states: Mapping[Any, Sides | Atom]


def as_cvxpy(built: Built) -> CvxpyBuilt:
    """The same, known to be ours.

    Raises:
        InputError: something else has built it.
    """
    if not isinstance(built, CvxpyBuilt):
        raise InputError("this was not built by backend 'cvxpy': call its `build`, and `dataclasses.replace` the model")
    return built
