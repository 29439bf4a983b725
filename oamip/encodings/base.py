"""The protocol of an encoding."""

from __future__ import annotations

from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.gates import PreActivation
from oamip.program import Expression, Program

__all__ = ["Encoding"]

Vector: TypeAlias = NDArray[np.float64]


class Encoding(Protocol):
    """Turns unstable ReLUs and contested maxima into rows."""

    @property
    def exact(self) -> bool:
        """Whether every feasible point of the rows is a true ReLU (False for a relaxation)."""
        ...

    def relu(self, program: Program, name: str, pre: PreActivation) -> Expression:
        """Add ``h = max(0, a)`` for flat rows with ``low < 0 < high``; returns flat h."""
        ...

    def max(
        self, program: Program, name: str, candidates: Expression, low: Vector, high: Vector, starts: NDArray[np.intp]
    ) -> Expression:
        """Add ``h_i = max`` of the candidates ``starts[i] … starts[i + 1] − 1``, at least two each; returns flat h."""
        ...
