"""The one place where a network enters a program.

    embed(program, network, bounds, inputs, gates, encoding) -> Activations

All samples enter at once. Constants and expressions that are affine in the gates travel through the network without
making columns; stable units disappear where that is exact; every other pre-activation becomes one variable with one
equality and goes, in whole blocks, to the encoding. `Activations` maps each node to its expression (n, *shape).
"""

from __future__ import annotations

import re
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from oamip.bounds import Bounds
from oamip.encodings import Encoding, find_encoding
from oamip.errors import InputError
from oamip.formulations.activations import Activations, Gates
from oamip.gates import PreActivation, plain, switch
from oamip.network import Affine, Input, LinearMap, Max, Network, ReLU
from oamip.program import Block, Expression, Program, Rows, concatenate, constant

__all__ = ["embed"]

Vector: TypeAlias = NDArray[np.float64]
Positions: TypeAlias = NDArray[np.intp]


def embed(
    program: Program,
    network: Network,
    bounds: Bounds,
    inputs: Block | Vector,
    gates: Gates | None = None,
    encoding: str | Encoding = "bigm",
    *,
    prefix: str = "",
) -> Activations:
    """Add copies of a network to a program.

    Args:
        program: gets variables and rows, named after the nodes.
        network: with one input.
        bounds: node name to bounds (n or 1, *shape) that hold for every feasible point, or are assumed by the gate.
        inputs: samples (n, *shape), which are constants, or a block of that shape, which is decided.
        gates: switch units on and off; ``None`` leaves the network intact.
        encoding: of unstable ReLUs and contested maxima, by name or as an object; strangers register theirs.
        prefix: put before all names, for a second network in one program.

    Returns:
        The expression of every node.

    Raises:
        InputError: the inputs have the wrong shape.
    """
    return _Embedding(program, network, bounds, gates, find_encoding(encoding), prefix).run(inputs)


