"""The network while it is being read: what a rule may write to, and the place in the source it is reading."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import fx, nn

from oamip.errors import InputError, UnsupportedOperator
from oamip.network import Affine, Input, Layer, LinearMap, Max, Network, ReLU

__all__ = ["BATCH", "Draft", "Shape", "Signal"]

Array: TypeAlias = NDArray[np.float64]
Shape: TypeAlias = tuple[int, ...]

BATCH = 31
"""The batch size that ``x.size(0)`` gives while reading; no size in a real network is likely to be the same."""


@dataclass(frozen=True, eq=False)
class Signal:
    """A tensor (batch, *shape) that depends on the input: the value of a node.

    Two calls that give the same tensor object in torch give the same `Signal` object here, so that an operation in
    place can be followed.
    """

    node: str
    shape: Shape

    @property
    def size(self) -> torch.Size:
        """Its size as torch would tell it."""
        return torch.Size((BATCH, *self.shape))


class Draft:
    """A network being built from the calls of a trace.

    Args:
        module: the private copy that is being read.
        shared: id of a parameter to the reason why the layer that holds it cannot be cut.
    """

    def __init__(self, module: nn.Module, shared: Mapping[int, str]) -> None:
        self.module = module
        self.shared = shared
        self.network = Network()
        self.values: dict[fx.Node, Any] = {}
        self.call: fx.Node

    # ── where we are ───────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def operator(self) -> str:
        """What is called, as the user wrote it: ``SiLU``, ``max_pool2d``, ``view``."""
        if self.call.op == "call_module":
            return type(self.module.get_submodule(str(self.call.target))).__name__
        return str(getattr(self.call.target, "__name__", self.call.target))

    @property
    def place(self) -> str:
        """Path of the module called, or of the module whose forward method calls, or the name of the call."""
        if self.call.op == "call_module":
            return str(self.call.target)
        stack = list(self.call.meta.get("nn_module_stack", {}).values())
        return (stack[-1][0] if stack else "") or self.call.name

    def refuse(self, remedy: str) -> NoReturn:
        """Stop: the present call cannot be read."""
        raise UnsupportedOperator(self.operator, self.place, remedy)

    # ── constants ──────────────────────────────────────────────────────────────────────────────────────────────────

    def numbers(self, value: Any) -> Array:
        """A constant as a float64 array.

        Raises:
            InputError: it is not finite.
            UnsupportedOperator: it is not a number or a tensor of numbers.
        """
        try:
            plain = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value
            array = np.array(plain, dtype=np.float64)
        except (TypeError, ValueError, RuntimeError):
            self.refuse(f"it takes a {type(value).__name__}; only tensors and real numbers are read")
        if not np.isfinite(array).all():
            raise InputError(f"a constant of {self.operator} at '{self.place}' is NaN or infinite")
        return array

    # ── nodes ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _name(self) -> str:
        """A name for the node of the present call: an identifier in lower case, unlike those before."""
        source = str(self.call.target if self.call.op == "placeholder" else self.call.name)
        name = re.sub(r"[^a-z0-9]+", "_", source.lower()).strip("_")
        name = name if name[:1].isalpha() else f"n{name}"
        while name in self.network.graph:
            name += "_"
        return name

    def input(self, shape: Shape) -> Signal:
        """A node given from outside."""
        return Signal(self.network.add(Input(self._name(), shape, str(self.call.target))), shape)

    def affine(
        self,
        shape: Shape,
        *edges: tuple[Signal, LinearMap],
        bias: ArrayLike = 0.0,
        layer: Layer | None = None,
        rigid: str = "",
        along: tuple[int, ...] | None = None,
    ) -> Signal:
        """A node ``Σ A_e x_e + bias``; ``bias`` is broadcast to ``shape``."""
        constant = np.broadcast_to(np.asarray(bias, dtype=np.float64), shape)
        node = Affine(self._name(), shape, self.place, constant, layer, rigid, along)
        return Signal(self.network.add(node, *((source.node, map_) for source, map_ in edges)), shape)

    def relu(self, x: Signal) -> Signal:
        """A node ``max(0, x)``."""
        return Signal(self.network.add(ReLU(self._name(), x.shape, self.place), (x.node, None)), x.shape)

    def maximum(self, x: Signal, shape: Shape, index: NDArray[np.intp]) -> Signal:
        """A node that takes maxima over the candidates ``index`` (outputs, k) of ``x``."""
        return Signal(self.network.add(Max(self._name(), shape, self.place, index), (x.node, None)), shape)

    def overwrite(self, old: Any, new: Signal) -> None:
        """An operation in place: from here on whoever names the old tensor means the new one."""
        if not isinstance(old, Signal):
            self.refuse("it writes into a constant; write it without the trailing underscore")
        holders = [call for call, value in self.values.items() if value is old]
        if not self.call.users and not any(user is not self.call for call in holders for user in call.users):
            self.refuse(
                "nobody reads its result, so it writes through a view into another tensor; use what it returns, and "
                "join parts with torch.cat"
            )
        self.values.update(dict.fromkeys(holders, new))
