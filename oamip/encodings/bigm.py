"""Big-M, with one constant per row taken from the bounds.

    h ≥ 0,   h ≥ a,   h ≤ u z,   h ≤ a − l (1 − z),   z ∈ {0, 1}

Relaxed, z projects out: the best z is h / u, which gives the triangle ``(1 − l/u) h ≤ a − l`` and no column for z.
A maximum over k candidates: ``h ≥ a_j``, ``h ≤ a_j + (U_{≠j} − l_j)(1 − z_j)``, ``Σ z = 1``, where U_{≠j} is the
largest upper bound among the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from oamip.gates import PreActivation
from oamip.program import Expression, Program

__all__ = ["BigM"]

Vector: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class BigM:
    """The big-M encoding.

    Args:
        relaxed: drop integrality; ReLUs then have no z at all.
    """

    relaxed: bool = False

    @property
    def exact(self) -> bool:
        """See `Encoding`."""
        return not self.relaxed

    def relu(self, program: Program, name: str, pre: PreActivation) -> Expression:
        """See `Encoding`."""
        h = program.variables(f"{name}_h", pre.low.size, 0.0, pre.high)
        program.add(f"{name}_active", h - pre.lower >= 0)
        if self.relaxed:
            program.add(f"{name}_triangle", h * (1.0 - pre.low / pre.high) - pre.upper <= -pre.low)
            if pre.cap is not None:
                program.add(f"{name}_closed", h - pre.cap * pre.high <= 0)
            return h
        z = program.variables(f"{name}_z", pre.low.size, domain="binary")
        program.add(f"{name}_on", h - z * pre.high <= 0)
        program.add(f"{name}_off", h - pre.upper - z * pre.low <= -pre.low)
        if pre.cap is not None:
            program.add(f"{name}_closed", z - pre.cap <= 0)
        return h

    def max(
        self, program: Program, name: str, candidates: Expression, low: Vector, high: Vector, starts: NDArray[np.intp]
    ) -> Expression:
        """See `Encoding`."""
        count, lengths = starts.size - 1, np.diff(starts)
        owner = np.repeat(np.arange(count), lengths)
        h = program.variables(
            f"{name}_h", count, np.maximum.reduceat(low, starts[:-1]), np.maximum.reduceat(high, starts[:-1])
        )
        z = program.variables(f"{name}_z", owner.size, 0, 1, domain="continuous" if self.relaxed else "binary")
        reach = _largest_other(high, owner, starts) - low
        program.add(f"{name}_covers", h[owner] - candidates >= 0)
        program.add(f"{name}_winner", h[owner] - candidates + z * reach <= reach)
        choose = sp.csr_array((np.ones(owner.size), np.arange(owner.size), starts), shape=(count, owner.size))
        program.add(f"{name}_one", z.transform(choose) == 1)
        return h


def _largest_other(high: Vector, owner: NDArray[np.intp], starts: NDArray[np.intp]) -> Vector:
    """For each candidate, the largest upper bound among the other candidates of its maximum."""
    order = np.lexsort((high, owner))  # ascending inside each maximum
    last, second = order[starts[1:] - 1], order[starts[1:] - 2]
    result: Vector = high[last][owner]
    result[last] = high[second]
    return result
