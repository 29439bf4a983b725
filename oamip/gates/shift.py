"""The published gate: the pre-activation is shifted down by its own maximum.

    a' = a − (1 − m) u⁺   on   [l − u⁺, u],      h = max(0, a')

m = 1 leaves the unit as it is; m = 0 makes a' ≤ 0 and so h = 0. In between it is a soft threshold.
Source: ElAraby, Wolf, Carvalho (arXiv 2002.07259), section 3. There the lower end of the interval is ``l`` itself, the
one of the *intact* network, which does not enclose a': bounds are then demands on the gated network (`assumed`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oamip.gates.base import PreActivation, Vector
from oamip.program import Expression

__all__ = ["ShiftGate"]


@dataclass(frozen=True)
class ShiftGate:
    """``a' = a − (1 − m) u⁺``.

    Args:
        assumed: take ``[l, u]`` of the intact network as demands on a', as the published program does.
    """

    assumed: bool = False

    def __call__(self, a: Expression, low: Vector, high: Vector, m: Expression) -> PreActivation:
        """See `Gate`."""
        top = np.maximum(high, 0.0)
        shifted = a + m * top - top
        return PreActivation(shifted, shifted, low if self.assumed else low - top, high, None, self.assumed)

    def activation(self, a: Vector, high: Vector, m: Vector) -> Vector:
        """See `Gate`."""
        return np.maximum(0.0, a - (1.0 - m) * np.maximum(high, 0.0))
