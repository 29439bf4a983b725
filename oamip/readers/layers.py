"""Layers with parameters: linear, convolution, batch normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import nn

from oamip.network import Convolution, Dense, Layer, Scale, TransposedConvolution
from oamip.readers.draft import Array, Draft, Signal
from oamip.readers.pooling import per_axis
from oamip.readers.slicing import pad

__all__ = [
    "batch_norm",
    "conv",
    "conv_module",
    "conv_transpose",
    "conv_transpose_module",
    "layer_of",
    "linear",
    "linear_module",
    "matmul",
]


def linear(draft: Draft, x: Signal, weight: Any, bias: Any = None) -> Signal:
    """`torch.nn.functional.linear` with constant weights: no layer, so its channels stay."""
    return _linear(draft, x, _weights(draft, weight), bias, None, "")


def linear_module(draft: Draft, module: nn.Linear, x: Signal) -> Signal:
    """`torch.nn.Linear`."""
    layer, rigid = layer_of(draft, module, "linear")
    return _linear(draft, x, draft.numbers(module.weight), module.bias, layer, rigid)


def matmul(draft: Draft, x: Any, other: Any) -> Signal:
    """``x @ other`` with a constant matrix: no layer, so its channels stay."""
    if isinstance(x, Signal) and isinstance(other, Signal):
        draft.refuse("it multiplies tensors that depend on the input, which is not piecewise linear")
    if not isinstance(x, Signal) or other.ndim != 2:
        draft.refuse("it multiplies by a constant in a form that is not read; write x @ matrix, or use nn.Linear")
    return linear(draft, x, other.t())


def _linear(draft: Draft, x: Signal, weight: Array, bias: Any, layer: Layer | None, rigid: str) -> Signal:
    map_ = Dense(weight, x.shape)
    return draft.affine(map_.out_shape, (x, map_), bias=_bias(draft, bias), layer=layer, rigid=rigid)


def conv(
    draft: Draft,
    x: Signal,
    weight: Any,
    bias: Any = None,
    stride: int | Sequence[int] = 1,
    padding: str | int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Signal:
    """`torch.nn.functional.conv1d` and ``conv2d`` with constant weights: no layer, so its channels stay."""
    numbers = _weights(draft, weight)
    return _conv(draft, x, _convolution(numbers, x, stride, padding, dilation, groups), bias, None, "")


def conv_module(draft: Draft, module: nn.Conv1d | nn.Conv2d, x: Signal) -> Signal:
    """`torch.nn.Conv1d` and `torch.nn.Conv2d`; padding that is not zero makes a node of its own."""
    layer, rigid = layer_of(draft, module, "conv")
    weight, padding = draft.numbers(module.weight), cast("Any", module.padding)
    if module.padding_mode != "zeros":
        x, padding = pad(draft, x, module._reversed_padding_repeated_twice, module.padding_mode), 0
    map_ = _convolution(weight, x, module.stride, padding, module.dilation, module.groups)
    return _conv(draft, x, map_, module.bias, layer, rigid)


def conv_transpose(
    draft: Draft,
    x: Signal,
    weight: Any,
    bias: Any = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
) -> Signal:
    """`torch.nn.functional.conv_transpose1d` and ``2d`` with constant weights: no layer, so its channels stay."""
    map_ = _transposed(draft, _weights(draft, weight), x, stride, padding, output_padding, groups, dilation)
    return _conv(draft, x, map_, bias, None, "")


def conv_transpose_module(draft: Draft, module: nn.ConvTranspose1d | nn.ConvTranspose2d, x: Signal) -> Signal:
    """`torch.nn.ConvTranspose1d` and `torch.nn.ConvTranspose2d`."""
    layer, rigid = layer_of(draft, module, "conv")
    m = module
    weight = draft.numbers(m.weight)
    map_ = _transposed(draft, weight, x, m.stride, m.padding, m.output_padding, m.groups, m.dilation)
    if m.groups > 1 and not m.groups == m.in_channels == m.out_channels:
        rigid = rigid or f"'{layer.path}' is a transposed convolution in groups, which Torch-Pruning cannot cut"
    return _conv(draft, x, map_, module.bias, layer, rigid)


def _transposed(
    draft: Draft,
    weight: Array,
    x: Signal,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> TransposedConvolution:
    """The adjoint of the convolution that would bring the output back to the shape of the input."""
    axes = weight.ndim - 2
    strides, pads, extra, spread = (per_axis(value, axes) for value in (stride, padding, output_padding, dilation))
    if any(e >= s + p for e, s, p in zip(extra, strides, pads, strict=True)):
        draft.refuse("output_padding adds whole rows that see no input; use less than stride + padding")
    spatial = tuple(
        (size - 1) * s - 2 * p + d * (k - 1) + e + 1
        for size, s, p, d, k, e in zip(x.shape[1:], strides, pads, spread, weight.shape[2:], extra, strict=True)
    )
    behind = tuple((p, max(p - e, 0)) for p, e in zip(pads, extra, strict=True))
    shape = (groups * weight.shape[1], *spatial)
    return TransposedConvolution(Convolution(weight, shape, strides, behind, spread, groups))


def _conv(
    draft: Draft, x: Signal, map_: Convolution | TransposedConvolution, bias: Any, layer: Layer | None, rigid: str
) -> Signal:
    per_channel = _bias(draft, bias).reshape(-1, *(1 for _ in map_.kernel))
    return draft.affine(map_.out_shape, (x, map_), bias=per_channel, layer=layer, rigid=rigid)


def _convolution(
    weight: Array,
    x: Signal,
    stride: int | Sequence[int],
    padding: str | int | Sequence[int],
    dilation: int | Sequence[int],
    groups: int,
) -> Convolution:
    axes = weight.ndim - 2
    spread = per_axis(dilation, axes)
    if padding == "same":
        total = [d * (k - 1) for d, k in zip(spread, weight.shape[2:], strict=True)]
        pads = tuple((t // 2, t - t // 2) for t in total)  # the odd one goes to the end, as in torch
    else:
        pads = tuple((p, p) for p in per_axis(0 if isinstance(padding, str) else padding, axes))
    return Convolution(weight, x.shape, per_axis(stride, axes), pads, spread, groups)


def batch_norm(draft: Draft, module: nn.BatchNorm1d | nn.BatchNorm2d, x: Signal) -> Signal:
    """`torch.nn.BatchNorm1d` and `torch.nn.BatchNorm2d` in evaluation: a scale and a shift per channel."""
    if module.running_mean is None or module.running_var is None:
        draft.refuse(
            "track_running_stats=False normalises with the statistics of the batch, which mixes samples; "
            "train it with track_running_stats=True"
        )
    layer, rigid = layer_of(draft, module, "norm")
    factor = 1 / np.sqrt(draft.numbers(module.running_var) + module.eps)
    if module.affine:
        factor = factor * draft.numbers(module.weight)
    shift = _bias(draft, module.bias) - draft.numbers(module.running_mean) * factor
    channels = (-1, *(1 for _ in x.shape[1:]))
    map_ = Scale(factor.reshape(channels), x.shape)
    return draft.affine(x.shape, (x, map_), bias=shift.reshape(channels), layer=layer, rigid=rigid)


def _bias(draft: Draft, bias: Any) -> Array:
    return np.zeros(1) if bias is None else _weights(draft, bias)


def _weights(draft: Draft, value: Any) -> Array:
    if isinstance(value, Signal):
        draft.refuse("its weights depend on the input, so it is not affine; use fixed weights")
    return draft.numbers(value)


def layer_of(draft: Draft, module: nn.Module, kind: Literal["linear", "conv", "norm", "slope"]) -> tuple[Layer, str]:
    """The layer that the present call makes, and why it cannot be cut."""
    parameters = cast("list[torch.Tensor]", list(module.parameters(recurse=False)))
    reasons = (draft.shared.get(id(parameter), "") for parameter in parameters)
    layer = Layer(str(draft.call.target), kind, bias=getattr(module, "bias", None) is not None)
    return layer, next(filter(None, reasons), "")
