"""The network while it is being read from an ONNX graph.

Every tensor is read as it is for a batch of one. It has its sizes as the file declares them, and a node whose shape is
the same without a leading 1: a batch axis, a spatial axis and a model without any batch need no cases of their own.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oamip.errors import ModelFileError, UnsupportedOperator
from oamip.network import Affine, Input, Layer, LinearMap, Max, Network, ReLU, Selection

__all__ = ["ENTRIES", "Array", "Call", "Constant", "Draft", "Shape", "Signal", "module_path", "printable", "sample"]

Array: TypeAlias = NDArray[np.float64]
Constant: TypeAlias = NDArray[Any]
Shape: TypeAlias = tuple[int, ...]

ENTRIES = 2**26
"""How many numbers reading may make for any file, however small: half a GiB of indices and biases."""


def sample(sizes: Shape) -> Shape:
    """The shape of a node that holds a tensor of some sizes: without a leading 1, and never empty.

    Example:
        >>> sample((1, 3, 32, 32)), sample((1, 10)), sample((5,)), sample((1,)), sample(())
        ((3, 32, 32), (10,), (5,), (1,), (1,))
    """
    return sizes[1:] if len(sizes) > 1 and sizes[0] == 1 else sizes or (1,)


def printable(text: str) -> str:
    r"""Text from a file as one line that a terminal can show.

    Example:
        >>> print(printable("Größe\n\x1b[31m"))
        Größe\n\x1b[31m
    """
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def module_path(place: str) -> str:
    """The module in the name that torch's exporter gives to a call: its scopes, where children repeat their parent.

    Example:
        >>> module_path("/blocks/blocks.0/body/body.2/body.2.0/Conv"), module_path("/fc/Gemm"), module_path("Conv_3")
        ('blocks.0.body.2.0', 'fc', '')
    """
    path: list[str] = []
    for scope in place.split("/")[1:-1]:
        if path and scope.startswith(f"{path[-1]}."):
            path.pop()
        path.append(scope)
    return ".".join(path) if place.startswith("/") else ""


@dataclass(frozen=True)
class Call:
    """One node of the graph, its defaults filled in from the schema of its version.

    Args:
        operator: its type, as ``Conv``.
        version: the opset version that defines this form of it.
        place: its name, or that of its first output.
        inputs, outputs: names of tensors; an empty name stands for an optional one that is left out.
        attributes: by name.
        gathers: whether the schema takes any number of inputs.
    """

    operator: str
    version: int
    place: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    gathers: bool = False

    def refuse(self, remedy: str) -> NoReturn:
        """Stop: this call cannot be read."""
        raise UnsupportedOperator(self.operator, self.place, remedy)


@dataclass(frozen=True, eq=False)
class Signal:
    """A tensor that depends on the input.

    Args:
        node: that holds it.
        shape: of the node.
        sizes: as the file has them, for a batch of one; the same entries in the same order.
    """

    node: str
    shape: Shape
    sizes: Shape


class Draft:
    """A network being built, call by call.

    Args:
        readers: how often each tensor is read, by calls and as an output.
        weights: names of the tensors that the file stores.
        budget: how many numbers may be made; a small file that declares huge tensors ends here.
        batched: whether axis 0 of every tensor is a batch whose size the file leaves open.
    """

    def __init__(
        self, readers: Mapping[str, int], weights: Collection[str], budget: int = ENTRIES, *, batched: bool = False
    ) -> None:
        self.network = Network()
        self.readers = readers
        self.weights = weights
        self.budget = budget
        self.batched = batched
        self.call: Call
        self._used = Counter[str]()
        self._makers = dict[str, str]()
        self._owners = dict[str, str]()

    # ── where we are ───────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def operator(self) -> str:
        """What is called."""
        return self.call.operator

    @property
    def place(self) -> str:
        """Where."""
        return self.call.place

    def refuse(self, remedy: str) -> NoReturn:
        """Stop: the present call cannot be read."""
        self.call.refuse(remedy)

    def reserve(self, sizes: Sequence[int]) -> None:
        """Account for an array that is about to be made.

        Raises:
            ModelFileError: a size is negative, or all arrays together would be larger than a file like this may make.
        """
        if min(sizes, default=0) < 0:
            raise ModelFileError(f"{self.operator} at '{self.place}' makes a tensor of the impossible sizes {sizes}")
        self.budget -= math.prod(sizes)
        if self.budget < 0:
            raise ModelFileError(
                f"{self.operator} at '{self.place}' makes a tensor of sizes {tuple(sizes)}, and this file may not make "
                "so many numbers; give smaller sizes, or export a smaller network"
            )

    # ── constants ──────────────────────────────────────────────────────────────────────────────────────────────────

    def numbers(self, value: Any) -> Array:
        """A constant as a float64 array.

        Raises:
            UnsupportedOperator: it depends on the input.
            ModelFileError: it is NaN or infinite.
        """
        if isinstance(value, Signal):
            self.refuse("it takes weights or settings that depend on the input, so it is not affine; use fixed ones")
        array = np.asarray(value, dtype=np.float64)
        if not np.isfinite(array).all():
            raise ModelFileError(f"a constant of {self.operator} at '{self.place}' is NaN or infinite")
        return array

    def integers(self, value: Any) -> Shape:
        """A constant, or an attribute, as a tuple of integers."""
        array = self.numbers(value)
        if array.ndim > 1 or (array != np.floor(array)).any():
            raise ModelFileError(f"{self.operator} at '{self.place}' needs a list of integers, not {array.tolist()}")
        return tuple(int(number) for number in array.ravel())

    # ── nodes ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def input(self, name: str, sizes: Shape) -> Signal:
        """A node given from outside."""
        self.call = Call("Input", 1, printable(name), (), (name,))
        self.reserve(sizes)
        return Signal(self.network.add(Input(self._name(), sample(sizes), self.place)), sample(sizes), sizes)

    def affine(
        self,
        shape: Shape,
        *edges: tuple[Signal, LinearMap],
        bias: ArrayLike = 0.0,
        layer: Layer | None = None,
        rigid: str = "",
    ) -> Signal:
        """A node ``Σ A_e x_e + bias`` of the node shape ``shape``; ``bias`` is broadcast to it."""
        self._refuse_empty(shape)
        self.reserve(shape)
        constant = np.broadcast_to(np.asarray(bias, dtype=np.float64), shape)
        node = Affine(self._name(), shape, self.place, constant, layer, rigid)
        name = self.network.add(node, *((source.node, map_) for source, map_ in edges))
        self._makers[name] = self.call.outputs[0]
        return Signal(name, shape, edges[0][0].sizes if edges and edges[0][0].shape == shape else shape)

    def relu(self, x: Signal) -> Signal:
        """A node ``max(0, x)``."""
        return replace(x, node=self.network.add(ReLU(self._name(), x.shape, self.place), (x.node, None)))

    def maximum(self, x: Signal, shape: Shape, index: NDArray[np.intp]) -> Signal:
        """A node of the node shape ``shape``: maxima over the candidates ``index`` (outputs, k) of ``x``."""
        self._refuse_empty(index.shape)
        self.reserve(index.shape)
        name = self.network.add(Max(self._name(), shape, self.place, index), (x.node, None))
        return Signal(name, shape, x.sizes if x.shape == shape else shape)

    # ── layers ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def path(self, operand: int) -> str:
        """What to call the layer whose weights are one of the call's inputs: as torch does, where torch wrote them.

        Weights that torch's exporter has folded or turned have names of no meaning; the call's place tells the module,
        unless another set of weights has that path.
        """
        name = self.call.inputs[operand]
        stored = name in self.weights and not name.startswith("onnx::")
        path = printable(name.removesuffix(".weight")) if stored else module_path(self.place) or self.place
        return path if self._owners.setdefault(path, name) == name else self.place

    def absorb(self, operand: int, x: Signal, bias: Array) -> bool:
        """Make a constant the bias of the linear layer that made ``x``, if it has none and nobody else reads ``x``."""
        node, name = self.network[x.node], self.call.inputs[operand]
        if self._makers.get(x.node) != name or self.readers[name] != 1:
            return False
        if not isinstance(node, Affine) or node.layer is None or node.layer.kind != "linear" or node.layer.bias:
            return False
        layer = replace(node.layer, bias=True)
        self.network.graph.nodes[x.node]["node"] = replace(node, bias=node.bias + bias, layer=layer)
        return True

    # ── tensors ────────────────────────────────────────────────────────────────────────────────────────────────────

    def combine(self, sizes: Shape, *edges: tuple[Signal, LinearMap], bias: ArrayLike = 0.0) -> Signal:
        """`affine` by the tensor's sizes; ``bias`` broadcasts to them."""
        constant = np.broadcast_to(np.asarray(bias, dtype=np.float64), sizes).reshape(sample(sizes))
        return replace(self.affine(sample(sizes), *edges, bias=constant), sizes=sizes)

    def index(self, x: Signal) -> NDArray[np.intp]:
        """The position of each entry, in the sizes of the tensor."""
        self.reserve(x.sizes)
        return np.arange(math.prod(x.sizes)).reshape(x.sizes)

    def move(self, x: Signal, index: NDArray[np.intp], bias: ArrayLike = 0.0) -> Signal:
        """The tensor whose entries are those of ``x`` at ``index``, −1 for none; ``x`` itself if nothing moves."""
        shape = sample(index.shape)
        if shape == x.shape and np.array_equal(index.ravel(), np.arange(index.size)):
            return replace(x, sizes=index.shape)
        self.reserve(index.shape)
        places = np.ascontiguousarray(index, dtype=np.intp).reshape(shape)
        return self.combine(index.shape, (x, Selection(places, x.shape)), bias=bias)

    def _refuse_empty(self, shape: Shape) -> None:
        if 0 in shape:
            self.refuse("it makes a tensor without entries; export the network without it")

    def _name(self) -> str:
        """A name for a node of the present call: an identifier in lower case, unlike those before."""
        base = re.sub(r"[^a-z0-9]+", "_", self.place.lower()).strip("_")
        base = base if base[:1].isalpha() else f"n{base}"
        while True:
            self._used[base] += 1
            name = base if self._used[base] == 1 else f"{base}_{self._used[base]}"
            if name not in self.network.graph:
                return name
