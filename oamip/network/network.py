"""A trained network as a graph of affine, ReLU and max nodes, evaluated in float64."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

import networkx as nx
import numpy as np
from numpy.typing import ArrayLike, NDArray

from oamip.errors import InputError, MissingDependency
from oamip.network.maps import LinearMap, Sum
from oamip.network.nodes import Affine, Input, Max, Node, ReLU

if TYPE_CHECKING:
    from oamip.network.drawing import Picture
    from oamip.network.groups import Groups
    from oamip.network.summary import Stable

__all__ = ["Choice", "Network", "Values"]

Array: TypeAlias = NDArray[np.float64]
Values: TypeAlias = dict[str, Array]
Edit: TypeAlias = Callable[[Array], Array]
_Kind = TypeVar("_Kind", bound=Node)


class Choice(Protocol):
    """Which units stay, as `oamip.Decision` says it."""

    def flat(self, groups: Groups) -> NDArray[np.bool_]:
        """One bool per unit of ``groups``."""
        ...


class Network:
    """The normal form of a trained network.

    Nodes are added in topological order with `add`; after that the network is read-only by convention. ``inputs`` and
    ``outputs`` name its ends; ``extra_parameters`` counts parameters of the source that belong to no layer.

    Example:
        >>> import numpy as np
        >>> from oamip.network import Affine, Dense, Input, Network, ReLU
        >>> net = Network()
        >>> x = net.add(Input("x", (2,), "x"))
        >>> a = net.add(Affine("a", (1,), "0", np.zeros(1)), (x, Dense(np.array([[1.0, -2.0]]), (2,))))
        >>> y = net.add(ReLU("y", (1,), "1"), (a, None))
        >>> net.outputs = (y,)
        >>> net([[3.0, 1.0], [1.0, 3.0]])
        array([[1.],
               [0.]])
    """

    def __init__(self) -> None:
        self.graph = nx.DiGraph()
        self.inputs: tuple[str, ...] = ()
        self.outputs: tuple[str, ...] = ()
        self.extra_parameters = 0

    # ── building ───────────────────────────────────────────────────────────────────────────────────────────────────

    def add(self, node: Node, *edges: tuple[str, LinearMap | None]) -> str:
        """Add a node with its incoming edges, (predecessor, map), and return its name.

        ReLU and Max take one edge with map ``None``. A second edge from the same predecessor is added to the first.
        """
        if node.name in self.graph:
            raise InputError(f"node '{node.name}' exists already")
        if isinstance(node, Affine) and node.bias.shape != node.shape:
            raise InputError(f"node '{node.name}' has shape {node.shape} and a bias of shape {node.bias.shape}")
        self.graph.add_node(node.name, node=node)
        self.__dict__.pop("order", None)
        for source, map_ in edges:
            self._connect(source, node.name, map_)
        if isinstance(node, Input):
            self.inputs = (*self.inputs, node.name)
        return node.name

    def _connect(self, source: str, target: str, map_: LinearMap | None) -> None:
        if map_ is not None and (map_.in_shape != self[source].shape or map_.out_shape != self[target].shape):
            raise InputError(
                f"the map from '{source}' to '{target}' takes {map_.in_shape} to {map_.out_shape}, "
                f"the nodes have shapes {self[source].shape} and {self[target].shape}"
            )
        if map_ is not None and self.graph.has_edge(source, target):
            first = self.graph.edges[source, target]["map"]
            parts = first.parts if isinstance(first, Sum) else (first,)
            map_ = Sum((*parts, map_))
        self.graph.add_edge(source, target, map=map_)

    # ── looking ────────────────────────────────────────────────────────────────────────────────────────────────────

    def __getitem__(self, name: str) -> Node:
        node: Node = self.graph.nodes[name]["node"]
        return node

    @cached_property
    def order(self) -> tuple[str, ...]:
        """All nodes, every one after its predecessors."""
        return tuple(nx.topological_sort(self.graph))

    def nodes(self, kind: type[_Kind]) -> list[_Kind]:
        """The nodes of one kind, in topological order."""
        return [node for node in map(self.__getitem__, self.order) if isinstance(node, kind)]

    def predecessor(self, name: str) -> str:
        """The only predecessor of a ReLU or Max."""
        return str(next(iter(self.graph.predecessors(name))))

    def edges(self, name: str) -> list[tuple[str, LinearMap]]:
        """The incoming edges of an affine node: (predecessor, map)."""
        return [(source, self.graph.edges[source, name]["map"]) for source in self.graph.predecessors(name)]

    def successors(self, name: str) -> list[str]:
        """The nodes that read this one."""
        return list(self.graph.successors(name))

    @property
    def output(self) -> Node:
        """The only output.

        Raises:
            InputError: there are several.
        """
        if len(self.outputs) != 1:
            raise InputError(f"the network has {len(self.outputs)} outputs; this needs exactly one")
        return self[self.outputs[0]]

    # ── evaluating ─────────────────────────────────────────────────────────────────────────────────────────────────

    def evaluate(self, x: ArrayLike | Mapping[str, ArrayLike], edit: Mapping[str, Edit] | None = None) -> Values:
        """Values of all nodes for a batch.

        Args:
            x: (n, *shape) for a network with one input, else input name to array.
            edit: node name to a function that replaces the node's value (n, *shape) before anything reads it; a gate
                or a mask.

        Returns:
            Node name to array (n, *shape), float64.

        Raises:
            InputError: an input has the wrong shape.
        """
        values = self._inputs(x)
        for name in self.order:
            if name not in values:
                values[name] = self._value(self[name], values)
            if edit and name in edit:
                values[name] = edit[name](values[name])
        return values

    def __call__(self, x: ArrayLike | Mapping[str, ArrayLike], edit: Mapping[str, Edit] | None = None) -> Array:
        """The output (n, *shape) for a batch, as `evaluate`."""
        return self.evaluate(x, edit)[self.output.name]

    def _inputs(self, x: ArrayLike | Mapping[str, ArrayLike]) -> Values:
        given = x if isinstance(x, Mapping) else dict.fromkeys(self.inputs[:1], x)
        if set(given) != set(self.inputs):
            example = ", ".join(f"'{name}': …" for name in self.inputs)
            raise InputError(
                f"the network has inputs {list(self.inputs)}; values were given for {list(given)}; "
                f"name them all, as in network({{{example}}})"
            )
        values = {name: np.asarray(value, dtype=np.float64) for name, value in given.items()}
        for name, value in values.items():
            if value.shape[1:] != self[name].shape or value.ndim == 0:
                raise InputError(
                    f"input '{name}' takes arrays ({', '.join(map(str, ('n', *self[name].shape)))}), not {value.shape}"
                )
        if len({len(value) for value in values.values()}) > 1:
            raise InputError(f"the inputs {list(values)} need one number of samples")
        return values

    def _value(self, node: Node, values: Values) -> Array:
        if isinstance(node, Affine):
            total = np.broadcast_to(node.bias, (len(next(iter(values.values()))), *node.shape))
            for source, map_ in self.edges(node.name):
                total = total + map_.apply(values[source])
            return total
        before = values[self.predecessor(node.name)]
        if isinstance(node, ReLU):
            return np.maximum(before, 0.0)
        if isinstance(node, Max):
            largest: Array = max_candidates(node, before).max(axis=2)
            return largest.reshape(len(before), *node.shape)
        raise InputError(f"node '{node.name}' has the unknown kind {type(node).__name__}")

    # ── showing, and making another one ────────────────────────────────────────────────────────────────────────────

    # What works on whole networks has its own files above this one, which are therefore imported when they are needed.

    def summary(self, bounds: Stable | None = None) -> str:
        """A table of the nodes with kinds, shapes, maps, parameters and, given bounds, stable ReLUs.

        Raises:
            InputError: the bounds belong to another network.
        """
        from oamip.network.summary import summary

        return summary(self, bounds)

    def draw(self, path: Path | str | None = None, bounds: Stable | None = None) -> Picture:
        """A picture of the graph, written to ``path`` if one is given; see `oamip.network.drawing`.

        Raises:
            MissingDependency: matplotlib is not installed.
            InputError: the path does not end in .svg, .png or .pdf, or the bounds belong to another network.
        """
        if importlib.util.find_spec("matplotlib") is None:
            raise MissingDependency("matplotlib", "drawing a network", "plot")
        from oamip.network.drawing import draw

        return draw(self, path, bounds)

    def shrink(self, decision: Choice) -> Network:
        """The network without the units that a decision removes; see `oamip.network.shrink`.

        Raises:
            InputError: the decision does not fit the groups of this network.
            MismatchError: the result is not the masked network.
        """
        from oamip.network.search import find_groups
        from oamip.network.shrink import shrink

        groups = find_groups(self)
        return shrink(groups, decision.flat(groups))

    def simplify(self) -> Network:
        """An equal network with fewer nodes and entries; see `oamip.network.rewrites`."""
        from oamip.network.rewrites import simplify

        return simplify(self)


def max_candidates(node: Max, before: Array) -> Array:
    """The candidates (n, outputs, k) of a max node; absent ones are −inf."""
    flat = before.reshape(len(before), -1)[:, np.maximum(node.index, 0)]
    result: Array = np.where(node.index >= 0, flat, -np.inf)
    return result


def pullback(network: Network, values: Values, cotangent: Array, edit: Mapping[str, Edit] | None = None) -> Values:
    """Gradients of linear functions of the output, by one sweep of adjoint maps.

    Args:
        network: with one output.
        values: node values (n, *shape) from `Network.evaluate`.
        cotangent: (c, n, *output shape): c functions of the output for each sample.
        edit: masks that the values were evaluated with (`Groups.mask`); multiplications are their own adjoints.

    Returns:
        Node name to array (c, n, *shape): derivative of each function with respect to the node's value. At a kink of a
        ReLU the derivative is 0; a max passes everything to its first maximum. Nodes behind which no output lies get 0.
    """
    c, n = cotangent.shape[:2]
    gradients: Values = {network.output.name: cotangent.reshape(c * n, *network.output.shape)}
    for name in reversed(network.order):
        if name not in gradients:
            continue
        node, gradient = network[name], gradients[name]
        if edit and name in edit:
            gradient = gradients[name] = edit[name](gradient)
        if isinstance(node, Affine):
            passed = [(source, map_.adjoint(gradient)) for source, map_ in network.edges(name)]
        elif isinstance(node, ReLU):
            source = network.predecessor(name)
            active = np.broadcast_to(values[source] > 0, (c, n, *node.shape)).reshape(gradient.shape)
            passed = [(source, gradient * active)]
        elif isinstance(node, Max):
            source = network.predecessor(name)
            passed = [(source, _scatter_to_winner(node, values[source], gradient))]
        else:
            passed = []
        for source, part in passed:
            gradients[source] = gradients[source] + part if source in gradients else part
    return {
        name: gradients[name].reshape(c, n, *network[name].shape)
        if name in gradients
        else np.zeros((c, n, *network[name].shape))
        for name in network.order
    }


def _scatter_to_winner(node: Max, before: Array, gradient: Array) -> Array:
    n = len(before)
    winner = max_candidates(node, before).argmax(axis=2)  # (n, outputs)
    position = np.take_along_axis(np.broadcast_to(node.index, (n, *node.index.shape)), winner[..., None], 2)[..., 0]
    copies = len(gradient) // n
    flat = np.zeros((copies, n, math.prod(before.shape[1:])))
    np.add.at(
        flat,
        (np.arange(copies)[:, None, None], np.arange(n)[None, :, None], position[None]),
        gradient.reshape(copies, n, -1),
    )
    return flat.reshape(len(gradient), *before.shape[1:])
