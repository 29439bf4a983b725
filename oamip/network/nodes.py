"""The four kinds of node of a network in normal form.

A node stands for one array per sample. Edges into an `Affine` carry linear maps and the node adds its bias; a `ReLU` or
`Max` has exactly one predecessor and its edge is the identity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Affine", "Input", "Layer", "Max", "Node", "ReLU"]

Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """The module whose parameters an affine node holds.

    Args:
        path: where it lives in the source, as in ``module.get_submodule(path)``.
        kind: ``linear`` and ``conv`` own output channels; ``norm`` and ``slope`` (a PReLU with one slope per channel)
            follow the channels of their input.
        bias: whether it has a bias (``norm``: whether it has a learnt scale and shift).
    """

    path: str
    kind: Literal["linear", "conv", "norm", "slope"]
    bias: bool

    @property
    def per_channel(self) -> int:
        """Parameters of each channel beside the weights."""
        return {"norm": 2 * self.bias, "slope": 1}.get(self.kind, int(self.bias))


@dataclass(frozen=True, eq=False)
class Node:
    """An array of one shape.

    Args:
        name: unique in the network.
        shape: shape of one sample.
        module: path of the source module, or name of the source's graph node, for messages.
    """

    name: str
    shape: Shape
    module: str


@dataclass(frozen=True, eq=False)
class Input(Node):
    """Given from outside."""


@dataclass(frozen=True, eq=False)
class Affine(Node):
    """``Σ_edges A_e x_e + bias``.

    Args:
        bias: array of the node's shape.
        layer: the source module with parameters, if there is one.
        rigid: why the entries cannot be removed one by one (``view hard-codes 400 features``); empty if they can.
        along: if not None, ``rigid`` is only about units that lie along these axes of the predecessor, where entries
            are picked by number, and about channels of zeros that the node adds. So ``x[:, :, ::2]``, with ``(1,)``,
            leaves the channels on axis 0 of a sample free; padding of the channels, with ``()``, all that it pads.
    """

    bias: NDArray[np.float64]
    layer: Layer | None = None
    rigid: str = ""
    along: tuple[int, ...] | None = None


@dataclass(frozen=True, eq=False)
class ReLU(Node):
    """``max(0, x)``."""


@dataclass(frozen=True, eq=False)
class Max(Node):
    """``y[i] = max_k x[index[i, k]]`` on flattened arrays; −1 marks an absent candidate, which is not 0.

    Args:
        index: (outputs, k) positions in the predecessor; every row has at least one present.
    """

    index: NDArray[np.intp]
