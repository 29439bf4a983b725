"""Reshapes and transpositions: entries move, nothing is computed.

A tensor is (batch, *shape); every rule keeps the batch in front and refuses what would mix samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import fx

from oamip.network import Selection
from oamip.readers.draft import BATCH, Draft, Shape, Signal

__all__ = [
    "attribute",
    "axis_of",
    "flatten",
    "move",
    "permute",
    "reshape",
    "size",
    "sizes_of",
    "squeeze",
    "transpose",
    "unsqueeze",
]


def flatten(draft: Draft, x: Signal, start_dim: int = 0, end_dim: int = -1) -> Signal:
    """``torch.flatten``, ``x.flatten`` and `torch.nn.Flatten`."""
    first, last = axis_of(draft, x, start_dim), axis_of(draft, x, end_dim)
    if first == 0:
        draft.refuse("it merges the batch axis with others, which mixes samples; write flatten(x, 1)")
    shape = x.shape
    merged = (*shape[: first - 1], math.prod(shape[first - 1 : last]), *shape[last:])
    return move(draft, x, np.arange(math.prod(shape)).reshape(merged))


def reshape(draft: Draft, x: Signal, *sizes: Any, shape: Any = None, size: Any = None) -> Signal:
    """``x.view``, ``x.reshape`` and ``torch.reshape``."""
    given, raw = sizes_of(draft, shape or size or sizes)
    if given.count(-1) > 1 or not all(isinstance(number, int) for number in given):
        draft.refuse("it does not take plain sizes; write flatten(x, 1) or view(x.size(0), …)")
    known = math.prod(number for number in given if number != -1)
    if isinstance(raw[0], int) and raw[0] != -1:
        draft.refuse(f"it fixes the batch to {raw[0]}; write flatten(x, 1) or view(x.size(0), …)")
    target = tuple(BATCH * math.prod(x.shape) // known if number == -1 else number for number in given)
    if target[:1] != (BATCH,) or math.prod(target) != BATCH * math.prod(x.shape):
        draft.refuse("it does not keep the batch axis as it is; write flatten(x, 1) or view(x.size(0), …)")
    index = np.arange(math.prod(x.shape)).reshape(target[1:])
    return move(draft, x, index, rigid=_rigid(draft, x.shape, target[1:], raw[1:]))


def sizes_of(draft: Draft, sizes: Any) -> tuple[list[Any], list[Any]]:
    """The sizes that a call is given, and the same as the source has them: a literal number or another call."""
    given: Any = sizes
    raw: Any = draft.call.kwargs.get("shape") or draft.call.kwargs.get("size") or draft.call.args[1:]
    if len(given) == 1 and isinstance(given[0], Sequence):
        given, raw = given[0], raw[0]
    return list(given), [raw] * len(given) if isinstance(raw, fx.Node) else list(raw)


def _rigid(draft: Draft, before: Shape, after: Shape, raw: Sequence[Any]) -> str:
    """Why channels cannot be cut through this reshape: only merging neighbouring axes follows every size."""
    literals = [number for number in raw if isinstance(number, int) and number > 1]
    if literals:
        return f"{draft.operator} at '{draft.place}' hard-codes {literals[0]}; write flatten(x, 1)"
    if set(np.cumprod(after[::-1]).tolist()) <= {1, *np.cumprod(before[::-1]).tolist()}:
        return ""
    return f"{draft.operator} at '{draft.place}' splits an axis into fixed parts"


def permute(draft: Draft, x: Signal, *dims: Any) -> Signal:
    """``torch.permute`` and ``x.permute``."""
    given = dims[0] if len(dims) == 1 and isinstance(dims[0], Sequence) else dims
    axes = [axis_of(draft, x, dim) for dim in given]
    if axes[0] != 0:
        draft.refuse("it moves the batch axis; keep axis 0 in front")
    index = np.arange(math.prod(x.shape)).reshape(x.shape)
    return move(draft, x, index.transpose([axis - 1 for axis in axes[1:]]))


def transpose(draft: Draft, x: Signal, dim0: int, dim1: int) -> Signal:
    """``torch.transpose`` and ``x.transpose``."""
    dims = list(range(len(x.size)))
    first, second = axis_of(draft, x, dim0), axis_of(draft, x, dim1)
    dims[first], dims[second] = dims[second], dims[first]
    return permute(draft, x, *dims)


def squeeze(draft: Draft, x: Signal, dim: int | Sequence[int] | None = None) -> Signal:
    """``squeeze`` of named axes."""
    if dim is None:
        draft.refuse("squeeze() without an axis also removes a batch of one; write squeeze(1) or flatten(x, 1)")
    axes = {axis_of(draft, x, axis) for axis in ((dim,) if isinstance(dim, int) else dim)}
    if 0 in axes:
        draft.refuse("it would remove a batch of one; name another axis")
    shape = tuple(n for axis, n in enumerate(x.shape, 1) if not (axis in axes and n == 1))
    return move(draft, x, np.arange(math.prod(shape)).reshape(shape))


def unsqueeze(draft: Draft, x: Signal, dim: int) -> Signal:
    """``unsqueeze`` anywhere behind the batch axis."""
    axis = dim + len(x.size) + 1 if dim < 0 else dim
    if axis == 0:
        draft.refuse("it puts an axis before the batch; use an axis from 1 on")
    shape = (*x.shape[: axis - 1], 1, *x.shape[axis - 1 :])
    return move(draft, x, np.arange(math.prod(shape)).reshape(shape))


def move(
    draft: Draft, x: Signal, index: np.ndarray[Any, Any], rigid: str = "", along: tuple[int, ...] | None = None
) -> Signal:
    """A node whose entries are those of ``x`` at ``index``; ``x`` itself if nothing moves."""
    if index.shape == x.shape and np.array_equal(index.ravel(), np.arange(index.size)):
        return x
    return draft.affine(index.shape, (x, Selection(index.astype(np.intp), x.shape)), rigid=rigid, along=along)


def axis_of(draft: Draft, x: Signal, dim: int) -> int:
    """An axis counted from the front, the batch being 0."""
    axis = dim + len(x.size) if dim < 0 else dim
    if not 0 <= axis < len(x.size):
        draft.refuse(f"axis {dim} does not exist in a tensor with {len(x.size)} axes")
    return axis


def size(draft: Draft, x: Signal, dim: int | None = None) -> Any:
    """``x.size()`` and ``x.size(dim)``."""
    return x.size if dim is None else x.size[axis_of(draft, x, dim)]


def attribute(draft: Draft, x: Signal, name: str) -> Any:
    """``x.shape`` and what else a tensor tells about itself."""
    known: dict[str, Any] = {
        "shape": x.size,
        "ndim": len(x.size),
        "dtype": torch.float64,
        "device": torch.device("cpu"),
    }
    if name not in known:
        draft.refuse(f"the attribute '{name}' of a tensor is not read; only {', '.join(known)} are")
    return known[name]
