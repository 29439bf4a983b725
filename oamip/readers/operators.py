"""The operators that can be read: three tables from module class, function and tensor method to a rule.

A rule takes the draft and then exactly what torch's operator takes, by torch's names but for the first tensor, which is
``x`` here; a rule for a module takes the module and its inputs. Tensors that depend on the input arrive as `Signal`,
everything else as the constant it is.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias, cast

import torch
from torch import nn
from torch.nn import functional

from oamip.readers.activations import (
    absolute,
    amax,
    amin,
    clamp,
    hard_sigmoid,
    leaky,
    maximum,
    minimum,
    prelu,
    prelu_module,
    randomised,
    relu6,
    soft_shrink,
    threshold,
    with_flag,
)
from oamip.readers.arithmetic import add, concat, divide, in_place, mean, multiply, negate, relu, subtract, total
from oamip.readers.draft import Draft, Signal
from oamip.readers.layers import (
    batch_norm,
    conv,
    conv_module,
    conv_transpose,
    conv_transpose_module,
    linear,
    linear_module,
    matmul,
)
from oamip.readers.pooling import adaptive_avg_pool, adaptive_max_pool, arguments_of, avg_pool, max_pool
from oamip.readers.refusals import remedy
from oamip.readers.scores import score, score_module
from oamip.readers.shapes import attribute, flatten, permute, reshape, size, squeeze, transpose, unsqueeze
from oamip.readers.slicing import by_number, expand, expand_as, getitem, interpolate, pad, stack

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


def _to(draft: Draft, x: Signal, *where: Any, **options: Any) -> Signal:
    """``x.to`` another device; all numbers stay in double precision."""
    for given in (*where, *options.values()):
        kind = given.dtype if isinstance(given, torch.Tensor) else given
        if isinstance(kind, torch.dtype) and kind != torch.float64:
            draft.refuse(remedy("to"))
    return x


def _hardtanh(draft: Draft, x: Signal, min_val: float = -1.0, max_val: float = 1.0) -> Signal:
    return clamp(draft, x, min_val, max_val)


def _clamp_min(draft: Draft, x: Signal, min: Any) -> Signal:  # noqa: A002  # torch's name
    return clamp(draft, x, min=min)


def _clamp_max(draft: Draft, x: Signal, max: Any) -> Signal:  # noqa: A002  # torch's name
    return clamp(draft, x, max=max)


def _unflatten_module(draft: Draft, module: nn.Unflatten, x: Signal) -> Any:
    return by_number(torch.Tensor.unflatten)(draft, x, module.dim, module.unflattened_size)


def _rsub(draft: Draft, x: Signal, other: Any, *, alpha: float = 1) -> Signal:
    return subtract(draft, other, x, alpha=alpha)


def _zeros(draft: Draft, x: Signal, *sizes: Any, **_options: Any) -> torch.Tensor:
    """Zeros in the shape of the tensor, or in a shape that is given beside it."""
    given = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple | list) else sizes
    if any(not isinstance(number, int) for number in given):
        draft.refuse("its sizes are no plain numbers; write x.new_zeros(x.size(0), …)")
    return torch.zeros(given or x.size, dtype=torch.float64)


def _pad_module(draft: Draft, module: nn.Module, x: Signal) -> Signal:
    """The padding modules, whose class tells the mode."""
    kind = next(parent.__name__ for parent in type(module).__mro__ if parent in MODULES)
    modes = {"Refl": "reflect", "Repl": "replicate", "Circ": "circular"}
    return pad(draft, x, cast("Any", module).padding, modes.get(kind[:4], "constant"), getattr(module, "value", 0.0))


_MAX = arguments_of(max_pool, "kernel_size stride padding dilation ceil_mode return_indices")
_RELU6, _LEAKY, _RANDOMISED = with_flag(relu6), with_flag(leaky), with_flag(randomised)
_HARDTANH, _HARD_SIGMOID, _THRESHOLD = with_flag(_hardtanh), with_flag(hard_sigmoid), with_flag(threshold)
_AVERAGE = "kernel_size stride padding ceil_mode count_include_pad"

_BY_NUMBER: tuple[Callable[..., Any], ...] = (
    *(torch.chunk, torch.split, torch.tensor_split, torch.unbind, torch.narrow, torch.select, torch.index_select),
    *(torch.flip, torch.roll, torch.tile, torch.repeat_interleave, torch.movedim, torch.swapaxes, torch.swapdims),
    *(functional.pixel_shuffle, functional.pixel_unshuffle, functional.channel_shuffle, functional.unfold),
)
"""Functions that only move the entries of their first argument; the methods of these names do the same."""

MODULES: dict[type[nn.Module], Rule] = {
    nn.Linear: linear_module,
    nn.Conv1d: conv_module,
    nn.Conv2d: conv_module,
    nn.BatchNorm1d: batch_norm,
    nn.BatchNorm2d: batch_norm,
    nn.ReLU: arguments_of(relu, "inplace"),
    nn.ConvTranspose1d: conv_transpose_module,
    nn.ConvTranspose2d: conv_transpose_module,
    nn.ReLU6: arguments_of(_RELU6, "inplace"),
    nn.LeakyReLU: arguments_of(_LEAKY, "negative_slope inplace"),
    nn.RReLU: arguments_of(_RANDOMISED, "lower upper inplace"),
    nn.PReLU: prelu_module,
    nn.Hardtanh: arguments_of(_HARDTANH, "min_val max_val inplace"),
    nn.Hardsigmoid: arguments_of(_HARD_SIGMOID, "inplace"),
    nn.Softshrink: arguments_of(soft_shrink, "lambd"),
    nn.Threshold: arguments_of(_THRESHOLD, "threshold value inplace"),
    nn.MaxPool1d: _MAX,
    nn.MaxPool2d: _MAX,
    nn.AvgPool1d: arguments_of(avg_pool, _AVERAGE),
    nn.AvgPool2d: arguments_of(avg_pool, f"{_AVERAGE} divisor_override"),
    nn.AdaptiveAvgPool1d: arguments_of(adaptive_avg_pool, "output_size"),
    nn.AdaptiveAvgPool2d: arguments_of(adaptive_avg_pool, "output_size"),
    nn.AdaptiveMaxPool1d: arguments_of(adaptive_max_pool, "output_size return_indices"),
    nn.AdaptiveMaxPool2d: arguments_of(adaptive_max_pool, "output_size return_indices"),
    nn.Flatten: arguments_of(flatten, "start_dim end_dim"),
    nn.Unflatten: _unflatten_module,
    nn.PixelShuffle: arguments_of(by_number(functional.pixel_shuffle), "upscale_factor"),
    nn.PixelUnshuffle: arguments_of(by_number(functional.pixel_unshuffle), "downscale_factor"),
    nn.Upsample: arguments_of(interpolate, "size scale_factor mode"),
    **dict.fromkeys((nn.Softmax, nn.LogSoftmax), score_module),
    **dict.fromkeys((nn.ZeroPad1d, nn.ZeroPad2d, nn.ConstantPad1d, nn.ConstantPad2d), _pad_module),
    **dict.fromkeys((nn.ReflectionPad1d, nn.ReflectionPad2d, nn.ReplicationPad1d, nn.ReplicationPad2d), _pad_module),
    **dict.fromkeys((nn.CircularPad1d, nn.CircularPad2d), _pad_module),
    **dict.fromkeys((nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout), _same),
}

FUNCTIONS: dict[Callable[..., Any], Rule] = {
    functional.linear: linear,
    **dict.fromkeys((functional.conv1d, functional.conv2d), conv),
    **dict.fromkeys((functional.relu, torch.relu), relu),
    torch.relu_: in_place(relu),
    **dict.fromkeys((functional.conv_transpose1d, functional.conv_transpose2d), conv_transpose),
    functional.relu6: _RELU6,
    functional.leaky_relu: _LEAKY,
    functional.leaky_relu_: in_place(leaky),
    functional.rrelu: _RANDOMISED,
    **dict.fromkeys((functional.prelu, torch.prelu), prelu),
    functional.hardtanh: _HARDTANH,
    functional.hardtanh_: in_place(_hardtanh),
    functional.hardsigmoid: _HARD_SIGMOID,
    functional.softshrink: soft_shrink,
    functional.threshold: _THRESHOLD,
    torch.threshold: threshold,
    **dict.fromkeys((torch.clamp, torch.clip), clamp),
    torch.clamp_min: _clamp_min,
    torch.clamp_max: _clamp_max,
    **dict.fromkeys((operator.abs, torch.abs, torch.absolute), absolute),
    **dict.fromkeys((torch.max, torch.maximum), maximum),
    **dict.fromkeys((torch.min, torch.minimum), minimum),
    torch.amax: amax,
    torch.amin: amin,
    **dict.fromkeys((functional.softmax, functional.log_softmax, torch.softmax, torch.log_softmax), score),
    **dict.fromkeys((functional.max_pool1d, functional.max_pool2d, torch.max_pool1d, torch.max_pool2d), max_pool),
    **dict.fromkeys((functional.avg_pool1d, functional.avg_pool2d), avg_pool),
    **dict.fromkeys((functional.adaptive_avg_pool1d, functional.adaptive_avg_pool2d), adaptive_avg_pool),
    **dict.fromkeys((functional.adaptive_max_pool1d, functional.adaptive_max_pool2d), adaptive_max_pool),
    **dict.fromkeys((functional.dropout, functional.dropout1d, functional.dropout2d), _dropout),
    **dict.fromkeys((operator.add, torch.add), add),
    **dict.fromkeys((operator.sub, torch.sub, torch.subtract), subtract),
    **dict.fromkeys((operator.mul, torch.mul, torch.multiply), multiply),
    **dict.fromkeys((operator.truediv, torch.div, torch.divide, torch.true_divide), divide),
    **dict.fromkeys((operator.matmul, torch.matmul), matmul),
    torch.rsub: _rsub,
    torch.zeros_like: _zeros,
    **dict.fromkeys((operator.neg, torch.neg, torch.negative), negate),
    operator.iadd: in_place(add),
    operator.isub: in_place(subtract),
    operator.imul: in_place(multiply),
    operator.itruediv: in_place(divide),
    **dict.fromkeys((torch.cat, torch.concat, torch.concatenate), concat),
    torch.stack: stack,
    torch.mean: mean,
    torch.sum: total,
    operator.getitem: getitem,
    functional.pad: pad,
    functional.interpolate: interpolate,
    **{function: by_number(function) for function in _BY_NUMBER},
    torch.flatten: flatten,
    torch.reshape: reshape,
    torch.permute: permute,
    torch.transpose: transpose,
    torch.squeeze: squeeze,
    torch.unsqueeze: unsqueeze,
    getattr: attribute,
}

_MOVING_METHODS = (
    *("chunk", "split", "tensor_split", "unbind", "narrow", "select", "index_select"),
    *("flip", "roll", "tile", "repeat", "repeat_interleave", "movedim", "swapaxes", "swapdims", "unflatten"),
)

METHODS: dict[str, Rule] = {
    "relu": relu,
    **dict.fromkeys(("clamp", "clip"), clamp),
    "clamp_min": _clamp_min,
    "clamp_max": _clamp_max,
    **dict.fromkeys(("abs", "absolute"), absolute),
    **dict.fromkeys(("max", "maximum"), maximum),
    **dict.fromkeys(("min", "minimum"), minimum),
    "amax": amax,
    "amin": amin,
    **dict.fromkeys(("softmax", "log_softmax"), score),
    "add": add,
    "sub": subtract,
    "mul": multiply,
    "div": divide,
    "neg": negate,
    "matmul": matmul,
    "new_zeros": _zeros,
    "mean": mean,
    "sum": total,
    "flatten": flatten,
    "view": reshape,
    "reshape": reshape,
    "permute": permute,
    "transpose": transpose,
    "squeeze": squeeze,
    "unsqueeze": unsqueeze,
    "expand": expand,
    "expand_as": expand_as,
    **{name: by_number(getattr(torch.Tensor, name)) for name in _MOVING_METHODS},
    "size": size,
    "dim": lambda _, x: len(x.size),
    "clone": _clone,
    **dict.fromkeys(("contiguous", "cpu", "detach", "double"), _share),
    "to": _to,
    "relu_": in_place(relu),
    **dict.fromkeys(("clamp_", "clip_"), in_place(clamp)),
    "clamp_min_": in_place(_clamp_min),
    "clamp_max_": in_place(_clamp_max),
    "abs_": in_place(absolute),
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
