"""Sums, differences, multiples and concatenations, with numpy's broadcasting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from oamip.network import LinearMap, Scale, Selection, identity
from oamip.readers.onnx_graph.draft import Draft, Shape, Signal, sample

__all__ = [
    "add",
    "combination",
    "concat",
    "divide",
    "expanded",
    "mean",
    "multiply",
    "negate",
    "scaled",
    "subtract",
    "total",
]


def sizes_of(value: Any) -> Shape:
    """The sizes of a tensor, constant or not."""
    return value.sizes if isinstance(value, Signal) else tuple(np.shape(value))


def add(draft: Draft, a: Any, b: Any) -> Signal:
    """``Add``; a constant per column added to a product with weights is the bias of that layer."""
    operand, x, constant = (0, a, b) if isinstance(a, Signal) else (1, b, a)
    if not isinstance(constant, Signal):
        bias = draft.numbers(constant)
        per_column = 0 < bias.ndim <= len(x.sizes) and bias.size == bias.shape[-1] == x.sizes[-1]
        if per_column and draft.absorb(operand, x, bias.ravel()):
            return x
    return combination(draft, [(a, 1.0), (b, 1.0)])


def subtract(draft: Draft, a: Any, b: Any) -> Signal:
    """``Sub``."""
    return combination(draft, [(a, 1.0), (b, -1.0)])


def total(draft: Draft, terms: Sequence[Any]) -> Signal:
    """``Sum``."""
    return combination(draft, [(term, 1.0) for term in terms])


def mean(draft: Draft, terms: Sequence[Any]) -> Signal:
    """``Mean`` of several tensors."""
    return combination(draft, [(term, 1.0 / len(terms)) for term in terms])


def negate(draft: Draft, x: Signal) -> Signal:
    """``Neg``."""
    return scaled(draft, x, -1.0)


def multiply(draft: Draft, a: Any, b: Any) -> Signal:
    """``Mul``, one of the two constant."""
    if isinstance(a, Signal) and isinstance(b, Signal):
        draft.refuse("it multiplies two tensors that depend on the input, which is not piecewise linear")
    return scaled(draft, a, b) if isinstance(a, Signal) else scaled(draft, b, a)


def divide(draft: Draft, a: Any, b: Any) -> Signal:
    """``Div`` by a constant."""
    if isinstance(b, Signal):
        draft.refuse("it divides by a tensor that depends on the input, which is not piecewise linear")
    divisor = draft.numbers(b)
    if (divisor == 0).any():
        draft.refuse("it divides by zero; check the constant")
    return scaled(draft, a, 1 / divisor)


def combination(draft: Draft, terms: Sequence[tuple[Any, float]]) -> Signal:
    """``Σ factor · term``; constants among the terms make the bias."""
    sizes = np.broadcast_shapes(*(sizes_of(term) for term, _ in terms))
    draft.reserve(sizes)
    bias = sum((factor * draft.numbers(term) for term, factor in terms if not isinstance(term, Signal)), np.zeros(()))
    edges = [_edge(draft, term, factor, sizes) for term, factor in terms if isinstance(term, Signal)]
    return draft.combine(sizes, *edges, bias=bias)


def _edge(draft: Draft, x: Signal, factor: float, sizes: Shape) -> tuple[Signal, LinearMap]:
    shape = sample(sizes)
    if factor != 1:
        x = expanded(draft, x, sizes)
        return x, Scale(np.array(factor), shape)
    draft.reserve(sizes)
    if x.shape == shape:
        return x, identity(shape)
    return x, Selection(np.broadcast_to(draft.index(x), sizes).reshape(shape), x.shape)


def expanded(draft: Draft, x: Signal, sizes: Shape) -> Signal:
    """A tensor broadcast to larger sizes."""
    if x.shape == sample(sizes):
        return replace(x, sizes=sizes)
    draft.reserve(sizes)
    return draft.move(x, np.broadcast_to(draft.index(x), sizes))


def scaled(draft: Draft, x: Signal, constant: Any) -> Signal:
    """``constant · x``, entry by entry."""
    factor = draft.numbers(constant)
    sizes = np.broadcast_shapes(x.sizes, factor.shape)
    x = expanded(draft, x, sizes)
    return draft.combine(sizes, (x, Scale(np.broadcast_to(factor, sizes).reshape(x.shape), x.shape)))


def concat(draft: Draft, parts: Sequence[Any], *, axis: int) -> Signal:
    """``Concat``; parts may be constant."""
    shapes = [list(sizes_of(part)) for part in parts]
    along = range(len(shapes[0]))[axis]
    if any(len(s) != len(shapes[0]) or (*s[:along], *s[along + 1 :]) != _without(shapes[0], along) for s in shapes):
        draft.refuse(f"its parts have sizes {[tuple(s) for s in shapes]}, which do not fit along axis {axis}")
    sizes = tuple(sum(s[along] for s in shapes) if at == along else n for at, n in enumerate(shapes[0]))
    bias, edges, start = np.zeros(sizes), [], 0
    for part, width in zip(parts, (s[along] for s in shapes), strict=True):
        place = (slice(None),) * along + (slice(start, start + width),)
        if isinstance(part, Signal):
            draft.reserve(sizes)
            index = np.full(sizes, -1, dtype=np.intp)
            index[place] = draft.index(part)
            edges.append((part, Selection(index.reshape(sample(sizes)), part.shape)))
        else:
            bias[place] = draft.numbers(part)
        start += width
    return draft.combine(sizes, *edges, bias=bias)


def _without(sizes: Sequence[int], axis: int) -> tuple[int, ...]:
    return (*sizes[:axis], *sizes[axis + 1 :])
