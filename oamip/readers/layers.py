"""Layers with parameters: linear, convolution, batch normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import nn

from oamip.network import Convolution, Dense, Layer, Scale
from oamip.readers.draft import Array, Draft, Signal
from oamip.readers.pooling import per_axis

__all__ = ["batch_norm", "conv", "conv_module", "linear", "linear_module"]


def linear(draft: Draft, x: Signal, weight: Any, bias: Any = None) -> Signal:
    """`torch.nn.functional.linear` with constant weights: no layer, so its channels stay."""
    return _linear(draft, x, _weights(draft, weight), bias, None, "")


def linear_module(draft: Draft, module: nn.Linear, x: Signal) -> Signal:
    """`torch.nn.Linear`."""
    layer, rigid = _layer(draft, module, "linear")
    return _linear(draft, x, draft.numbers(module.weight), module.bias, layer, rigid)


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
    """`torch.nn.Conv1d` and `torch.nn.Conv2d` with zero padding."""
    if module.padding_mode != "zeros":
        draft.refuse(f"padding_mode='{module.padding_mode}' is not read; use padding_mode='zeros'")
    layer, rigid = _layer(draft, module, "conv")
    weight = draft.numbers(module.weight)
    map_ = _convolution(weight, x, module.stride, module.padding, module.dilation, module.groups)
    return _conv(draft, x, map_, module.bias, layer, rigid)


def _conv(draft: Draft, x: Signal, map_: Convolution, bias: Any, layer: Layer | None, rigid: str) -> Signal:
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
    layer, rigid = _layer(draft, module, "norm")
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


def _layer(draft: Draft, module: nn.Module, kind: Literal["linear", "conv", "norm"]) -> tuple[Layer, str]:
    """The layer that the present call makes, and why it cannot be cut."""
    parameters = cast("list[torch.Tensor]", list(module.parameters(recurse=False)))
    reasons = (draft.shared.get(id(parameter), "") for parameter in parameters)
    layer = Layer(str(draft.call.target), kind, bias=getattr(module, "bias", None) is not None)
    return layer, next(filter(None, reasons), "")
