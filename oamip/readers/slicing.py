"""Parts of a tensor, padding, and whatever else only moves entries.

What torch does to the entries is asked of torch itself: its function runs on the numbers of the entries, 1 … n in a
first sample and n + 1 … 2n in a second, and the answer is the index of a `Selection`; 0 stands for a zero. The second
sample must fare like the first, or the function mixes samples. So slices, gathers, flips, repetitions and reflections
have one rule and need no arithmetic of ours.

Picking by number does not follow a removal: units that lie along the axes where numbers are picked are frozen, units
along an axis that passes untouched are free.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx
from torch.nn import functional

from oamip.network import Scale, Selection
from oamip.readers.arithmetic import concat
from oamip.readers.draft import BATCH, Draft, Shape, Signal
from oamip.readers.piecewise import stretch
from oamip.readers.shapes import move, sizes_of, unsqueeze

__all__ = ["by_number", "expand", "expand_as", "getitem", "interpolate", "pad", "stack"]


def by_number(function: Callable[..., Any]) -> Callable[..., Any]:
    """The rule of a torch function that moves the entries of its first argument."""

    def rule(draft: Draft, x: Signal, *args: Any, **kwargs: Any) -> Any:
        fx.node.map_aggregate((args, kwargs), lambda leaf: _constant(draft, leaf))
        return _moved(draft, x, function(_numbers(x.shape), *args, **kwargs))

    return rule


def _constant(draft: Draft, argument: Any) -> Any:
    if isinstance(argument, Signal):
        draft.refuse("which entries it takes depends on the input; use fixed positions")
    return argument


def _numbers(shape: Shape) -> Tensor:
    """The numbers of the entries of two samples, as torch's own kernels take them."""
    return torch.arange(1, 2 * math.prod(shape) + 1, dtype=torch.float64).reshape(2, *shape)


def _moved(draft: Draft, x: Signal, result: Any) -> Any:
    """The signal, or the tuple of signals, for what torch made of the numbers of ``x``."""
    if isinstance(result, tuple | list):
        return tuple(_moved(draft, x, part) for part in result)
    index = _index(draft, x, result)
    picked = _picked(index, x.shape)
    rigid = f"{draft.operator} at '{draft.place}' picks entries by their numbers"
    return move(draft, x, index, rigid=rigid if picked else "", along=picked)


def _index(draft: Draft, x: Signal, result: Tensor) -> NDArray[np.intp]:
    samples = result.numpy() if result.ndim and len(result) == 2 else np.zeros((2, 1))
    first, second = samples
    if not first.any() or not np.array_equal(second, np.where(first > 0, first + math.prod(x.shape), 0)):
        draft.refuse("it takes single samples out of the batch, or mixes them; keep axis 0 whole, as in x[:, 0]")
    index: NDArray[np.intp] = first.astype(np.intp) - 1
    return index


def _picked(index: NDArray[np.intp], shape: Shape) -> tuple[int, ...]:
    """The axes of the source that do not pass untouched: no axis of the result repeats their positions one by one."""
    present = index >= 0
    places = np.unravel_index(np.maximum(index, 0), shape)
    return tuple(axis for axis, size in enumerate(shape) if size > 1 and not _passes(places[axis], present, size))


def _passes(place: NDArray[np.intp], present: NDArray[np.bool_], size: int) -> bool:
    for axis, length in enumerate(place.shape):
        ticks = np.arange(length).reshape(-1, *(1 for _ in place.shape[axis + 1 :]))
        if length == size and ((place == ticks) | ~present).all():
            return True
    return False


# ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def getitem(draft: Draft, x: Any, index: Any) -> Any:
    """``x[index]`` with constants: of a tensor, or one of the parts that ``chunk`` and ``split`` give."""
    if not isinstance(x, Signal):
        return x[index]
    return by_number(lambda numbers: numbers[_constant_index(draft, index)])(draft, x)


def _constant_index(draft: Draft, index: Any) -> Any:
    return fx.node.map_aggregate(index, lambda leaf: _constant(draft, leaf))


def stack(draft: Draft, tensors: Sequence[Any], dim: int = 0) -> Signal:
    """``torch.stack`` along any new axis but the first."""
    if not all(isinstance(part, Signal) for part in tensors):
        draft.refuse("one of its parts is a constant; only tensors that depend on the input are joined")
    axis = dim + len(tensors[0].size) + 1 if dim < 0 else dim
    return concat(draft, [unsqueeze(draft, part, axis) for part in tensors], axis)


