"""The exact gate for binary m.

    h ≥ a − u⁺ (1 − m),   h ≤ a − l⁻ (1 − z),   h ≤ u⁺ z,   z ≤ m

The lower side is the published shift; the upper side needs only l⁻ instead of l − u⁺, because z ≤ m closes the unit.
A row whose a is a single known number needs no z at all: h = a⁺ m.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from oamip.gates.base import PreActivation, Vector
from oamip.program import Expression, concatenate

__all__ = ["ExactGate"]


@dataclass(frozen=True)
class ExactGate:
    """``h = m · max(0, a)`` for m ∈ {0, 1}."""

    assumed: ClassVar[bool] = False

    def __call__(self, a: Expression, low: Vector, high: Vector, m: Expression) -> PreActivation:
        """See `Gate`. Rows with ``low = high`` become the expression a⁺ m on [0, a⁺]."""
        known = low == high
        top = np.maximum(high, 0.0)
        product = m * top
        lower = _choose(known, product, a + product - top)
        upper = _choose(known, product, a)
        return PreActivation(lower, upper, np.where(known, 0.0, np.minimum(low, 0.0)), high, m)

    def activation(self, a: Vector, high: Vector, m: Vector) -> Vector:  # noqa: ARG002
        """See `Gate`."""
        return m * np.maximum(0.0, a)


def _choose(condition: np.ndarray, yes: Expression, no: Expression) -> Expression:
    """Rows of ``yes`` where the condition holds, else of ``no``."""
    rows = np.arange(condition.size)
    if condition.all() or not condition.any():
        return yes if condition.all() else no
    return concatenate([yes, no])[np.where(condition, rows, rows + condition.size)]
