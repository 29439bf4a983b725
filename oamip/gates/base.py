"""What a gate hands to an encoding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.program import Expression

__all__ = ["Gate", "PreActivation", "Vector", "plain"]

Vector: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class PreActivation:
    """Everything that an encoding of ``h = max(0, a)`` needs, row by row.

    With a binary z for "active", the encoding states ``h ≥ 0``, ``h ≥ lower``, ``h ≤ high z``,
    ``h ≤ upper − low (1 − z)`` and, where there is a cap, ``z ≤ cap``.

    Args:
        lower, upper: flat expressions; equal unless a gate strengthens the upper side.
        low, high: bounds on them.
        cap: flat expression that bounds z, or ``None``.
        assumed: the bounds are demanded, not known: the published program's trust region. Stable rows then keep
            ``low ≤ a ≤ 0`` or ``0 ≤ a ≤ high`` as rows.
    """

    lower: Expression
    upper: Expression
    low: Vector
    high: Vector
    cap: Expression | None = None
    assumed: bool = False

    def __getitem__(self, rows: NDArray[np.intp]) -> PreActivation:
        """Some of the rows."""
        cap = None if self.cap is None else self.cap[rows]
        upper = self.upper[rows]
        lower = upper if self.lower is self.upper else self.lower[rows]
        return PreActivation(lower, upper, self.low[rows], self.high[rows], cap, self.assumed)


class Gate(Protocol):
    """A way to switch units off."""

    @property
    def assumed(self) -> bool:
        """Whether bounds are demands on the gated network instead of facts about it."""
        ...

    def __call__(self, a: Expression, low: Vector, high: Vector, m: Expression) -> PreActivation:
        """Gate the flat pre-activations ``a`` with bounds ``low ≤ a ≤ high`` by the flat gate expressions ``m``."""
        ...

    def activation(self, a: Vector, high: Vector, m: Vector) -> Vector:
        """The gated activation as a number, to check a solution against: what the program should have computed."""
        ...


def plain(a: Expression, low: Vector, high: Vector, *, assumed: bool = False) -> PreActivation:
    """A pre-activation without a gate."""
    return PreActivation(a, a, low, high, None, assumed)
