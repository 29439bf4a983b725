"""Random inputs on which two forms of a network are compared."""

from __future__ import annotations

import numpy as np

from oamip.network.network import Network, Values

__all__ = ["random_inputs"]


def random_inputs(network: Network, samples: int = 8, seed: int = 0) -> Values:
    """Normal samples (n, *shape) for every input, from small to large: near 0 the biases show, far out the weights."""
    rng = np.random.default_rng(seed)
    scales = np.geomspace(0.1, 10.0, samples)
    inputs = {}
    for name in network.inputs:
        shape = network[name].shape
        inputs[name] = rng.standard_normal((samples, *shape)) * scales.reshape(-1, *(1 for _ in shape))
    return inputs
