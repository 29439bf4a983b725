"""ATen calls that become functions: views, arithmetic, means, parts of a tensor.

A view that keeps the batch is written so that the batch dimension stays free, as `nn.Flatten` or a reshape with −1,
whatever batch size the archive was exported with.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

from oamip.readers.archive import Call
from oamip.readers.builder import Builder, Rule

__all__ = [
    "arithmetic",
    "clamp",
    "concatenate",
    "enlarge",
    "mean",
    "pad",
    "part",
    "pieces",
    "plain",
    "reshape",
    "same_value",
    "score",
    "size",
    "total",
    "transpose",
    "unary",
    "unbind",
]

_BATCH = "export with a dynamic first dimension: dynamic_shapes=({0: torch.export.Dim('batch')},)"


def reshape(builder: Builder, call: Call) -> fx.Node:
    """A view, flatten, squeeze or unsqueeze that keeps the batch, by the shapes that the archive records."""
    x = call.arguments["self"]
    batch = builder.shape(next(iter(builder.program.inputs)))[0]
    before, after = builder.shape(x.name), builder.shape(call.outputs[0])
    mixed = call.unsupported(f"it mixes the batch with the features; {_BATCH}")
    head = (None, batch)  # None: symbolic
    inside = [*before[1:], *after[1:]]
    if not before or not after or before[0] not in head or after[0] not in head or None in inside:
        raise mixed
    rest, shape = before[1:], tuple(size for size in after[1:] if size is not None)
    if math.prod(size for size in rest if size is not None) != math.prod(shape):
        raise mixed
    if len(shape) == 1:
        return builder.module(call, nn.Flatten(), x)
    return builder.function(call, torch.reshape, x, (-1, *shape))


def transpose(builder: Builder, call: Call) -> fx.Node:
    """An exchange of two dimensions."""
    return builder.function(
        call, torch.transpose, call.arguments["self"], call.arguments["dim0"], call.arguments["dim1"]
    )


def size(builder: Builder, call: Call) -> fx.Node:
    """A size, which only a view asks for."""
    return builder.graph.call_method("size", (builder.node(call.arguments["self"]), call.arguments["dim"]))


def unary(function: Callable[..., Any]) -> Rule:
    """Rule for a function of one tensor."""

    def rule(builder: Builder, call: Call) -> fx.Node:
        return builder.function(call, function, call.arguments["self"])

    return rule


def plain(function: Callable[..., Any], names: str) -> Rule:
    """Rule for a function that takes ATen's arguments of these names, in this order; trailing ones may be missing."""

    def rule(builder: Builder, call: Call) -> fx.Node:
        given = [call.arguments[name] for name in names.split() if name in call.arguments]
        return builder.function(call, function, *given)

    return rule


def score(function: Callable[..., Any]) -> Rule:
    """Rule for a softmax, without ATen's type of numbers."""

    def rule(builder: Builder, call: Call) -> fx.Node:
        return builder.function(call, function, call.arguments["self"], call.arguments["dim"])

    return rule


def arithmetic(function: Callable[..., Any], first: str = "self", second: str = "other") -> Rule:
    """Rule for an operator of two operands, given by their names in ATen's schema."""

    def rule(builder: Builder, call: Call) -> fx.Node:
        if call.arguments.get("alpha", 1) != 1:
            raise call.unsupported("multiply by the factor in a step of its own")
        return builder.function(call, function, call.arguments[first], call.arguments[second])

    return rule


def mean(builder: Builder, call: Call) -> fx.Node:
    """A mean over named dimensions."""
    return _reduced(builder, call, torch.mean)


def total(builder: Builder, call: Call) -> fx.Node:
    """A sum over named dimensions."""
    return _reduced(builder, call, torch.sum)


def _reduced(builder: Builder, call: Call, function: Callable[..., Any]) -> fx.Node:
    dims, keep = call.arguments.get("dim"), call.arguments.get("keepdim", False)
    if not dims:
        raise call.unsupported("name the dimensions")
    return builder.function(call, function, call.arguments["self"], tuple(dims), keepdim=keep)


def clamp(builder: Builder, call: Call) -> fx.Node:
    """A clamp with one bound or two."""
    low, high = call.arguments.get("min"), call.arguments.get("max")
    return builder.function(call, torch.clamp, call.arguments["self"], min=low, max=high)


def concatenate(builder: Builder, call: Call) -> fx.Node:
    """A concatenation."""
    return builder.function(call, torch.cat, call.arguments["tensors"], call.arguments.get("dim", 0))


def pieces(function: Callable[..., Any], size: str) -> Rule:
    """Rule for a split or chunk, which makes several values; ``size`` names the argument that tells the sizes."""

    def rule(builder: Builder, call: Call) -> None:
        arguments = call.arguments
        whole = builder.function(call, function, arguments["self"], arguments[size], arguments.get("dim", 0))
        for i, name in enumerate(call.outputs):
            builder.values[name] = builder.graph.call_function(operator.getitem, (whole, i))

    return rule


def unbind(builder: Builder, call: Call) -> None:
    """A tensor taken apart along one dimension."""
    whole = builder.function(call, torch.unbind, call.arguments["self"], call.arguments.get("dim", 0))
    for i, name in enumerate(call.outputs):
        builder.values[name] = builder.graph.call_function(operator.getitem, (whole, i))


def enlarge(builder: Builder, call: Call) -> fx.Node:
    """An interpolation to the nearest entry."""
    size, scale = call.arguments.get("output_size"), call.arguments.get("scale_factors")
    given = {"size": None if size is None else tuple(size), "scale_factor": None if scale is None else tuple(scale)}
    return builder.function(call, functional.interpolate, call.arguments["input"], **given)


def part(builder: Builder, call: Call) -> Any:
    """A slice along one dimension; one that takes everything leaves nothing."""
    arguments = call.arguments
    x, dim, start, end = arguments["self"], arguments.get("dim", 0), arguments.get("start"), arguments.get("end")
    step = arguments.get("step", 1)
    end = None if end is not None and end >= 2**63 - 1 else end  # the archive's word for "to the end"
    if not start and end is None and step == 1:
        return builder.node(x)
    dim = dim % len(builder.shape(x.name))
    return builder.function(call, operator.getitem, x, (*[slice(None)] * dim, slice(start, end, step)))


def pad(builder: Builder, call: Call) -> fx.Node:
    """A padding, constant or of another mode."""
    mode, value = call.arguments.get("mode", "constant"), call.arguments.get("value") or 0.0
    return builder.function(
        call, functional.pad, call.arguments["self"], tuple(call.arguments["pad"]), mode=mode, value=value
    )


def same_value(builder: Builder, call: Call) -> Any:
    """A call that copies or renames."""
    return builder.node(call.arguments["self"])
