"""What the structure of a network says about its values, whatever comes in.

Interval arithmetic with inputs between −∞ and ∞: behind a ReLU values are ≥ 0, behind a ReLU6 also ≤ 6, an average of
such values is ≥ 0 too, and what hangs on zero weights alone is constant: there both ends are one number. Bounds over a
box say more, and are computed by `oamip.bounds`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.network.maps import Channelwise, Convolution, Dense, LinearMap, Scale, Selection, Sum, TransposedConvolution
from oamip.network.network import Network
from oamip.network.nodes import Affine, Input, Max, ReLU

__all__ = ["Range", "ranges", "with_weights"]

Array: TypeAlias = NDArray[np.float64]
Range: TypeAlias = tuple[Array, Array]


def ranges(network: Network) -> dict[str, Range]:
    """Node name → (lower, upper), each of the node's shape, possibly infinite; equal where the value is constant.

    An entry is called constant only if everything that it is made of is; both ends are then computed alike, in one
    order, and are one number to the last bit.
    """
    found: dict[str, Range] = {}
    for name in network.order:
        node = network[name]
        if isinstance(node, Input):
            found[name] = np.full(node.shape, -np.inf), np.full(node.shape, np.inf)
        elif isinstance(node, Affine):
            low, high = node.bias, node.bias
            for source, map_ in network.edges(name):
                lowest, highest = _through(map_, *found[source])
                low, high = low + lowest, high + highest
            found[name] = low, high
        elif isinstance(node, ReLU):
            low, high = found[network.predecessor(name)]
            found[name] = np.maximum(low, 0.0), np.maximum(high, 0.0)
        elif isinstance(node, Max):
            low, high = found[network.predecessor(name)]
            found[name] = _largest(node, low), _largest(node, high)
    return found


def _largest(node: Max, end: Array) -> Array:
    candidates = np.where(node.index >= 0, end.ravel()[node.index], -np.inf)
    largest: Array = candidates.max(axis=1).reshape(node.shape)
    return largest


def _through(map_: LinearMap, low: Array, high: Array) -> Range:
    if isinstance(map_, Sum):
        lows, highs = zip(*(_through(part, low, high) for part in map_.parts), strict=True)
        return sum(lows[1:], lows[0]), sum(highs[1:], highs[0])
    if isinstance(map_, Selection):
        lowest, highest = (np.where(map_.index >= 0, end.ravel()[map_.index], 0.0) for end in (low, high))
        return lowest, highest
    plus = with_weights(map_, lambda weights: np.maximum(weights, 0.0))
    minus = with_weights(map_, lambda weights: np.maximum(-weights, 0.0))
    no_floor, no_ceiling = np.isinf(low), np.isinf(high)
    floor, ceiling = np.where(no_floor, 0.0, low), np.where(no_ceiling, 0.0, high)
    # An infinite end comes in by positive weights on the same side and by negative ones on the other.
    bottomless = _once(plus, no_floor) + _once(minus, no_ceiling) > 0
    topless = _once(plus, no_ceiling) + _once(minus, no_floor) > 0
    lowest = np.where(bottomless, -np.inf, _once(plus, floor) - _once(minus, ceiling))
    highest = np.where(topless, np.inf, _once(plus, ceiling) - _once(minus, floor))
    return lowest, highest


def _once(map_: LinearMap, x: NDArray[Any]) -> Array:
    result: Array = map_.apply(x[None].astype(np.float64))[0]
    return result


def with_weights(map_: LinearMap, change: Callable[[Array], Array]) -> LinearMap:
    """The map with its stored weights replaced by a function of them; selections, which store none, stay."""
    if isinstance(map_, Sum):
        return Sum(tuple(with_weights(part, change) for part in map_.parts))
    if isinstance(map_, Selection):
        return map_
    if isinstance(map_, Scale):
        return replace(map_, factor=change(map_.factor))
    if isinstance(map_, TransposedConvolution):
        return TransposedConvolution(replace(map_.convolution, weight=change(map_.weight)))
    if isinstance(map_, Channelwise):
        weights = map_.weights.copy()
        weights.data = change(weights.data)
        return replace(map_, weights=weights)
    assert isinstance(map_, Dense | Convolution)
    return replace(map_, weight=change(map_.weight))
