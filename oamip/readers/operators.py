"""The operators that can be read: three tables from module class, function and tensor method to a rule.

A rule takes the draft and then exactly what torch's operator takes, by torch's names but for the first tensor, which is
``x`` here; a rule for a module takes the module and its inputs. Tensors that depend on the input arrive as `Signal`,
everything else as the constant it is.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.nn import functional

from oamip.readers.arithmetic import add, concat, divide, in_place, mean, multiply, negate, relu, subtract
from oamip.readers.draft import Draft, Signal
from oamip.readers.layers import batch_norm, conv, conv_module, linear, linear_module
from oamip.readers.pooling import adaptive_avg_pool, arguments_of, avg_pool, max_pool
from oamip.readers.shapes import attribute, flatten, permute, reshape, size, squeeze, transpose, unsqueeze

__all__ = ["FUNCTIONS", "METHODS", "MODULES", "Rule", "module_rule"]

Rule: TypeAlias = Callable[..., Any]


def _same(_: Draft, _module: nn.Module, x: Signal) -> Signal:
    """Modules that do nothing in evaluation."""
    return x


def _dropout(draft: Draft, x: Signal, p: float = 0.5, training: bool = True, **_options: Any) -> Signal:
    if training and p > 0:
        draft.refuse("it is random even in evaluation; write training=self.training, or use nn.Dropout")
    return x


def _share(_: Draft, x: Signal, **_options: Any) -> Signal:
    """Methods that give the tensor itself."""
    return x


def _clone(_: Draft, x: Signal, **_options: Any) -> Signal:
    """A new tensor of the same value, which operations in place on the old one do not reach."""
    return replace(x)


_MAX = arguments_of(max_pool, "kernel_size stride padding dilation ceil_mode return_indices")
_AVERAGE = "kernel_size stride padding ceil_mode count_include_pad"

MODULES: dict[type[nn.Module], Rule] = {
    nn.Linear: linear_module,
    nn.Conv1d: conv_module,
    nn.Conv2d: conv_module,
    nn.BatchNorm1d: batch_norm,
    nn.BatchNorm2d: batch_norm,
    nn.ReLU: arguments_of(relu, "inplace"),
    nn.MaxPool1d: _MAX,
    nn.MaxPool2d: _MAX,
    nn.AvgPool1d: arguments_of(avg_pool, _AVERAGE),
    nn.AvgPool2d: arguments_of(avg_pool, f"{_AVERAGE} divisor_override"),
    nn.AdaptiveAvgPool1d: arguments_of(adaptive_avg_pool, "output_size"),
    nn.AdaptiveAvgPool2d: arguments_of(adaptive_avg_pool, "output_size"),
    nn.Flatten: arguments_of(flatten, "start_dim end_dim"),
    **dict.fromkeys((nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout), _same),
}

FUNCTIONS: dict[Callable[..., Any], Rule] = {
    functional.linear: linear,
    **dict.fromkeys((functional.conv1d, functional.conv2d), conv),
    **dict.fromkeys((functional.relu, torch.relu), relu),
    torch.relu_: in_place(relu),
    **dict.fromkeys((functional.max_pool1d, functional.max_pool2d, torch.max_pool1d, torch.max_pool2d), max_pool),
    **dict.fromkeys((functional.avg_pool1d, functional.avg_pool2d), avg_pool),
    **dict.fromkeys((functional.adaptive_avg_pool1d, functional.adaptive_avg_pool2d), adaptive_avg_pool),
    **dict.fromkeys((functional.dropout, functional.dropout1d, functional.dropout2d), _dropout),
    **dict.fromkeys((operator.add, torch.add), add),
    **dict.fromkeys((operator.sub, torch.sub, torch.subtract), subtract),
    **dict.fromkeys((operator.mul, torch.mul, torch.multiply), multiply),
    **dict.fromkeys((operator.truediv, torch.div, torch.divide, torch.true_divide), divide),
    **dict.fromkeys((operator.neg, torch.neg, torch.negative), negate),
    operator.iadd: in_place(add),
    operator.isub: in_place(subtract),
    operator.imul: in_place(multiply),
    operator.itruediv: in_place(divide),
    **dict.fromkeys((torch.cat, torch.concat, torch.concatenate), concat),
    torch.mean: mean,
    torch.flatten: flatten,
    torch.reshape: reshape,
    torch.permute: permute,
    torch.transpose: transpose,
    torch.squeeze: squeeze,
    torch.unsqueeze: unsqueeze,
    getattr: attribute,
}

METHODS: dict[str, Rule] = {
    "relu": relu,
    "add": add,
    "sub": subtract,
    "mul": multiply,
    "div": divide,
    "neg": negate,
    "mean": mean,
    "flatten": flatten,
    "view": reshape,
    "reshape": reshape,
    "permute": permute,
    "transpose": transpose,
    "squeeze": squeeze,
    "unsqueeze": unsqueeze,
    "size": size,
    "dim": lambda _, x: len(x.size),
    "clone": _clone,
    **dict.fromkeys(("contiguous", "detach", "double"), _share),
    "relu_": in_place(relu),
    "add_": in_place(add),
    "sub_": in_place(subtract),
    "mul_": in_place(multiply),
    "div_": in_place(divide),
}


def module_rule(module: nn.Module) -> Rule | None:
    """The rule of a module, found through its class or a parent whose forward method it keeps."""
    kind = type(module)
    for parent in kind.__mro__:
        if parent in MODULES:
            kept = all(
                getattr(kind, name, None) is getattr(parent, name, None) for name in ("forward", "_conv_forward")
            )
            return MODULES[parent] if kept else None
    return None
