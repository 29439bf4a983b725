"""The floor of the build benchmark: numpy interval bounds, one CSR matrix filled in place, one call of HiGHS.

Nothing that builds "maximise output 0 minus output 1" of a dense ReLU network with big-M can do much less.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

import highspy
import numpy as np
from numpy.typing import NDArray

__all__ = ["Layer", "floor", "random_layers"]

Array: TypeAlias = NDArray[np.float64]
Layer: TypeAlias = tuple[Array, Array]

MAXIMISE, ROWWISE = -1, 2


def random_layers(sizes: Sequence[int], seed: int = 0) -> list[Layer]:
    """Weights and biases uniform in ±1/√fan-in."""
    rng = np.random.default_rng(seed)
    return [
        (rng.uniform(-1, 1, (out, into)) / into**0.5, rng.uniform(-1, 1, out) / into**0.5)
        for into, out in pairwise(sizes)
    ]


class _Rows:
    """Arrays that blocks of rows of equal length are written into, one after the other."""

    def __init__(self, rows: int, nonzeros: int) -> None:
        self.starts = np.empty(rows + 1, dtype=np.int32)
        self.indices, self.data = np.empty(nonzeros, dtype=np.int32), np.empty(nonzeros)
        self.lower, self.upper = np.empty(rows), np.empty(rows)
        self.row = self.entry = 0

    def block(self, count: int, length: int, lower: Array | float, upper: Array | float) -> tuple[Array, Array]:
        run, rows = slice(self.entry, self.entry + count * length), slice(self.row, self.row + count)
        self.starts[rows] = self.entry + length * np.arange(count)
        self.lower[rows], self.upper[rows] = lower, upper
        self.entry, self.row = run.stop, rows.stop
        self.starts[self.row] = self.entry
        return self.indices[run].reshape(count, length), self.data[run].reshape(count, length)


def floor(layers: Sequence[Layer]) -> highspy._core._Highs:
    """The model of a network over the box [−1, 1], inside HiGHS."""
    *hidden, (last, _) = layers
    inputs, units = hidden[0][0].shape[1], sum(W.shape[0] for W, _ in hidden)
    outputs = last.shape[0]
    width, height = inputs + 3 * units + outputs, 4 * units + outputs
    low, high = np.full(inputs, -1.0), np.full(inputs, 1.0)
    lower, upper = np.zeros(width), np.ones(width)
    lower[:inputs] = low
    integer, cost = np.zeros(width, dtype=np.int32), np.zeros(width)
    rows = _Rows(height, sum(W.size + 8 * W.shape[0] for W, _ in hidden) + last.size + outputs)
    source, free = 0, inputs
    for number, (W, b) in enumerate(layers):
        count, fan_in = W.shape
        middle, spread = W @ ((low + high) / 2) + b, np.abs(W) @ ((high - low) / 2)
        low, high = middle - spread, middle + spread
        a, h, z = free + np.arange(count), free + count + np.arange(count), free + 2 * count + np.arange(count)
        indices, data = rows.block(count, fan_in + 1, b, b)
        indices[:, :-1], indices[:, -1] = np.arange(source, source + fan_in), a
        data[:, :-1], data[:, -1] = -W, 1.0
        lower[a], upper[a] = low, high
        if number == len(hidden):
            cost[a[:2]] = 1.0, -1.0
            break
        upper[h], integer[z] = high, 1
        for columns, values, least, most in (
            ((h, a), (1.0, -1.0), 0.0, np.inf),
            ((h, z), (1.0, -high), -np.inf, 0.0),
            ((a, h, z), (-1.0, 1.0, -low), -np.inf, -low),
        ):
            indices, data = rows.block(count, len(columns), least, most)
            for position, (column, value) in enumerate(zip(columns, values, strict=True)):
                indices[:, position], data[:, position] = column, value
        low, high = np.maximum(low, 0.0), np.maximum(high, 0.0)
        source, free = h[0], free + 3 * count
    highs = highspy._core._Highs()
    highs.setOptionValue("output_flag", False)
    sizes = width, height, rows.data.size, ROWWISE, MAXIMISE, 0.0
    matrix = rows.starts, rows.indices, rows.data
    highs.passModel(*sizes, cost, lower, upper, rows.lower, rows.upper, *matrix, integer)
    return highs
