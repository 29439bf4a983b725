"""Sums, differences, multiples, concatenations and means."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import fx

from oamip.network import LinearMap, Scale, Selection, average_pool, identity
from oamip.readers.draft import BATCH, Array, Draft, Shape, Signal
from oamip.readers.piecewise import stretch
from oamip.readers.shapes import axis_of, move, permute

__all__ = [
    "add",
    "concat",
    "divide",
    "in_place",
    "mean",
    "multiply",
    "negate",
    "per_sample",
    "relu",
    "subtract",
    "total",
]


def relu(draft: Draft, x: Signal, inplace: bool = False) -> Signal:
    """``relu`` in all its forms."""
    result = draft.relu(x)
    if inplace:
        draft.overwrite(x, result)
    return result


def in_place(rule: Callable[..., Signal]) -> Callable[..., Signal]:
    """The rule of ``add_`` from that of ``add``."""

    @functools.wraps(rule)
    def overwriting(draft: Draft, x: Any, *args: Any, **kwargs: Any) -> Signal:
        result = rule(draft, x, *args, **kwargs)
        draft.overwrite(x, result)
        return result

    return overwriting


def add(draft: Draft, x: Any, other: Any, *, alpha: float = 1) -> Signal:
    """``x + alpha · other``; either may be a constant."""
    terms = [(term, factor) for term, factor in ((x, 1.0), (other, float(alpha))) if isinstance(term, Signal)]
    constants = [(term, factor) for term, factor in ((x, 1.0), (other, alpha)) if not isinstance(term, Signal)]
    shift, rigid = per_sample(draft, *constants[0], terms[0][0]) if constants else (np.zeros(()), "")
    if len({len(term.shape) for term, _ in terms}) > 1:
        draft.refuse("the tensors have different numbers of axes, so their batch axes do not meet; unsqueeze one")
    shape = np.broadcast_shapes(*(term.shape for term, _ in terms), shift.shape)
    edges = [edge for term, factor in terms for edge in _spread(draft, term, factor, shape)]
    return draft.affine(shape, *edges, bias=shift, rigid=rigid)


def subtract(draft: Draft, x: Any, other: Any, *, alpha: float = 1) -> Signal:
    """``x − alpha · other``."""
    return add(draft, x, other, alpha=-alpha)


def negate(draft: Draft, x: Signal) -> Signal:
    """``−x``."""
    return multiply(draft, x, -1.0)


def multiply(draft: Draft, x: Any, other: Any) -> Signal:
    """``x · other``, one of them constant."""
    if isinstance(x, Signal) and isinstance(other, Signal):
        draft.refuse("the product of two tensors that depend on the input is not piecewise linear")
    return _scaled(draft, x, other, 1) if isinstance(x, Signal) else _scaled(draft, other, x, 1)


def divide(draft: Draft, x: Any, other: Any, *, rounding_mode: str | None = None) -> Signal:
    """``x / other`` with a constant ``other``."""
    if rounding_mode is not None:
        draft.refuse("rounding is not piecewise linear and continuous; leave rounding_mode out")
    if isinstance(other, Signal):
        draft.refuse("division by a tensor that depends on the input is not piecewise linear")
    return _scaled(draft, x, other, -1)


def _scaled(draft: Draft, x: Signal, constant: Any, power: int) -> Signal:
    factor, rigid = per_sample(draft, constant, 1, x)
    if power < 0:
        if (factor == 0).any():
            draft.refuse("it divides by zero; check the constant")
        factor = 1 / factor
    shape = np.broadcast_shapes(x.shape, factor.shape)
    if shape != x.shape:
        draft.refuse(
            f"a constant of shape {factor.shape} enlarges a tensor of shape {x.shape}; expand the tensor first"
        )
    return draft.affine(shape, (x, Scale(factor, x.shape)), rigid=rigid)


def per_sample(draft: Draft, constant: Any, factor: float, x: Signal) -> tuple[Array, str]:
    """``factor · constant`` without batch axis, and why it ties the channels down.

    A constant with one number for all entries follows any cut; others have a fixed number of entries.
    """
    array = draft.numbers(constant) * factor
    if array.ndim > len(x.size):
        draft.refuse(
            f"a constant with {array.ndim} axes meets a tensor with {len(x.size)}; the batch must stay in front"
        )
    if array.ndim == len(x.size):
        if array.shape[0] not in (1, BATCH) or (array != array[:1]).any():
            draft.refuse("the constant differs from sample to sample, which fixes the batch")
        array = array[0]
    if array.size == 1:
        return array.reshape(()), ""
    return array, f"{draft.operator} at '{draft.place}' takes a constant of {array.size} numbers, which cannot be cut"


def _spread(draft: Draft, x: Signal, factor: float, shape: Shape) -> list[tuple[Signal, LinearMap]]:
    """The edge that adds ``factor · x``, broadcast, to an array of ``shape``."""
    if x.shape == shape:
        return [(x, identity(shape) if factor == 1 else Scale(np.array(factor), shape))]
    if factor != 1:
        return [(stretch(draft, x, shape), Scale(np.array(factor), shape))]
    index = np.broadcast_to(np.arange(math.prod(x.shape)).reshape(x.shape), shape)
    return [(x, Selection(index, x.shape))]


def concat(draft: Draft, tensors: Sequence[Any], dim: int = 0) -> Signal:
    """``torch.cat`` along any axis but the batch."""
    first = next(part for part in tensors if isinstance(part, Signal))
    axis = axis_of(draft, first, dim)
    if axis == 0:
        draft.refuse("it joins along the batch axis, which mixes samples; use dim=1 or higher")
    parts = [part if isinstance(part, Signal) else _joined_constant(draft, part) for part in tensors]
    widths = [part.shape[axis - 1] for part in parts]
    shape = list(first.shape)
    shape[axis - 1] = sum(widths)
    edges, start, bias = [], 0, np.zeros(shape)
    for part, width in zip(parts, widths, strict=True):
        place = (slice(None),) * (axis - 1) + (slice(start, start + width),)
        if isinstance(part, Signal):
            index = np.full(shape, -1, dtype=np.intp)
            index[place] = np.arange(math.prod(part.shape)).reshape(part.shape)
            edges.append((part, Selection(index, part.shape)))
        else:
            bias[place] = part
        start += width
    if len(edges) == len(parts):
        return draft.affine(tuple(shape), *edges)
    rigid = f"{draft.operator} at '{draft.place}' joins a constant, whose entries are counted in the source"
    others = tuple(other for other in range(len(shape)) if other != axis - 1)  # along these its sizes are fixed
    given: Any = draft.call.args[0] if draft.call.args else draft.call.kwargs["tensors"]
    calls = given if isinstance(given, Sequence) else [given]
    constants = (call for call in calls if not isinstance(draft.values[call], Signal))
    if not all(_counted(draft, call, axis) for call in constants):
        rigid = (
            f"{draft.operator} at '{draft.place}' joins a constant that takes its width from a tensor; write 0 * x "
            "for zeros_like(x), or use functional.pad"
        )
        others = tuple(range(len(shape)))
    return draft.affine(tuple(shape), *edges, bias=bias, rigid=rigid, along=others)


def _joined_constant(draft: Draft, constant: Any) -> Array:
    """A constant part of a concatenation, without batch axis."""
    array = draft.numbers(constant)
    if array.shape[0] not in (1, BATCH) or (array != array[:1]).any():
        draft.refuse("the constant differs from sample to sample, or fixes the batch; make it with x.new_zeros(…)")
    one: Array = array[0]
    return one


def _counted(draft: Draft, call: fx.Node, axis: int) -> bool:
    """Whether the size of a constant along an axis stands in the source, and is not computed from that of a tensor."""
    value = draft.values[call]
    if call.target in ("new_zeros", torch.zeros):
        given: Any = call.args[1:] if call.target == "new_zeros" else call.args
        sizes = given[0] if len(given) == 1 else given
        return isinstance(sizes, Sequence) and isinstance(sizes[axis], int)
    if isinstance(value, torch.Tensor):
        return call.target is not torch.zeros_like and all(_counted(draft, x, axis) for x in call.all_input_nodes)
    return isinstance(value, int) and value == BATCH


def mean(draft: Draft, x: Signal, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Signal:
    """``mean`` over any axes but the batch; channels that it averages stay or go together."""
    return _reduced(draft, x, dim, keepdim, dtype, "averages", mean=True)


def total(draft: Draft, x: Signal, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Signal:
    """``sum`` over any axes but the batch; channels that it adds up stay or go together."""
    return _reduced(draft, x, dim, keepdim, dtype, "sums", mean=False)


def _reduced(draft: Draft, x: Signal, dim: Any, keepdim: bool, dtype: Any, what: str, *, mean: bool) -> Signal:
    given = () if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    axes = {axis_of(draft, x, axis) for axis in given}
    if not axes or 0 in axes:
        draft.refuse(f"it {what} over the batch, which mixes samples; name the axes, as in mean((2, 3))")
    if dtype not in (None, torch.float64):
        draft.refuse("it changes the precision; leave dtype out")
    shape = tuple(1 if axis in axes else n for axis, n in enumerate(x.shape, 1) if keepdim or axis not in axes)
    if 1 not in axes:
        sides = [_whole(n, mean) if axis in axes else _each(n) for axis, n in enumerate(x.shape[1:], 2)]
        map_ = average_pool(x.shape, sides, shape[1:])
        return draft.affine(map_.out_shape, (x, map_))
    # A map over positions does the same in every channel, so the axes that stay are put in front, as channels.
    kept = [axis for axis in range(1, len(x.size)) if axis not in axes]
    x = permute(draft, x, 0, *kept, *sorted(axes))
    positions = math.prod(x.shape[len(kept) :])
    x = move(draft, x, np.arange(math.prod(x.shape)).reshape(-1, positions))
    map_ = average_pool(x.shape, [_whole(positions, mean)], ())
    return move(draft, draft.affine(map_.out_shape, (x, map_)), np.arange(math.prod(shape)).reshape(shape))


def _whole(size: int, mean: bool) -> list[tuple[int, int, int]]:
    """The one window over a whole axis."""
    return [(0, size, size if mean else 1)]


def _each(size: int) -> list[tuple[int, int, int]]:
    """A window for each position of an axis that stays."""
    return [(i, i + 1, 1) for i in range(size)]
