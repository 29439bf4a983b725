"""A torch.fx graph of known modules as plain JSON values, and back.

    module    {"kind": "ReLU", "arguments": {"inplace": false}}
    node      {"name": "add", "op": "call_function", "target": "operator.add", "args": [{"node": "x"}, 1], "kwargs": {}}
    argument  as in JSON, or {"node": name}, {"tuple": […]}, {"slice": […]}, {"ellipsis": []}

Kinds and targets are those of the `vocabulary`; what it does not hold is refused by name in both directions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import fx, nn

from oamip.errors import UnsupportedOperator
from oamip.readers.names import is_identifier, is_path
from oamip.readers.vocabulary import ATTRIBUTES, FUNCTION_NAMES, FUNCTIONS, METHODS, MODULE_BY_NAME, MODULES, REMEDY

__all__ = ["Blueprint", "Malformed", "checked_path", "read_graph", "read_module", "written_modules", "written_node"]


@dataclass(frozen=True)
class Blueprint:
    """What the metadata holds.

    Args:
        modules: path → kind and constructor arguments.
        nodes: the graph, in order.
        parameters: the get_attr targets that are parameters; the others are buffers.
        inputs: shape and dtype of each placeholder.
    """

    modules: dict[str, dict[str, Any]]
    nodes: list[dict[str, Any]]
    parameters: list[str]
    inputs: list[tuple[list[int], str]]


class Malformed(ValueError):
    """The file is not what `save` writes."""


def written_modules(traced: fx.GraphModule) -> dict[str, dict[str, Any]]:
    """Path → kind and constructor arguments of every module that the graph calls."""
    written = {}
    for path in dict.fromkeys(str(node.target) for node in traced.graph.nodes if node.op == "call_module"):
        module = traced.get_submodule(path)
        if type(module) not in MODULES:
            raise UnsupportedOperator(type(module).__name__, path, REMEDY)
        arguments = {name: _written(value, path) for name, value in MODULES[type(module)](module).items()}
        written[path] = {"kind": type(module).__name__, "arguments": arguments}
    return written


def written_node(node: fx.Node) -> dict[str, Any]:
    """One node of the graph, with its arguments."""
    target = node.target
    if node.op == "call_function":
        if target not in FUNCTION_NAMES:
            raise UnsupportedOperator(getattr(target, "__name__", str(target)), node.name, REMEDY)
        target = FUNCTION_NAMES[target]
        if target == "getattr" and node.args[1] not in ATTRIBUTES:
            raise UnsupportedOperator(f"attribute '{node.args[1]}'", node.name, REMEDY)
    elif node.op == "call_method" and target not in METHODS:
        raise UnsupportedOperator(str(target), node.name, REMEDY)
    elif node.op == "placeholder" and node.args:
        raise UnsupportedOperator("default argument", node.name, "give the forward method inputs without defaults")
    return {
        "name": node.name,
        "op": node.op,
        "target": target,
        "args": [_written(value, node.name) for value in node.args],
        "kwargs": {name: _written(value, node.name) for name, value in node.kwargs.items()},
    }


def _written(value: Any, place: str) -> Any:
    """A plain argument as JSON; what JSON does not know becomes an object with one key."""
    if isinstance(value, fx.Node):
        return {"node": value.name}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, slice):
        return {"slice": [_written(part, place) for part in (value.start, value.stop, value.step)]}
    if isinstance(value, tuple):
        return {"tuple": [_written(item, place) for item in value]}
    if isinstance(value, list):
        return [_written(item, place) for item in value]
    if value is Ellipsis:
        return {"ellipsis": []}
    raise UnsupportedOperator(
        f"argument {value!r}", place, "use numbers, strings, tuples, lists and slices as arguments"
    )


def read_module(spec: dict[str, Any], path: str) -> nn.Module:
    """The inverse of `written_modules`, for one module."""
    kind = MODULE_BY_NAME.get(spec["kind"])
    if kind is None:
        raise UnsupportedOperator(str(spec["kind"]), path, REMEDY)
    return kind(**{_identifier(name): _read(value, {}) for name, value in spec["arguments"].items()})


def read_graph(nodes: list[dict[str, Any]]) -> fx.Graph:
    """The inverse of `written_node`, for all nodes in order."""
    graph = fx.Graph()
    made: dict[str, fx.Node] = {}
    for node in nodes:
        op, name = node["op"], _identifier(node["name"])
        args = tuple(_read(value, made) for value in node["args"])
        kwargs = {_identifier(key): _read(value, made) for key, value in node["kwargs"].items()}
        if op in ("placeholder", "output") and (kwargs or len(args) != (op == "output")):
            raise Malformed(f"node {name!r} ({op}) has arguments that it cannot have")
        target = _target(op, node["target"], name)
        if target is getattr and not (len(args) == 2 and not kwargs and args[1] in ATTRIBUTES):
            raise UnsupportedOperator(f"getattr{args[1:]}", name, REMEDY)
        made[name] = graph.create_node(op, target, args, kwargs, name)
    if sum(node.op == "output" for node in graph.nodes) != 1:
        raise Malformed("the graph needs exactly one output")
    graph.lint()
    return graph


def _target(op: str, target: str, name: str) -> str | Callable[..., Any]:
    if op == "call_function":
        if target not in FUNCTIONS:
            raise UnsupportedOperator(str(target), name, REMEDY)
        return FUNCTIONS[target]
    if op == "call_method":
        if target not in METHODS:
            raise UnsupportedOperator(str(target), name, REMEDY)
        return target
    if op in ("call_module", "get_attr"):
        return checked_path(target)
    if op in ("placeholder", "output"):
        return _identifier(target)
    raise Malformed(f"node {name!r} is of the unknown kind {op!r}")


def _read(value: Any, made: Mapping[str, fx.Node]) -> Any:
    """The inverse of `_written`."""
    if isinstance(value, list):
        return [_read(item, made) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "node":
        if content not in made:
            raise Malformed(f"a node uses {content!r}, which no node before it makes")
        return made[content]
    items = tuple(_read(item, made) for item in content)
    if kind == "tuple":
        return items
    if kind == "slice" and len(items) == 3:
        return slice(*items)
    if kind == "ellipsis":
        return ...
    raise Malformed(f"an argument of the unknown kind {kind!r}")


def _identifier(name: Any) -> str:
    if not isinstance(name, str) or not is_identifier(name):
        raise Malformed(f"{name!r} is no name")
    return name


def checked_path(path: Any) -> str:
    """The path itself, if it can lead to a module or tensor.

    Raises:
        Malformed: it cannot.
    """
    if not isinstance(path, str) or not is_path(path):
        raise Malformed(f"{path!r} is no path of a module")
    return path
