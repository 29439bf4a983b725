"""The vocabulary between a network and the formats it is written in: ordinary operators, one after another.

A `Step` makes one tensor by one operator from others. Shapes and axes are those of one sample, without the batch. The
operators are what torch and ONNX both have; what only one of them has is spelled out by its writer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from oamip.network import Convolution, TransposedConvolution

__all__ = [
    "AveragePool",
    "Bend",
    "Cat",
    "Channels",
    "Conv",
    "ConvTranspose",
    "Expand",
    "Gather",
    "Largest",
    "Linear",
    "MaxPool",
    "Mean",
    "Merge",
    "Move",
    "Norm",
    "Pad",
    "Permute",
    "Pick",
    "Positive",
    "Reshape",
    "Scaled",
    "Shifted",
    "Squeeze",
    "Step",
    "Take",
    "Total",
    "Unsqueeze",
    "Window",
]

Array: TypeAlias = NDArray[np.float64]
Index: TypeAlias = NDArray[np.intp]
Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Step:
    """One operator.

    Args:
        name: of the tensor that it makes; unlike all others.
        inputs: names of the tensors that it takes.
        shape: of one sample of its result.
        operator: what it does.
        path: what the source calls it; for layers, where their parameters live.
    """

    name: str
    inputs: tuple[str, ...]
    shape: Shape
    operator: Any
    path: str


# ── layers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, eq=False)
class Linear:
    """``x Wᵀ + b`` along the last axis; no bias if ``None``."""

    weight: Array
    bias: Array | None


@dataclass(frozen=True, eq=False)
class Conv:
    """A convolution with one bias per channel, or none."""

    map: Convolution
    bias: Array | None


@dataclass(frozen=True, eq=False)
class ConvTranspose:
    """A transposed convolution with one bias per channel, or none."""

    map: TransposedConvolution
    bias: Array | None


@dataclass(frozen=True, eq=False)
class Norm:
    """A factor and a shift per channel (axis 0), as batch normalisation has them in evaluation.

    Args:
        learnt: whether they are parameters; otherwise statistics, with all factors positive.
    """

    factor: Array
    shift: Array
    learnt: bool


@dataclass(frozen=True, eq=False)
class Bend:
    """``x`` where it is positive and ``slope · x`` elsewhere, one slope per channel: a PReLU."""

    slope: Array


# ── element by element ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Positive:
    """``max(0, x)``."""


@dataclass(frozen=True, eq=False)
class Scaled:
    """``factor · x``, with a factor that broadcasts to the sample."""

    factor: Array


@dataclass(frozen=True, eq=False)
class Shifted:
    """``x + shift``, with a shift that broadcasts to the sample."""

    shift: Array


@dataclass(frozen=True)
class Total:
    """The sum of all inputs, which broadcast to the result; ``signs`` are 1 or −1, the first is 1 if any is."""

    signs: tuple[int, ...]


# ── pools ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Window:
    """Windows along one axis of ``size`` entries: ``length`` of them, ``before`` padded entries in front."""

    size: int
    length: int
    kernel: int
    stride: int
    before: int
    dilation: int = 1

    @property
    def after(self) -> int:
        """Entries behind the axis that the last window looks at; negative if it ends before the axis does."""
        return (self.length - 1) * self.stride + self.dilation * (self.kernel - 1) + 1 - self.size - self.before


@dataclass(frozen=True)
class MaxPool:
    """Maxima over windows of positions; padding is absent."""

    windows: tuple[Window, ...]


@dataclass(frozen=True)
class AveragePool:
    """Averages over windows of positions.

    Args:
        counted: whether padding counts as zeros; what lies behind ``before`` entries at the far end never does.
    """

    windows: tuple[Window, ...]
    counted: bool


@dataclass(frozen=True)
class Mean:
    """The mean over some axes, which stay with length 1 or go."""

    axes: tuple[int, ...]
    keep: bool


@dataclass(frozen=True)
class Largest:
    """The maximum over some axes, which stay with length 1 or go."""

    axes: tuple[int, ...]
    keep: bool


@dataclass(frozen=True, eq=False)
class Channels:
    """``weights · x[c]`` for every channel c, from flat positions to the shape ``spatial``: any other kind of pool."""

    weights: sp.csr_array
    spatial: Shape


# ── moves ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Merge:
    """Axes ``start … stop`` (inclusive) become one."""

    start: int
    stop: int


@dataclass(frozen=True)
class Squeeze:
    """An axis of length 1 goes."""

    axis: int


@dataclass(frozen=True)
class Unsqueeze:
    """An axis of length 1 comes."""

    axis: int


@dataclass(frozen=True)
class Reshape:
    """Any other reshape."""

    shape: Shape


@dataclass(frozen=True)
class Permute:
    """Axis ``axes[i]`` becomes axis i."""

    axes: Shape


@dataclass(frozen=True)
class Take:
    """A slice of each axis, (start, stop, step > 0); ``None`` leaves the axis whole."""

    slices: tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True, eq=False)
class Pick:
    """Entries ``positions`` of one axis, in that order."""

    axis: int
    positions: Index


@dataclass(frozen=True)
class Pad:
    """``value`` around the array, (before, after) for each axis."""

    sides: tuple[tuple[int, int], ...]
    value: float = 0.0


@dataclass(frozen=True)
class Expand:
    """Axes of length 1 repeat to a shape."""

    shape: Shape


@dataclass(frozen=True, eq=False)
class Gather:
    """``x[index]`` on the flattened sample; −1 gives 0."""

    index: Index


Move: TypeAlias = Merge | Squeeze | Unsqueeze | Reshape | Permute | Take | Pick | Pad | Expand | Gather


@dataclass(frozen=True)
class Cat:
    """All inputs one behind the other along an axis."""

    axis: int
