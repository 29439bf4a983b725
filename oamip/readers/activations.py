"""torch's piecewise-linear activations, in all their forms; the mathematics is in `piecewise`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from oamip.network import Layer
from oamip.readers import piecewise
from oamip.readers.arithmetic import in_place, per_sample
from oamip.readers.draft import Array, Draft, Signal
from oamip.readers.layers import layer_of
from oamip.readers.shapes import axis_of

__all__ = [
    "absolute",
    "amax",
    "amin",
    "clamp",
    "hard_sigmoid",
    "leaky",
    "maximum",
    "minimum",
    "prelu",
    "prelu_module",
    "randomised",
    "relu6",
    "soft_shrink",
    "threshold",
    "with_flag",
]


def with_flag(rule: Callable[..., Signal]) -> Callable[..., Signal]:
    """A rule that also takes torch's ``inplace``."""
    signature = inspect.signature(rule)
    flag = inspect.Parameter("inplace", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=False)
    signature = signature.replace(parameters=[*signature.parameters.values(), flag])

    def flagged(*args: Any, **kwargs: Any) -> Signal:
        given = signature.bind(*args, **kwargs).arguments
        return (in_place(rule) if given.pop("inplace", False) else rule)(**given)

    flagged.__signature__ = signature  # type: ignore[attr-defined]  # what the walk checks a call against
    return flagged


def leaky(draft: Draft, x: Signal, negative_slope: float = 0.01) -> Signal:
    """``leaky_relu``."""
    return piecewise.leaky(draft, x, draft.numbers(negative_slope))


def randomised(draft: Draft, x: Signal, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False) -> Signal:
    """``rrelu`` in evaluation: the mean slope."""
    if training:
        draft.refuse("it is random even in evaluation; write training=self.training, or use nn.RReLU")
    return piecewise.leaky(draft, x, (lower + upper) / 2)


def prelu(draft: Draft, x: Signal, weight: Any) -> Signal:
    """``prelu`` with a constant slope, one for all or one for each channel."""
    return _prelu(draft, x, weight, None, f"{draft.operator} at '{draft.place}' has a slope for each channel")


def prelu_module(draft: Draft, module: nn.PReLU, x: Signal) -> Signal:
    """`torch.nn.PReLU`; slopes of channels are cut with them."""
    layer, rigid = layer_of(draft, module, "slope")
    return _prelu(draft, x, module.weight, layer if module.num_parameters > 1 else None, rigid)


def _prelu(draft: Draft, x: Signal, weight: Any, layer: Layer | None, rigid: str) -> Signal:
    if isinstance(weight, Signal):
        draft.refuse("its slopes depend on the input, so it is not piecewise linear; use fixed slopes")
    slope = draft.numbers(weight)
    if slope.size == 1:
        return piecewise.leaky(draft, x, slope.reshape(()))
    return piecewise.leaky(draft, x, slope.reshape(-1, *(1 for _ in x.shape[1:])), rigid, layer)


def relu6(draft: Draft, x: Signal) -> Signal:
    """``relu6``."""
    return piecewise.clamp(draft, x, 0.0, 6.0)


def clamp(draft: Draft, x: Signal, min: Any = None, max: Any = None) -> Signal:  # noqa: A002  # torch's names
    """``clamp``, ``clip`` and ``hardtanh``: bounds are constants, or tensors that depend on the input."""
    for bound in (min, max):
        if bound is not None and not isinstance(x, Signal):
            draft.refuse("it bounds a constant by a tensor that depends on the input; write minimum or maximum")
    signals = {id(bound) for bound in (min, max) if isinstance(bound, Signal)}
    if signals:
        x = x if min is None else maximum(draft, x, min)
        return x if max is None else minimum(draft, x, max)
    (low, low_rigid), (high, high_rigid) = (_bound(draft, x, bound) for bound in (min, max))
    return piecewise.clamp(draft, x, low, high, low_rigid or high_rigid)


def _bound(draft: Draft, x: Signal, bound: Any) -> tuple[Array | float | None, str]:
    """A bound without batch axis, and why it ties the channels down; an infinite one is none."""
    if bound is None or isinstance(bound, float | int):
        return bound, ""
    array, rigid = per_sample(draft, bound, 1.0, x)
    if np.broadcast_shapes(array.shape, x.shape) != x.shape:
        draft.refuse(f"bounds of shape {array.shape} enlarge a tensor of shape {x.shape}; expand the tensor first")
    return array, rigid


def absolute(draft: Draft, x: Signal) -> Signal:
    """``abs``."""
    return piecewise.absolute(draft, x)


def hard_sigmoid(draft: Draft, x: Signal) -> Signal:
    """``hardsigmoid``."""
    return piecewise.hard_sigmoid(draft, x)


def soft_shrink(draft: Draft, x: Signal, lambd: float = 0.5) -> Signal:
    """``softshrink``."""
    return piecewise.soft_shrink(draft, x, lambd)


def threshold(draft: Draft, x: Signal, threshold: float, value: float) -> Signal:
    """``threshold`` where it is continuous: the value below is the threshold itself."""
    if threshold != value:
        draft.refuse(f"it jumps at {threshold}; only thresholds with an equal value, which are clamps, are read")
    return piecewise.clamp(draft, x, low=threshold)


def maximum(draft: Draft, x: Any, other: Any = None, **_axis: Any) -> Signal:
    """``maximum(a, b)`` and ``max(a, b)``; either may be a constant."""
    return _extreme(draft, x, other, piecewise.maximum, "min")


def minimum(draft: Draft, x: Any, other: Any = None, **_axis: Any) -> Signal:
    """``minimum(a, b)`` and ``min(a, b)``; either may be a constant."""
    return _extreme(draft, x, other, piecewise.minimum, "max")


def _extreme(draft: Draft, x: Any, other: Any, rule: Callable[..., Signal], bound: str) -> Signal:
    if isinstance(x, Signal) and isinstance(other, Signal):
        if len(x.shape) != len(other.shape):
            draft.refuse("the tensors have different numbers of axes, so their batch axes do not meet; unsqueeze one")
        return rule(draft, x, other)
    signal, constant = (x, other) if isinstance(x, Signal) else (other, x)
    if not isinstance(constant, torch.Tensor):
        draft.refuse("it takes the extreme over an axis and its place; write amax or amin over axes from 2 on")
    return clamp(draft, signal, **{bound: constant})


def amax(draft: Draft, x: Signal, dim: Any = (), keepdim: bool = False) -> Signal:
    """``amax`` over any axes but the batch."""
    return piecewise.largest(draft, x, _axes(draft, x, dim), keepdim)


def amin(draft: Draft, x: Signal, dim: Any = (), keepdim: bool = False) -> Signal:
    """``amin`` over any axes but the batch."""
    return piecewise.largest(draft, x, _axes(draft, x, dim), keepdim, sign=-1.0)


def _axes(draft: Draft, x: Signal, dim: Any) -> list[int]:
    axes = sorted({axis_of(draft, x, axis) for axis in ((dim,) if isinstance(dim, int) else cast("Any", dim))})
    if not axes or axes[0] == 0:
        draft.refuse("it compares samples of the batch; name the axes, as in amax((2, 3))")
    return [axis - 1 for axis in axes]
