"""ATen calls that become modules: linear layers, convolutions, batch norms, poolings, activations, dropout.

A module is made on the meta device, so that no weights are drawn, and then takes those of the archive. A linear layer
may come decomposed, as a transposed weight and a matrix product; the two become one `nn.Linear` again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import fx, nn

from oamip.readers.archive import EVALUATE, Call, Ref
from oamip.readers.builder import Builder, Rule
from oamip.readers.norms import FixedNorm1d, FixedNorm2d

__all__ = [
    "activation",
    "adaptive_pool",
    "batch_norm",
    "convolution",
    "dropout",
    "linear",
    "matrix_product",
    "permute",
    "pool",
    "slopes",
]


def linear(builder: Builder, call: Call) -> fx.Node:
    """A layer that the archive keeps whole."""
    weight, bias = builder.weight(call, "weight"), builder.weight(call, "bias")
    return _linear_node(builder, call, weight, bias, call.arguments["input"], "weight")


def permute(builder: Builder, call: Call) -> fx.Node | None:
    """A permutation of dimensions, or the transposed weight of a linear layer, which `matrix_product` picks up."""
    x = call.arguments["self"]
    if x.name in builder.program.weights and call.arguments.get("dims", [1, 0]) == [1, 0]:
        builder.transposed[call.outputs[0]] = x.name
        return None
    if "dims" not in call.arguments:
        raise call.unsupported("use permute")
    return builder.function(call, torch.permute, x, tuple(call.arguments["dims"]))


def matrix_product(builder: Builder, call: Call) -> fx.Node:
    """Addmm and mm: what a linear layer decomposes to, with the weight transposed before."""
    arguments = call.arguments
    if arguments.get("beta", 1) != 1 or arguments.get("alpha", 1) != 1:
        raise call.unsupported("use nn.Linear")
    owner = builder.transposed.get(arguments["mat2"].name)
    if owner is None:
        raise call.unsupported("use nn.Linear")
    addmm = call.operator == "aten.addmm.default"
    bias = builder.weight(call, "self") if addmm else None
    call = Call(call.operator, call.name, call.origin, {**arguments, "weight": Ref(owner)}, call.outputs)
    x = arguments["mat1" if addmm else "self"]
    return _linear_node(builder, call, builder.program.weights[owner][1], bias, x, "weight")


def _linear_node(
    builder: Builder, call: Call, weight: torch.Tensor | None, bias: torch.Tensor | None, x: Any, owner: str
) -> fx.Node:
    if weight is None or weight.ndim != 2:
        raise call.unsupported("give it a stored weight matrix")
    module = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    return builder.module(call, _fill(module, weight=weight, bias=bias), x, owner)


def _fill(module: nn.Module, **tensors: torch.Tensor | None) -> nn.Module:
    """Put tensors in place of those that a module was made with (on the meta device, so that none were drawn)."""
    state = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    module.load_state_dict(state, strict=True, assign=True)
    return module


def convolution(builder: Builder, call: Call) -> fx.Node:
    """A convolution over series or images, transposed or not."""
    arguments = call.arguments
    weight, bias = builder.weight(call, "weight"), builder.weight(call, "bias")
    if weight is None or weight.ndim not in (3, 4):
        raise call.unsupported("one and two spatial dimensions have a rule")
    rank, groups = weight.ndim - 2, arguments.get("groups", 1)
    transposed = arguments.get("transposed", False) or "transpose" in call.operator
    padding = arguments.get("padding", 0)
    options: dict[str, Any] = {
        "kernel_size": tuple(weight.shape[2:]),
        "stride": _tuple(arguments.get("stride", 1), rank),
        "padding": padding if isinstance(padding, str) else _tuple(padding, rank),
        "dilation": _tuple(arguments.get("dilation", 1), rank),
        "groups": groups,
        "bias": bias is not None,
        "device": "meta",
    }
    module: nn.Module
    if transposed:
        options["output_padding"] = _tuple(arguments.get("output_padding", 0), rank)
        transpose = nn.ConvTranspose1d if rank == 1 else nn.ConvTranspose2d
        module = transpose(weight.shape[0], weight.shape[1] * groups, **options)
    else:
        kind = nn.Conv1d if rank == 1 else nn.Conv2d
        module = kind(weight.shape[1] * groups, weight.shape[0], **options)
    return builder.module(call, _fill(module, weight=weight, bias=bias), arguments["input"], "weight")


def _tuple(value: int | list[int], rank: int) -> tuple[int, ...]:
    values = [value] if isinstance(value, int) else value
    return tuple(values) * rank if len(values) == 1 else tuple(values)


def batch_norm(builder: Builder, call: Call) -> fx.Node:
    """A batch norm with fixed statistics."""
    arguments = call.arguments
    mean, var = builder.weight(call, "running_mean"), builder.weight(call, "running_var")
    if arguments.get("training") or mean is None or var is None:
        raise call.unsupported(EVALUATE)
    weight, bias = builder.weight(call, "weight"), builder.weight(call, "bias")
    if (weight is None) != (bias is None):
        raise call.unsupported("give it both weight and bias, or neither")
    flat, fixed = len(builder.shape(arguments["input"].name)) != 4, arguments["eps"] == 0  # as only ours has it
    kinds = (FixedNorm2d, FixedNorm1d) if fixed else (nn.BatchNorm2d, nn.BatchNorm1d)
    module: nn.Module = kinds[flat](
        len(mean), eps=arguments["eps"], momentum=arguments["momentum"], affine=weight is not None, device="meta"
    )
    count = torch.zeros((), dtype=torch.int64)
    module = _fill(module, weight=weight, bias=bias, running_mean=mean, running_var=var, num_batches_tracked=count)
    return builder.module(call, module, arguments["input"], "running_mean")


def pool(kind: Callable[..., nn.Module], rank: int, keywords: Mapping[str, Any]) -> Rule:
    """Rule for a pooling over ``rank`` dimensions; ``keywords`` maps its arguments to ATen's defaults."""

    def rule(builder: Builder, call: Call) -> fx.Node:
        options = {name: call.arguments.get(name, default) for name, default in keywords.items()}
        options = {
            name: _tuple(value, rank) if isinstance(value, list) and value else value for name, value in options.items()
        }
        options["stride"] = options["stride"] or options["kernel_size"]
        return builder.module(call, kind(**options), call.arguments["self"])

    return rule