class _Embedding:
    def __init__(
        self,
        program: Program,
        network: Network,
        bounds: Bounds,
        gates: Gates | None,
        encoding: Encoding,
        prefix: str,
    ) -> None:
        self.program, self.network, self.bounds = program, network, bounds
        self.gates, self.encoding, self.prefix = gates, encoding, prefix
        self.sites = frozenset(gates.groups.sites) if gates else frozenset()
        self.nodes: dict[str, Expression] = {}
        self.samples = 0
        self._assumed = gates is not None and gates.gate.assumed
        self._trusting = gates is not None and gates.trust_region
        self.counts = {"on": 0, "off": 0, "unstable": 0, "switched": 0, "contested": 0}
        self.names: set[str] = set()

    def run(self, inputs: Block | Vector) -> Activations:
        shape = self.network[self.network.inputs[0]].shape
        if len(self.network.inputs) != 1 or inputs.shape[1:] != shape:
            raise InputError(f"the network takes samples of shape {shape}; inputs of shape {inputs.shape} were given")
        self.samples = inputs.shape[0]
        for name in self.network.order:
            node = self.network[name]
            if isinstance(node, Input):
                value = inputs if isinstance(inputs, Expression) else constant(inputs)
            elif isinstance(node, Affine):
                value = self._affine(node)
            elif isinstance(node, ReLU):
                value = self._relu(node)
            else:
                assert isinstance(node, Max)
                value = self._max(node)
            self.nodes[name] = value.reshape(self.samples, *node.shape)
        return Activations(self.network, self.bounds, self.gates, self.nodes, self.counts, self.encoding.exact)

    # — nodes —

    def _affine(self, node: Affine) -> Expression:
        total = constant(np.tile(node.bias.ravel(), self.samples))
        for source, map_ in self.network.edges(node.name):
            total = total + _through(map_, self.nodes[source])
        return self._switched(node.name, total) if node.name in self.sites else total

    def _relu(self, node: ReLU) -> Expression:
        before = self.network.predecessor(node.name)
        a = self.nodes[before].reshape(-1)
        low, high = self._bounds(before, a)
        labels = self._labels(node.name)
        gated, free = np.flatnonzero(labels >= 0), np.flatnonzero(labels < 0)
        parts = []
        if free.size:
            parts.append((free, plain(a[free], low[free], high[free], assumed=self._assumed)))
        if gated.size:
            assert self.gates is not None
            m = self.gates.keep[labels[gated]]
            parts.append((gated, self.gates.gate(a[gated], low[gated], high[gated], m)))
        name = self._name(node.name)
        settled = [(rows, self._activation(f"{name}{'_g' if i else ''}", pre)) for i, (rows, pre) in enumerate(parts)]
        return _scatter(settled, a.size)

    def _activation(self, name: str, pre: PreActivation) -> Expression:
        """The activation of all rows: stable ones by substitution, the others by the encoding."""
        off = pre.high <= 0
        on = ~off & (pre.low >= 0)
        rows_off, rows_on, rows_open = (np.flatnonzero(mask) for mask in (off, on, ~on & ~off))
        parts: list[tuple[Positions, Expression]] = [(rows_off, constant(np.zeros(rows_off.size)))]
        if rows_off.size and pre.assumed and self._trusting:
            part = pre[rows_off]
            self.program.restrict(f"{name}_stays_off", Rows(part.upper, part.low, np.zeros(rows_off.size)))
        if rows_on.size:
            parts.append((rows_on, self._always_on(f"{name}_on", pre[rows_on])))
        if rows_open.size:
            part = pre[rows_open]
            parts.append((rows_open, self.encoding.relu(self.program, name, self._with_variable(name, part))))
        self.counts["off"] += rows_off.size
        self.counts["on"] += rows_on.size
        self.counts["unstable"] += rows_open.size
        return _scatter(parts, pre.low.size)

    def _always_on(self, name: str, pre: PreActivation) -> Expression:
        if pre.assumed:
            self.program.restrict(f"{name}_stays_on", Rows(pre.upper, np.zeros(pre.high.size), pre.high))
        if pre.cap is None or pre.lower is pre.upper:
            return pre.lower
        return self._switch(name, pre.upper, pre.low, pre.high, pre.cap)

    def _switch(self, name: str, a: Expression, low: Vector, high: Vector, m: Expression) -> Expression:
        self.counts["switched"] += 0 if a.is_constant else a.size
        return switch(self.program, name, a, low, high, m)

    def _with_variable(self, name: str, pre: PreActivation) -> PreActivation:
        """Give pre-activations that stand in several rows a column of their own, defined by one equality."""
        longest = max((np.diff(matrix.indptr).max(initial=0) for matrix in pre.upper.terms.values()), default=0)
        if longest <= 2:
            return pre
        a = self.program.variables(f"{name}_a", pre.low.size)
        if not pre.assumed:
            a.lower[:], a.upper[:] = pre.low, pre.high
            if self.gates is not None:  # the gates' own bounds may say more than bounds for any of their values
                lowest, highest = self.program.activity(pre.upper)
                a.lower[:], a.upper[:] = np.maximum(pre.low, lowest), np.minimum(pre.high, highest)
        self.program.add(f"{name}_defines", pre.upper - a == 0)  # so that the long side is not copied to be negated
        lower = a if pre.lower is pre.upper else a + (pre.lower - pre.upper)
        return PreActivation(lower, a, pre.low, pre.high, pre.cap, pre.assumed)

    def _max(self, node: Max) -> Expression:
        before = self.network.predecessor(node.name)
        a = self.nodes[before].reshape(-1)
        low, high = self._bounds(before, a)
        size = a.size // self.samples
        index = np.where(node.index >= 0, node.index, -1)[None] + size * np.arange(self.samples)[:, None, None]
        index = np.where(node.index[None] >= 0, index, -1).reshape(-1, node.index.shape[1])
        result = self._maximum(self._name(node.name), a, low, high, index)
        return self._switched(node.name, result) if node.name in self.sites else result

    def _maximum(self, name: str, a: Expression, low: Vector, high: Vector, index: Positions) -> Expression:
        """Maxima over the candidates ``index`` (outputs, k); candidates that can never win are dropped."""
        present = index >= 0
        least = np.where(present, low[index], -np.inf)
        most = np.where(present, high[index], -np.inf)
        middle = np.where(present, (least + most) / 2, -np.inf)
        leader = middle.argmax(axis=1)
        floor = np.take_along_axis(least, leader[:, None], 1)
        rivals = present & (most > floor)
        rivals[np.arange(len(index)), leader] = False
        owner, column = np.nonzero(rivals)
        ahead = a[index[owner, leader[owner]]] - a[index[owner, column]]
        rounding = 1e-12 * np.maximum(1.0, np.abs(high[index[owner, column]]))
        beaten = self.program.activity(ahead)[0] >= -rounding
        rivals[owner[beaten], column[beaten]] = False
        winner = index[np.arange(len(index)), leader]
        if self._assumed and self._trusting:  # who loses by assumed bounds is made to lose
            losers = present & ~rivals
            losers[np.arange(len(index)), leader] = False
            owner, column = np.nonzero(losers)
            self.program.restrict(f"{name}_stays_largest", a[winner[owner]] - a[index[owner, column]] >= 0)
        contested = np.flatnonzero(rivals.any(axis=1))
        settled = np.flatnonzero(~rivals.any(axis=1))
        parts = [(settled, a[winner[settled]])]
        self.counts["contested"] += contested.size
        if contested.size:
            rivals[contested, leader[contested]] = True
            candidates = index[contested][rivals[contested]]
            starts = np.concatenate([[0], np.cumsum(rivals[contested].sum(axis=1))])
            largest = self.encoding.max(self.program, name, a[candidates], low[candidates], high[candidates], starts)
            parts.append((contested, largest))
        return _scatter(parts, len(index))

    # — pieces —

    def _bounds(self, name: str, a: Expression) -> tuple[Vector, Vector]:
        """Bounds of a node for all samples, flat; a value that is known exactly needs no interval."""
        low, high = (np.broadcast_to(b, (self.samples, *self.network[name].shape)).ravel() for b in self.bounds[name])
        if a.is_constant and not self._assumed:
            return a.constant, a.constant
        return low, high

    def _labels(self, name: str) -> Positions:
        size = int(np.prod(self.network[name].shape))
        if self.gates is None or name not in self.sites:
            return np.full(self.samples * size, -1)
        return np.tile(self.gates.groups.labels[name], self.samples)

    def _switched(self, name: str, value: Expression) -> Expression:
        """An affine or max node that is itself a gate site."""
        assert self.gates is not None
        value = value.reshape(-1)
        labels = self._labels(name)
        gated, free = np.flatnonzero(labels >= 0), np.flatnonzero(labels < 0)
        low, high = self._bounds(name, value)
        m = self.gates.keep[labels[gated]]
        switched = self._switch(f"{self._name(name)}_y", value[gated], low[gated], high[gated], m)
        return _scatter([(free, value[free]), (gated, switched)], value.size)

    def _name(self, node: str) -> str:
        """A fresh identifier for a node."""
        base = re.sub(r"[^a-z0-9_]", "_", f"{self.prefix}{node}".lower())
        base = base if base[:1].isalpha() else f"n_{base}"
        name, number = base, 1
        while name in self.names:
            number += 1
            name = f"{base}_{number}"
        self.names.add(name)
        return name


