"""A network as steps that torch and ONNX both know.

A node of the network becomes one step where there is one: a layer, a ReLU, a pool. An affine node without weights is
taken apart: each edge is a chain of moves; parts that lie side by side are a concatenation, others a sum; its bias is
padding, a number, or a shift per channel.

A factor or shift per channel becomes a normalisation, whose channels can be pruned, except directly behind the input,
where it scales data and stays a constant.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.errors import UnsupportedOperator
from oamip.network import (
    Affine,
    Channelwise,
    Convolution,
    Dense,
    Input,
    LinearMap,
    Max,
    Network,
    Node,
    ReLU,
    Scale,
    Selection,
    Sum,
    TransposedConvolution,
    Weighted,
)
from oamip.writers.boxes import Box, box_of, extent_of, side_by_side, value_around
from oamip.writers.moves import moves, reshaped
from oamip.writers.pools import averaged, largest
from oamip.writers.shapes import result_of
from oamip.writers.steps import (
    Bend,
    Cat,
    Conv,
    ConvTranspose,
    Expand,
    Gather,
    Largest,
    Linear,
    Norm,
    Pad,
    Positive,
    Scaled,
    Shape,
    Shifted,
    Step,
    Total,
)

__all__ = ["Lowered", "lower"]

Array: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Lowered:
    """A network in steps.

    Args:
        inputs: name and sample shape of each input, with what the source calls it.
        steps: in order.
        outputs: names of the tensors that are outputs.
    """

    inputs: tuple[Step, ...]
    steps: tuple[Step, ...]
    outputs: tuple[str, ...]


def lower(network: Network) -> Lowered:
    """A network as ordinary operators; steps that no output needs are left out."""
    return _Lowering(network).run()


class _Lowering:
    def __init__(self, network: Network) -> None:
        self.network = network
        self.inputs: list[Step] = []
        self.steps: list[Step] = []
        self.shapes: dict[str, Shape] = {}
        self.values: dict[str, str] = {}  # node → tensor
        self.makers: dict[str, Step] = {}  # tensor → step
        self.raw: set[str] = set()  # tensors that no weights have touched
        self.names: set[str] = set()
        self.place = ""

    def run(self) -> Lowered:
        for name in self.network.inputs:
            self.values[name] = self._input(self.network[name])
        for name in self.network.order:
            node = self.network[name]
            self.place = node.module
            if isinstance(node, Input):
                continue
            if isinstance(node, Affine):
                self.values[name] = self._affine(node)
            elif isinstance(node, ReLU):
                source = self.values[self.network.predecessor(name)]
                self.values[name] = self._step(name, Positive(), (source,), node.shape)
            elif isinstance(node, Max):
                self.values[name] = self._max(node)
            else:
                raise UnsupportedOperator(type(node).__name__, name, "only input, affine, ReLU and max nodes are known")
        outputs = tuple(self.values[name] for name in self.network.outputs)
        return Lowered(tuple(self.inputs), _needed(self.steps, outputs), outputs)

    # ── steps ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _name(self, wanted: str) -> str:
        """A plain identifier, unlike those before."""
        base = re.sub(r"[^A-Za-z0-9_]+", "_", wanted).strip("_") or "value"
        base = base if base[0].isalpha() else f"n{base}"
        name, number = base, 1
        while name in self.names:
            number += 1
            name = f"{base}_{number}"
        self.names.add(name)
        return name

    def _input(self, node: Node) -> str:
        name = self._name(node.name)
        self.inputs.append(Step(name, (), node.shape, None, node.module))
        self.shapes[name] = node.shape
        self.raw.add(name)
        return name

    def _step(self, name: str, operator: Any, inputs: Sequence[str], shape: Shape, path: str = "") -> str:
        made = self._name(name)
        self.makers[made] = Step(made, tuple(inputs), shape, operator, path or self.place)
        self.steps.append(self.makers[made])
        self.shapes[made] = shape
        if not isinstance(operator, _WEIGHTED) and all(source in self.raw for source in inputs):
            self.raw.add(made)
        return made

    def _chain(self, name: str, operators: Iterable[Any], x: str) -> str:
        """Operators of one input, one behind the other."""
        for operator in operators:
            x = self._step(name, operator, (x,), result_of(operator, self.shapes[x]))
        return x

    # ── nodes ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _max(self, node: Max) -> str:
        x = self.values[self.network.predecessor(node.name)]
        operators = largest(node.index, self.shapes[x], node.shape)
        if operators is None:  # the candidates side by side; an absent one repeats one that is there
            present = np.take_along_axis(node.index, node.index.argmax(axis=1)[:, None], 1)
            candidates = np.where(node.index >= 0, node.index, present)
            x = self._chain(node.name, (Gather(candidates.astype(np.intp)), Largest((1,), keep=False)), x)
            return self._chain(node.name, moves(np.arange(len(node.index)).reshape(node.shape), self.shapes[x]), x)
        return self._chain(node.name, operators, x)

    def _affine(self, node: Affine) -> str:
        edges = [edge for source, map_ in self.network.edges(node.name) for edge in _parts(source, map_)]
        if node.layer is not None and node.layer.kind == "slope" and (bent := self._bent(node, edges)):
            return bent
        if len(edges) == 1:
            return self._single(node, *edges[0])
        if not edges:  # a constant: zeros of the right batch, made of the input
            nothing = Gather(np.full(node.shape, -1, dtype=np.intp))
            return self._shifted(node.name, self._chain(node.name, (nothing,), self.inputs[0].name), node.bias)
        return self._shifted(node.name, self._combined(node, edges), node.bias)

    def _single(self, node: Affine, source: str, map_: LinearMap) -> str:
        x = self.values[source]
        if isinstance(map_, Weighted):
            return self._layer(node, x, map_)
        if isinstance(map_, Scale):
            masked = self._unmasked(source, map_)
            if masked is not None:
                return self._selected(node, self.values[masked[0]], masked[1])
            return self._scaled(node, x, map_)
        if isinstance(map_, Selection):
            return self._selected(node, x, map_)
        return self._shifted(node.name, self._edge(node.name, x, map_), node.bias)

    def _layer(self, node: Affine, x: str, map_: Weighted) -> str:
        """Weights with what of the bias is the same at all positions."""
        path = node.layer.path if node.layer else node.name
        along = -1 if isinstance(map_, Dense) else 0
        bias = _along(node.bias, along)
        own = bias if bias is not None and (bias.any() or (node.layer is not None and node.layer.bias)) else None
        operator: Any
        if isinstance(map_, Dense):
            operator = Linear(map_.weight, own)
        elif isinstance(map_, Convolution):
            operator = Conv(map_, own)
        else:
            operator = ConvTranspose(map_, own)
        made = self._step(node.name, operator, (x,), node.shape, path)
        return made if bias is not None else self._shifted(node.name, made, node.bias)

    def _bent(self, node: Affine, edges: Sequence[tuple[str, LinearMap]]) -> str | None:
        """A PReLU with one slope per channel, from ``s x + (1 − s) relu(x)``."""
        scales = [(source, map_) for source, map_ in edges if isinstance(map_, Scale)]
        if len(scales) != 2 or len(edges) != 2 or node.bias.any():
            return None
        (source, straight), (bent, rest) = scales
        if not isinstance(self.network[bent], ReLU):
            return None
        slope = _along(np.broadcast_to(1.0 - rest.factor, node.shape), 0)
        if slope is None or (slope > 1).any() or not np.allclose(straight.factor, 1.0 - rest.factor, atol=1e-15):
            return None
        turned = self.network.predecessor(bent)
        if turned != source:
            return None
        path = node.layer.path if node.layer else node.name
        return self._step(node.name, Bend(slope), (self.values[source],), node.shape, path)

    # ── edges without weights ──────────────────────────────────────────────────────────────────────────────────────

    def _combined(self, node: Affine, edges: Sequence[tuple[str, LinearMap]]) -> str:
        """The sum of all edges: side by side, or on top of each other."""
        parts: dict[Box, list[tuple[str, int]]] = {}
        whole = tuple((0, size) for size in node.shape)
        for source, map_ in edges:
            box = box_of(map_.index) if isinstance(map_, Selection) else whole
            inner, sign = map_, 1
            if isinstance(map_, Selection) and box is not None:
                inner = Selection(map_.index[tuple(slice(*side) for side in box)], map_.in_shape)
            if isinstance(map_, Scale) and map_.factor.size == 1 and map_.factor.ravel()[0] == -1:
                inner, sign = Selection(np.arange(node.bias.size).reshape(node.shape), map_.in_shape), -1
            term = self._edge(node.name, self.values[source], inner)
            parts.setdefault(box or whole, []).append((term, sign))
        joined = {box: self._sum(node.name, terms, extent_of(box)) for box, terms in parts.items()}
        axis = side_by_side(list(joined), node.shape)
        if axis is not None:
            ordered = [joined[box] for box in sorted(joined, key=lambda box: box[axis])]
            return self._step(node.name, Cat(axis), ordered, node.shape)
        padded = [(self._padded(node.name, x, box, node.shape), 1) for box, x in joined.items()]
        return self._sum(node.name, padded, node.shape)

    def _sum(self, name: str, terms: Sequence[tuple[str, int]], shape: Shape) -> str:
        """Terms with their signs, those that only repeat along axes left to be broadcast."""
        if len(terms) == 1 and terms[0][1] > 0:
            return terms[0][0]
        if len(terms) == 1:
            return self._step(name, Scaled(np.array(-1.0)), (terms[0][0],), shape)
        narrow = [(self._before_expand(x), sign) for x, sign in terms]
        if np.broadcast_shapes(*(self.shapes[x] for x, _ in narrow)) == shape:
            terms = narrow
        ordered = sorted(terms, key=lambda term: -term[1])
        return self._step(name, Total(tuple(sign for _, sign in ordered)), [x for x, _ in ordered], shape)

    def _before_expand(self, x: str) -> str:
        step = self.makers.get(x)
        return step.inputs[0] if step is not None and isinstance(step.operator, Expand) else x

    def _padded(self, name: str, x: str, box: Box, shape: Shape, value: float = 0.0) -> str:
        sides = tuple((start, size - stop) for (start, stop), size in zip(box, shape, strict=True))
        return x if not any(map(any, sides)) else self._step(name, Pad(sides, value), (x,), shape)

    def _edge(self, name: str, x: str, map_: LinearMap) -> str:
        """What an edge makes of ``x``, whole and without bias."""
        if isinstance(map_, Selection):
            return self._chain(name, moves(map_.index, map_.in_shape), x)
        if isinstance(map_, Scale):
            return self._affinely(name, x, np.broadcast_to(map_.factor, map_.in_shape), np.zeros(map_.in_shape))
        if isinstance(map_, Channelwise):
            return self._chain(name, averaged(map_.weights, map_.in_shape, map_.out_spatial), x)
        if isinstance(map_, Dense):
            return self._step(name, Linear(map_.weight, None), (x,), map_.out_shape, name)
        if isinstance(map_, Convolution):
            return self._step(name, Conv(map_, None), (x,), map_.out_shape, name)
        if isinstance(map_, TransposedConvolution):
            return self._step(name, ConvTranspose(map_, None), (x,), map_.out_shape, name)
        return self._by_matrix(name, x, map_)

    def _by_matrix(self, name: str, x: str, map_: LinearMap) -> str:
        """A map of a kind that is not ours, as a linear layer between flat arrays."""
        inputs, outputs = math.prod(map_.in_shape), math.prod(map_.out_shape)
        if inputs * outputs > _DENSE:
            remedy = f"it has no operator of its own, and a matrix of {outputs} × {inputs} numbers would be too large"
            raise UnsupportedOperator(type(map_).__name__, self.place, remedy)
        flat = self._chain(name, reshaped(map_.in_shape, (inputs,)), x)
        made = self._step(name, Linear(map_.matrix().toarray(), None), (flat,), (outputs,), name)
        return self._chain(name, reshaped((outputs,), map_.out_shape), made)

    def _selected(self, node: Affine, x: str, map_: Selection) -> str:
        """Entries moved, with a bias: one value all around is padding."""
        box = box_of(map_.index)
        if box is None:
            return self._shifted(node.name, self._edge(node.name, x, map_), node.bias)
        inside = tuple(slice(*side) for side in box)
        moved = self._chain(node.name, moves(map_.index[inside], map_.in_shape), x)
        value = value_around(node.bias, inside)
        if value is None:
            return self._shifted(node.name, self._padded(node.name, moved, box, node.shape), node.bias)
        return self._padded(node.name, moved, box, node.shape, value)

    def _unmasked(self, source: str, map_: Scale) -> tuple[str, Selection] | None:
        """A selection that is multiplied by zeros and ones, as one that has gaps."""
        node = self.network[source]
        factor = np.broadcast_to(map_.factor, map_.in_shape)
        if not isinstance(node, Affine) or node.bias.any() or not ((factor == 0) | (factor == 1)).all():
            return None
        edges = self.network.edges(source)
        if len(edges) != 1 or factor.all():
            return None
        before, selection = edges[0]
        if not isinstance(selection, Selection):
            return None
        return before, replace(selection, index=np.where(factor == 1, selection.index, -1))

    # ── factors and shifts ─────────────────────────────────────────────────────────────────────────────────────────

    def _scaled(self, node: Affine, x: str, map_: Scale) -> str:
        factor = np.broadcast_to(map_.factor, node.shape)
        if node.layer is not None and node.layer.kind == "norm":
            factors, shifts = _along(factor, 0), _along(node.bias, 0)
            if factors is not None and shifts is not None:
                learnt = node.layer.bias or not (factors > 0).all()
                return self._step(node.name, Norm(factors, shifts, learnt), (x,), node.shape, node.layer.path)
        return self._affinely(node.name, x, factor, node.bias)

    def _shifted(self, name: str, x: str, bias: Array) -> str:
        return self._affinely(name, x, np.ones(bias.shape), bias)

    def _affinely(self, name: str, x: str, factor: Array, shift: Array) -> str:
        """``factor · x + shift``, by numbers, per channel, or entry by entry."""
        shape = shift.shape
        factors, shifts = _along(factor, 0), _along(shift, 0)
        numbers = (factor == factor.flat[0]).all() and (shift == shift.flat[0]).all()
        if not numbers and factors is not None and shifts is not None and x not in self.raw and len(shape) <= 3:
            return self._step(name, Norm(factors, shifts, learnt=True), (x,), shape, name)
        if not (factor == 1).all():
            x = self._step(name, Scaled(_least(factor)), (x,), shape)
        if shift.any():
            x = self._step(name, Shifted(_least(shift)), (x,), shape)
        return x


_DENSE = 2**26
"""Half a GiB; so large a matrix is still written for a linear map without an operator."""
_WEIGHTED = (Linear, Conv, ConvTranspose, Norm, Bend)


def _needed(steps: Sequence[Step], outputs: Sequence[str]) -> tuple[Step, ...]:
    needed, kept = set(outputs), []
    for step in reversed(steps):
        if step.name in needed:
            needed.update(step.inputs)
            kept.append(step)
    return tuple(reversed(kept))


def _parts(source: str, map_: LinearMap) -> list[tuple[str, LinearMap]]:
    """A map as the terms that it is a sum of."""
    if not isinstance(map_, Sum):
        return [(source, map_)]
    return [edge for part in map_.parts for edge in _parts(source, part)]


def _along(array: Array, axis: int) -> Array | None:
    """The values along one axis, if they are the same at all places of the others."""
    lines = np.moveaxis(array, axis, -1).reshape(-1, array.shape[axis]) if array.ndim else array.reshape(1, 1)
    return lines[0] if (lines == lines[:1]).all() else None


def _least(array: Array) -> Array:
    """The smallest array that broadcasts to the same."""
    for axis in range(array.ndim):
        if (array == array.take([0], axis)).all():
            array = array.take([0], axis)
    return array.reshape(()) if array.size == 1 else np.ascontiguousarray(array)
