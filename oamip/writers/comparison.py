"""What was written is compared with the network by its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oamip.network import Network, Values

__all__ = ["outputs_of", "worst_difference"]


def outputs_of(network: Network, inputs: Values) -> list[NDArray[np.float64]]:
    """The outputs in their order."""
    values = network.evaluate(inputs)
    return [values[name] for name in network.outputs]


def worst_difference(expected: Sequence[NDArray[np.float64]], found: Sequence[NDArray[Any]]) -> float:
    """Largest difference between outputs, relative to the largest output of the same sample, or to 1.

    Infinite where a shape differs or a number is missing.
    """
    worst = 0.0
    for wanted, answer in zip(expected, found, strict=True):
        if answer.shape != wanted.shape:
            return float("inf")
        gap = np.abs(answer.astype(np.float64) - wanted).reshape(len(wanted), -1)
        size = np.maximum(np.abs(wanted).reshape(len(wanted), -1).max(axis=1, initial=0.0), 1.0)
        worst = max(worst, float(np.nan_to_num(gap.max(axis=1, initial=0.0) / size, nan=np.inf).max(initial=0.0)))
    return worst
