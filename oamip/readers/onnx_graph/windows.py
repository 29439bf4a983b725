"""Where the windows of convolutions and pools lie: kernel, stride, padding and dilation along each axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oamip.readers.onnx_graph.draft import Draft, Shape, Signal

__all__ = ["AUTO_PADS", "Axis", "Options", "axes_of", "channels_first", "positions"]


AUTO_PADS = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")


@dataclass(frozen=True)
class Axis:
    """Windows along one axis.

    Args:
        size: number of entries.
        kernel, stride, dilation: as usual.
        before, after: padding.
        length: number of windows.
    """

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int
    length: int

    def entries(self) -> NDArray[np.intp]:
        """(length, kernel): positions that each window looks at, outside of 0 … size − 1 in the padding."""
        return np.arange(self.length)[:, None] * self.stride - self.before + np.arange(self.kernel) * self.dilation


@dataclass(frozen=True)
class Options:
    """The attributes that convolutions and pools share, as ONNX has them."""

    auto_pad: str
    pads: Sequence[int] | None
    strides: Sequence[int] | None
    dilations: Sequence[int] | None
    ceil_mode: int = 0


def channels_first(draft: Draft, x: Signal) -> Shape:
    """(channels, *spatial) of a tensor (1, channels, *spatial)."""
    if len(x.sizes) < 3:
        draft.refuse(f"its input has sizes {x.sizes}; it needs a batch, channels and at least one more axis")
    if x.sizes[0] != 1:
        draft.refuse(f"its input holds {x.sizes[0]} samples at once; export with a batch of one, or a symbolic one")
    return x.sizes[1:]


def axes_of(
    draft: Draft,
    sizes: Shape,
    kernel: Sequence[int],
    options: Options,
) -> tuple[Axis, ...]:
    """The windows along each spatial axis.

    With ``ceil_mode``, no window starts in the padding behind the input.
    """
    count = len(sizes)
    steps, spread = options.strides or [1] * count, options.dilations or [1] * count
    padding, auto_pad = options.pads or [0] * 2 * count, options.auto_pad
    if not len(kernel) == len(steps) == len(spread) == len(padding) / 2 == count:
        draft.refuse(f"its kernel, strides, pads or dilations do not fit {count} spatial axes")
    if min(*kernel, *steps, *spread) < 1 or min(padding) < 0:
        draft.refuse("its kernel, strides and dilations must be positive, and its pads not negative")
    if auto_pad not in AUTO_PADS or (auto_pad != "NOTSET" and any(padding)):
        draft.refuse(f"auto_pad={auto_pad} with pads={padding} is not read; give one of the two")
    result = []
    for axis in range(count):
        size, stride, extent = sizes[axis], steps[axis], spread[axis] * (kernel[axis] - 1) + 1
        before, after = padding[axis], padding[count + axis]
        if auto_pad.startswith("SAME"):
            total = max((-(-size // stride) - 1) * stride + extent - size, 0)
            before = total // 2 if auto_pad == "SAME_UPPER" else total - total // 2
            after = total - before
        span = size + before + after - extent
        if span < 0:
            draft.refuse(f"its window of {extent} does not fit an axis of {size} with its padding")
        upwards = bool(options.ceil_mode) and auto_pad == "NOTSET"
        length = (-(-span // stride) if upwards else span // stride) + 1
        length -= upwards and (length - 1) * stride >= size + before
        result.append(Axis(size, kernel[axis], stride, spread[axis], before, after, length))
    return tuple(result)


def positions(draft: Draft, axes: Sequence[Axis]) -> NDArray[np.intp]:
    """(windows, entries): flat positions in the array that the windows of all axes look at, −1 for padding."""
    draft.reserve([axis.length * axis.kernel for axis in axes])
    flat = np.zeros((1, 1), dtype=np.intp)
    for axis in axes:
        rows = axis.entries()
        rows = np.where((rows >= 0) & (rows < axis.size), rows, -1)
        before, after = flat[:, None, :, None], rows[None, :, None, :]
        joined = np.where((before >= 0) & (after >= 0), before * axis.size + after, -1)
        flat = joined.reshape(len(flat) * axis.length, -1)
    return flat
