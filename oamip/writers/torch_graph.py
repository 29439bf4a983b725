"""The torch.fx graph while steps are written into it: modules under the paths of the source, buffers, calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from oamip.readers.builder import same_module
from oamip.readers.names import is_path, legal
from oamip.writers import steps as s
from oamip.writers.lowering import Lowered

__all__ = ["Writer", "filled"]

_LAYERS = (s.Linear, s.Conv, s.ConvTranspose, s.Norm, s.Bend)


class Writer:
    """A torch.fx graph in the making: values and shapes by the names of steps, modules and buffers by their paths.

    Args:
        lowered: whose steps are written; the paths of its layers are kept free for them.
    """

    def __init__(self, lowered: Lowered) -> None:
        self.graph = fx.Graph()
        self.root: dict[str, Any] = {}
        self.values: dict[str, fx.Node] = {}
        self.shapes = {step.name: step.shape for step in (*lowered.inputs, *lowered.steps)}
        self.paths = {step.path for step in lowered.steps if isinstance(step.operator, _LAYERS) and is_path(step.path)}

    def input(self, step: s.Step) -> fx.Node:
        """The only input of a step."""
        return self.values[step.inputs[0]]

    def before(self, step: s.Step) -> s.Shape:
        """The shape of one sample of it."""
        return self.shapes[step.inputs[0]]

    def call(self, function: Callable[..., Any], *args: Any) -> fx.Node:
        """Call a function."""
        return self.graph.call_function(function, args)

    def layer(self, step: s.Step, x: fx.Node, module: nn.Module) -> fx.Node:
        """Call a module under the path of the source, or the nearest free name; equal layers of one path are one."""
        path = step.path if self._free(step.path, step.operator) else self._fresh(step.name)
        if path in self.root and not same_module(self.root[path], module):
            path = self._fresh(step.name)
        self.root.setdefault(path, module)
        return self.graph.create_node("call_module", path, (x,), {}, step.name)

    def constant(self, step: s.Step, kind: str, value: Tensor) -> fx.Node:
        """A buffer of the module."""
        path = self._fresh(f"{step.name}_{kind}")
        self.root[path] = value
        return self.graph.get_attr(path)

    def _free(self, path: str, operator_: Any) -> bool:
        """Whether a path may hold a module: its parts are names, and no module lies above or below."""
        layer = isinstance(operator_, _LAYERS)
        if not is_path(path) or (not layer and (path in self.root or path in self.paths)):
            return False
        return not any(_nested(path, other) for other in (*self.root, *self.paths))

    def _fresh(self, name: str) -> str:
        base = legal(name)
        path, number = base, 1
        while (
            path in self.root or path in self.paths or any(_nested(path, other) for other in (*self.root, *self.paths))
        ):
            number += 1
            path = f"{base}_{number}"
        return path


def _nested(one: str, other: str) -> bool:
    return one.startswith(f"{other}.") or other.startswith(f"{one}.")


def filled(make: Callable[..., nn.Module], *args: Any, tensors: Mapping[str, Any], **kwargs: Any) -> nn.Module:
    """A module with given tensors; none are drawn at random."""
    with torch.device("meta"):
        module = make(*args, **kwargs)
    state = {
        name: torch.from_numpy(np.array(value, dtype=np.float64, order="C"))
        for name, value in tensors.items()
        if value is not None
    }
    if "num_batches_tracked" in module.state_dict():
        state["num_batches_tracked"] = torch.tensor(0)
    module.load_state_dict(state, assign=True)
    return module
