"""Lower and upper bounds of all values of a network, with the pass that set each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.errors import InputError, MismatchError
from oamip.network import Network, ReLU, Values

__all__ = ["Bounds", "Range", "Stability"]

Array: TypeAlias = NDArray[np.float64]
Range: TypeAlias = tuple[Array, Array]
Setter: TypeAlias = NDArray[np.uint8]


class Stability(NamedTuple):
    """How many ReLU entries, over all boxes, pass everything (``on``), nothing (``off``), or depend on the input."""

    on: int
    off: int
    unstable: int


@dataclass(frozen=True, eq=False)
class Bounds:
    """Node name → (lower, upper), each (n, *shape), for n boxes.

    At a node where gates act (`Groups.sites`) gated bounds are those of the value behind the gate, which include the
    value before it.

    Args:
        ranges: node name to lower and upper bounds.
        passes: names of the passes that took part.
        setters: node name to two arrays (n, *shape), numbers in ``passes``: which pass set the lower, the upper bound.
        gated: they hold with any subset of units switched off, not only for the whole network.
    """

    ranges: Mapping[str, Range]
    passes: tuple[str, ...]
    setters: Mapping[str, tuple[Setter, Setter]]
    gated: bool = False

    @staticmethod
    def of(ranges: Mapping[str, Range], name: str, *, gated: bool = False) -> Bounds:
        """Bounds all set by one pass."""
        nobody = {node: np.zeros(lower.shape, dtype=np.uint8) for node, (lower, _) in ranges.items()}
        return Bounds(ranges, (name,), {node: (first, first) for node, first in nobody.items()}, gated)

    def __getitem__(self, node: str) -> Range:
        return self.ranges[node]

    def __contains__(self, node: object) -> bool:
        return node in self.ranges

    def __iter__(self) -> Iterator[str]:
        return iter(self.ranges)

    def intersect(self, other: Bounds) -> Bounds:
        """The tighter of both everywhere; a node that only one of them knows is taken as it is.

        Raises:
            InputError: one is gated and the other is not.
            MismatchError: they exclude each other somewhere, so one of them is wrong.
        """
        if self.gated != other.gated:
            raise InputError(
                "bounds of the whole network and gated bounds describe different sets; intersect like ones"
            )
        passes = tuple(dict.fromkeys((*self.passes, *other.passes)))
        moved = np.array([passes.index(name) for name in other.passes], dtype=np.uint8)
        ranges = {**other.ranges, **self.ranges}
        setters = {**{node: (moved[a], moved[b]) for node, (a, b) in other.setters.items()}, **self.setters}
        for node in self.ranges.keys() & other.ranges.keys():
            (low, high), (new_low, new_high) = self[node], other[node]
            ranges[node] = np.maximum(low, new_low), np.minimum(high, new_high)
            if (ranges[node][0] > ranges[node][1]).any():
                raise MismatchError(f"the bounds of '{node}' by {self.passes} and by {other.passes} exclude each other")
            by_low, by_high = self.setters[node]
            new_by_low, new_by_high = (moved[by] for by in other.setters[node])
            setters[node] = np.where(new_low > low, new_by_low, by_low), np.where(new_high < high, new_by_high, by_high)
        return Bounds(ranges, passes, setters, self.gated)

    def widths(self) -> Values:
        """Node name → upper − lower."""
        return {node: upper - lower for node, (lower, upper) in self.ranges.items()}

    def shares(self) -> dict[str, float]:
        """Pass → the fraction of all bounds that it set."""
        counts = np.zeros(len(self.passes))
        for pair in self.setters.values():
            for setter in pair:
                counts += np.bincount(setter.ravel(), minlength=len(self.passes))
        return dict(zip(self.passes, (counts / counts.sum()).tolist(), strict=True))

    def contains(self, values: Values) -> bool:
        """Whether all values (n, *shape) of an evaluation are within the bounds."""
        return all(
            bool(((lower <= values[node]) & (values[node] <= upper)).all())
            for node, (lower, upper) in self.ranges.items()
        )

    def stability(self, network: Network) -> dict[str, Stability]:
        """ReLU name → how many of its entries are certainly on, certainly off, or unstable, by the node before it."""
        counts = {}
        for node in network.nodes(ReLU):
            lower, upper = self[network.predecessor(node.name)]
            off = int((upper <= 0).sum())
            on = int(((lower >= 0) & (upper > 0)).sum())
            counts[node.name] = Stability(on, off, lower.size - on - off)
        return counts
