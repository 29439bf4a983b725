"""Where the rules for ATen operators write: a torch.fx graph that grows call by call.

A rule asks the builder for the weights and shapes that its call uses and adds a function or a module to the graph.
Modules get the path that their weights have in the archive, so that the network looks as its owner wrote it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import fx, nn

from oamip.readers.archive import Call, Malformed, Program, Ref
from oamip.readers.names import is_path, legal

__all__ = ["Builder", "Rule", "same_module"]


@dataclass
class Builder:
    """Turns calls into graph nodes, one after another.

    Args:
        program: the archive.
        graph: what has been built.
        root: path → module or tensor of the graph.
        values: name in the archive → node.
        transposed: name of a transposed weight → name of the weight.
    """

    program: Program
    graph: fx.Graph = field(default_factory=fx.Graph)
    root: dict[str, Any] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    transposed: dict[str, str] = field(default_factory=dict)

    def node(self, value: Any) -> Any:
        """An argument as torch.fx takes it; a weight that is used by itself becomes a get_attr node."""
        if isinstance(value, list):
            return [self.node(item) for item in value]
        if not isinstance(value, Ref):
            return value
        if value.name not in self.values:
            if value.name not in self.program.weights:
                raise Malformed(f"the value '{value.name}' is used before it is made")
            path, tensor = self.program.weights[value.name]
            path = path if is_path(path) else legal(value.name)
            self.root[path] = nn.Parameter(tensor) if value.name in self.program.parameters else tensor
            self.values[value.name] = self.graph.get_attr(path)
        return self.values[value.name]

    def weight(self, call: Call, name: str) -> torch.Tensor | None:
        """A stored tensor among the arguments of a call."""
        value = call.arguments.get(name)
        if value is None:
            return None
        if value.name not in self.program.weights:
            raise call.unsupported(f"its {name} is computed; store it as a tensor")
        return self.program.weights[value.name][1]

    def function(self, call: Call, function: Callable[..., Any], *args: Any, **kwargs: Any) -> fx.Node:
        """Call a function under the name of the archive's call."""
        arguments = tuple(self.node(value) for value in args)
        return self.graph.create_node("call_function", function, arguments, kwargs, legal(call.name))

    def module(self, call: Call, module: nn.Module, x: Any, owner: str = "") -> fx.Node:
        """Call a module under the path of its weights, or of the module it came from, or else the name of the call.

        A module that the archive calls twice is one module here too.
        """
        value = call.arguments.get(owner)
        path = self.program.weights[value.name][0].rpartition(".")[0] if isinstance(value, Ref) else call.origin
        if not is_path(path) or (path in self.root and not same_module(self.root[path], module)):
            path = legal(call.name)
        self.root.setdefault(path, module.eval())
        return self.graph.create_node("call_module", path, (self.node(x),), {}, legal(call.name))

    def shape(self, name: str) -> list[int | None]:
        """Shape of a value in the archive; ``None`` for a symbolic size."""
        return self.program.shapes[name]


def same_module(one: Any, other: nn.Module) -> bool:
    """Whether two modules compute the same with equal tensors."""
    if type(one) is not type(other) or repr(one) != repr(other):
        return False
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


Rule: TypeAlias = Callable[[Builder, Call], Any]
"""Adds one call to the graph and returns the node that stands for it; ``None`` if the rule has named its values."""
