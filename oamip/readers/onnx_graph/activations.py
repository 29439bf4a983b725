"""Piecewise-linear activations, by the forms of `oamip.readers.piecewise`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np

from oamip.network import Layer
from oamip.readers import piecewise
from oamip.readers.onnx_graph.draft import Array, Draft, Signal
from oamip.readers.onnx_graph.linear import expanded, sizes_of

__all__ = ["absolute", "clip", "hard_sigmoid", "leaky_relu", "maximum", "minimum", "parametric_relu", "relu"]


def relu(draft: Draft, x: Signal) -> Signal:
    """``Relu``."""
    return draft.relu(x)


def leaky_relu(draft: Draft, x: Signal, *, alpha: float) -> Signal:
    """``LeakyRelu``."""
    return piecewise.leaky(draft, x, draft.numbers(alpha))


def parametric_relu(draft: Draft, x: Signal, slope: Any) -> Signal:
    """``PRelu``; the slope is broadcast to the tensor."""
    slopes, rank = draft.numbers(slope), len(x.sizes)
    per_channel = rank > 1 and (1,) * (rank - slopes.ndim) + slopes.shape == (1, x.sizes[1], *(1,) * (rank - 2))
    layer = Layer(draft.path(1), "slope", bias=False) if per_channel and slopes.size > 1 and x.sizes[0] == 1 else None
    return piecewise.leaky(draft, x, _fitted(draft, x, slopes), layer=layer)


def absolute(draft: Draft, x: Signal) -> Signal:
    """``Abs``."""
    return piecewise.absolute(draft, x)


def hard_sigmoid(draft: Draft, x: Signal, *, alpha: float, beta: float) -> Signal:
    """``HardSigmoid``."""
    return piecewise.hard_sigmoid(draft, x, float(draft.numbers(alpha)), float(draft.numbers(beta)))


def clip(
    draft: Draft,
    x: Signal,
    min: Any = None,  # noqa: A002  # ONNX's own names: before opset 11 they were attributes
    max: Any = None,  # noqa: A002
) -> Signal:
    """``Clip``; a bound at the end of the float32 range is none."""
    return piecewise.clamp(draft, x, _bound(draft, min), _bound(draft, max))


def _bound(draft: Draft, value: Any) -> Array | None:
    if value is None:
        return None
    if isinstance(value, Signal):
        draft.refuse("its bounds depend on the input; write it with Min and Max")
    bound = np.asarray(value, dtype=np.float64).reshape(())
    if abs(bound) >= np.finfo(np.float32).max:  # which is how opset 6 writes no bound
        return np.copysign(np.inf, bound)
    return draft.numbers(bound)


def maximum(draft: Draft, terms: Sequence[Any]) -> Signal:
    """``Max`` of several tensors, some of which may be constant."""
    return _extreme(draft, terms, 1.0)


def minimum(draft: Draft, terms: Sequence[Any]) -> Signal:
    """``Min`` of several tensors, some of which may be constant."""
    return _extreme(draft, terms, -1.0)


def _extreme(draft: Draft, terms: Sequence[Any], sign: float) -> Signal:
    pair, fold = (piecewise.maximum, np.maximum) if sign > 0 else (piecewise.minimum, np.minimum)
    sizes = np.broadcast_shapes(*map(sizes_of, terms))
    signals = [expanded(draft, term, sizes) for term in terms if isinstance(term, Signal)]
    result = reduce(lambda a, b: pair(draft, a, b), signals)
    constants = [draft.numbers(term) for term in terms if not isinstance(term, Signal)]
    if constants:
        bound = _fitted(draft, replace(result, sizes=sizes), reduce(fold, constants))
        low, high = (bound, None) if sign > 0 else (None, bound)
        result = piecewise.clamp(draft, result, low, high)
    return replace(result, sizes=sizes)


def _fitted(draft: Draft, x: Signal, constant: Array) -> Array:
    """A constant that broadcasts to the tensor, as one that broadcasts to its node."""
    if constant.size == 1:
        return constant.reshape(())
    draft.reserve(x.sizes)
    return np.broadcast_to(constant, x.sizes).reshape(x.shape)