def expand(draft: Draft, x: Signal, *sizes: Any, size: Any = None) -> Signal:
    """``x.expand`` to more entries along axes of length one."""
    given, raw = sizes_of(draft, size or sizes)
    if len(given) != len(x.size) or given[0] not in (-1, BATCH):
        draft.refuse("it adds axes or changes the batch; write expand(-1, …) with one size for each axis")
    shape = tuple(own if number == -1 else number for own, number in zip(x.shape, given[1:], strict=True))
    fixed = [number for number, own in zip(raw[1:], x.shape, strict=True) if isinstance(number, int) and number == own]
    rigid = (
        f"{draft.operator} at '{draft.place}' hard-codes {max(fixed)}; write -1 there"
        if max(fixed, default=1) > 1
        else ""
    )
    return move(draft, x, np.broadcast_to(np.arange(math.prod(x.shape)).reshape(x.shape), shape), rigid)


def expand_as(draft: Draft, x: Signal, other: Any) -> Signal:
    """``x.expand_as(other)``."""
    if not isinstance(other, Signal) or len(other.shape) != len(x.shape):
        draft.refuse("it adds axes or follows a constant; write expand(-1, …) with one size for each axis")
    return stretch(draft, x, other.shape)


# ── padding and enlarging ────────────────────────────────────────────────────────────────────────────────────────────


def pad(draft: Draft, x: Signal, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Signal:
    """``torch.nn.functional.pad``: constant, ``reflect``, ``replicate`` or ``circular``; negative numbers crop."""
    if mode != "constant":
        return by_number(functional.pad)(draft, x, tuple(pad), mode)  # type: ignore[no-any-return]
    frame = [(before, after) for before, after in zip(pad[::2], pad[1::2], strict=True)][::-1]
    sides = [(0, 0)] * (len(x.size) - len(frame)) + frame
    if sides[0] != (0, 0):
        draft.refuse("it pads the batch; keep axis 0 as it is")
    return padded(draft, x, sides[1:], float(value or 0.0))


def padded(draft: Draft, x: Signal, sides: Sequence[tuple[int, int]], value: float) -> Signal:
    """Constant padding of a sample, (before, after) for each axis.

    Padding around the positions of a channel belongs to the channel and goes with it, whatever its value; channels that
    are nothing but padding stay, as the numbers of them stand in the source.
    """
    if value and any(side != (0, 0) for side in sides[1:]):
        if min(min(side) for side in sides[1:]) < 0:
            draft.refuse("it crops and fills at once; slice first, then pad")
        x = _framed(draft, x, [(0, 0), *sides[1:]], value)
        sides = [sides[0], *((0, 0) for _ in sides[1:])]
    flat = [number for side in reversed(sides) for number in side]
    index = _index(draft, x, functional.pad(_numbers(x.shape), flat))
    cropped = tuple(axis for axis, side in enumerate(sides) if min(side) < 0)
    rigid = f"{draft.operator} at '{draft.place}' adds and crops by fixed numbers"
    bias = np.where(index < 0, value, 0.0)
    return draft.affine(index.shape, (x, Selection(index, x.shape)), bias=bias, rigid=rigid, along=cropped)


def _framed(draft: Draft, x: Signal, sides: Sequence[tuple[int, int]], value: float) -> Signal:
    """Padding with a value: the nearest entry, so that the unit is known, times 0 and plus the value."""
    nearest = np.pad(np.arange(math.prod(x.shape)).reshape(x.shape), sides, mode="edge")
    inside = np.pad(np.ones(x.shape), sides)
    rigid = f"{draft.operator} at '{draft.place}' adds and crops by fixed numbers"
    spread = move(draft, x, nearest, rigid=rigid, along=_picked(nearest, x.shape))
    return draft.affine(spread.shape, (spread, Scale(inside, spread.shape)), bias=value * (1.0 - inside))


def interpolate(
    draft: Draft, x: Signal, size: Any = None, scale_factor: Any = None, mode: str = "nearest", *_: Any, **options: Any
) -> Signal:
    """``interpolate`` to the nearest entry."""
    if mode not in ("nearest", "nearest-exact"):
        draft.refuse(f"mode='{mode}' is not read; use mode='nearest' or a transposed convolution")
    return by_number(functional.interpolate)(draft, x, size, scale_factor, mode, **options)  # type: ignore[no-any-return]