def adaptive_pool(kind: Callable[..., nn.Module]) -> Rule:
    """Rule for a pooling to a fixed output size."""

    def rule(builder: Builder, call: Call) -> fx.Node:
        return builder.module(call, kind(tuple(call.arguments["output_size"])), call.arguments["self"])

    return rule


def activation(kind: Callable[..., nn.Module], **defaults: Any) -> Rule:
    """Rule for an activation; ``defaults`` are its arguments with ATen's defaults."""

    def rule(builder: Builder, call: Call) -> fx.Node:
        options = {name: call.arguments.get(name, default) for name, default in defaults.items()}
        return builder.module(call, kind(**options), call.arguments["self"])

    return rule


def slopes(builder: Builder, call: Call) -> fx.Node:
    """A leaky ReLU with learnt slopes."""
    weight = builder.weight(call, "weight")
    if weight is None:
        raise call.unsupported("give it slopes that are stored")
    module = _fill(nn.PReLU(weight.numel(), device="meta"), weight=weight)
    return builder.module(call, module, call.arguments["self"], "weight")


def dropout(builder: Builder, call: Call) -> fx.Node:
    """A dropout that does nothing, as in evaluation mode."""
    if call.arguments["train"]:
        raise call.unsupported(EVALUATE)
    return builder.module(call, nn.Dropout(call.arguments["p"]), call.arguments["input"])