def _through(map_: LinearMap, value: Expression) -> Expression:
    """A linear map applied to every sample of an expression (n, *in_shape); flat result.

    Constants go through the map itself; only what depends on variables needs the map's matrix, sample by sample, so
    that the memory is that of one matrix and not of n.
    """
    n = value.shape[0]
    moved: Vector = map_.apply(value.constant.reshape(value.shape)).ravel()
    if value.is_constant:
        return Expression({}, moved, moved.shape)
    matrix = map_.matrix()
    size = matrix.shape[1]
    if n == 1:
        terms = {name: matrix if _is_identity(block) else matrix @ block for name, block in value.terms.items()}
    else:
        terms = {
            name: sp.vstack([matrix @ block[k * size : (k + 1) * size] for k in range(n)], format="csr")
            for name, block in value.terms.items()
        }
    return Expression(terms, moved, moved.shape)


def _is_identity(matrix: sp.csr_array) -> bool:
    size = matrix.shape[0]
    return (
        matrix.shape[1] == matrix.nnz == size
        and bool((matrix.data == 1).all())
        and bool((matrix.indices == np.arange(size)).all())
        and bool((np.diff(matrix.indptr) == 1).all())
    )


def _scatter(parts: list[tuple[Positions, Expression]], size: int) -> Expression:
    """Flat expression of ``size`` rows from pieces with the rows they belong to."""
    if len(parts) == 1:
        return parts[0][1]
    parts = [(rows, part) for rows, part in parts if rows.size]
    order = np.empty(size, dtype=np.intp)
    order[np.concatenate([rows for rows, _ in parts])] = np.arange(size)
    return concatenate([part.reshape(-1) for _, part in parts])[order]
