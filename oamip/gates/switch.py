"""An affine quantity that is switched off: y = m · a for binary m.

    l m ≤ y ≤ u m,   a − u (1 − m) ≤ y ≤ a − l (1 − m),   with l ≤ 0 ≤ u

For a known number a it is the expression a m, without a column or a row.
"""

from __future__ import annotations

import numpy as np

from oamip.gates.base import Vector
from oamip.program import Expression, Program

__all__ = ["switch"]


def switch(program: Program, name: str, a: Expression, low: Vector, high: Vector, m: Expression) -> Expression:
    """Add ``y = m · a`` for flat ``a`` on ``[low, high]`` and flat ``m`` in [0, 1]; returns y."""
    if a.is_constant:
        return m * a.constant
    below, above = np.minimum(low, 0.0), np.maximum(high, 0.0)
    y = program.variables(name, a.size, below, above)
    program.restrict(f"{name}_open_below", y - a - m * above >= -above)
    program.restrict(f"{name}_open_above", y - a - m * below <= -below)
    program.restrict(f"{name}_closed_below", y - m * below >= 0)
    program.restrict(f"{name}_closed_above", y - m * above <= 0)
    return y
