"""Two forms of a network are compared: the random inputs on which, and by how much their outputs differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oamip.network.network import Network, Values

__all__ = ["outputs_of", "random_inputs", "worst_difference"]


def random_inputs(network: Network, samples: int = 8, seed: int = 0) -> Values:
    """Normal samples (n, *shape) for every input, from small to large: near 0 the biases show, far out the weights."""
    rng = np.random.default_rng(seed)
    scales = np.geomspace(0.1, 10.0, samples)
    inputs = {}
    for name in network.inputs:
        shape = network[name].shape
        inputs[name] = rng.standard_normal((samples, *shape)) * scales.reshape(-1, *(1 for _ in shape))
    return inputs


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
