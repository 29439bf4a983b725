"""Axis-parallel boxes of inputs, several at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oamip.errors import InputError

__all__ = ["Box"]

Array: TypeAlias = NDArray[np.float64]

_ROUNDING = 1e-5
"""How far a pixel may lie outside ``clamp``, as a part of its width: images are normalised in single precision."""


@dataclass(frozen=True, eq=False)
class Box:
    """n boxes: all x with ``lower ≤ x ≤ upper``.

    Args:
        lower, upper: (n, *shape), float64.

    Raises:
        InputError: the shapes differ, a number is not finite, or lower > upper somewhere; names the entry.
    """

    lower: Array
    upper: Array

    def __post_init__(self) -> None:
        if self.lower.shape != self.upper.shape or self.lower.ndim == 0:
            raise InputError(
                f"a box takes two arrays of one shape (n, …), not {self.lower.shape} and {self.upper.shape}"
            )
        finite = np.isfinite(self.lower) & np.isfinite(self.upper)
        if not finite.all():
            raise InputError(f"the box is not finite at entry {_first(~finite)}: {self._at(~finite)}")
        if (self.lower > self.upper).any():
            crossed = self.lower > self.upper
            raise InputError(f"the box is empty at entry {_first(crossed)}: {self._at(crossed)}")

    @staticmethod
    def of(lower: ArrayLike, upper: ArrayLike) -> Box:
        """Boxes from anything that reads as two arrays (n, *shape); equal arrays give points."""
        return Box(np.asarray(lower, dtype=np.float64), np.asarray(upper, dtype=np.float64))

    @staticmethod
    def around(
        x: ArrayLike,
        radius: ArrayLike,
        *,
        mean: ArrayLike | None = None,
        std: ArrayLike | None = None,
        clamp: tuple[float, float] | None = None,
    ) -> Box:
        """The ℓ∞ ball around each sample, measured in pixels.

        A pixel p enters the network as x = (p − mean) / std, so p ± r becomes x ± r / std, and the pixels' range
        [a, b] becomes [(a − mean) / std, (b − mean) / std].

        Args:
            x: (n, channels, …), as it enters the network.
            radius: in pixels, one number or an array that broadcasts to ``x``.
            mean: one number, or one per channel; default 0.
            std: likewise; default 1.
            clamp: range of a pixel, (0, 1) for images.

        Raises:
            InputError: the radius is negative, std not positive, mean or std do not fit the channels, or a sample is
                outside the range of pixels (then mean and std are not those it was normalised with).
        """
        centre = np.asarray(x, dtype=np.float64)
        if centre.ndim == 0:
            raise InputError("a box is built around samples (n, …), not around a single number")
        shift = _per_channel("mean", 0.0 if mean is None else mean, centre)
        scale = _per_channel("std", 1.0 if std is None else std, centre)
        reach = np.asarray(radius, dtype=np.float64)
        if not (scale > 0).all():
            raise InputError(f"std must be positive, not {np.min(scale):g}")
        if not (reach >= 0).all():
            raise InputError(f"the radius must not be negative, and is {np.min(reach):g}")
        lower, upper = centre - reach / scale, centre + reach / scale
        if clamp is not None:
            floor, ceiling = ((edge - shift) / scale for edge in clamp)
            outside = np.maximum(floor - centre, centre - ceiling) * scale > _ROUNDING * (clamp[1] - clamp[0])
            if outside.any():
                raise InputError(
                    f"the sample is outside the pixel range {clamp} at entry {_first(outside)}; give the mean and std "
                    "that it was normalised with"
                )
            # Rounding must not push the sample itself out of its box.
            lower = np.minimum(np.maximum(lower, floor), centre)
            upper = np.maximum(np.minimum(upper, ceiling), centre)
        return Box(lower, upper)

    def __len__(self) -> int:
        return len(self.lower)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return self.lower.shape[1:]

    def contains(self, x: ArrayLike) -> NDArray[np.bool_]:
        """For each box whether it contains its point; ``x`` is (n, *shape) or broadcasts to it."""
        points = np.asarray(x, dtype=np.float64)
        inside: NDArray[np.bool_] = (self.lower <= points) & (points <= self.upper)
        each: NDArray[np.bool_] = np.logical_and.reduce(inside.reshape(len(inside), -1), axis=1)
        return each

    def sample(self, rng: np.random.Generator, count: int) -> Array:
        """Uniform random points, (count, n, *shape): ``count`` of each box."""
        points = self.lower + rng.random((count, *self.lower.shape)) * (self.upper - self.lower)
        return np.clip(points, self.lower, self.upper)

    def _at(self, entries: NDArray[np.bool_]) -> str:
        place = _first(entries)
        return f"lower {self.lower[place]:g}, upper {self.upper[place]:g}"


def _first(entries: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(axis[0]) for axis in np.nonzero(entries))


def _per_channel(name: str, value: ArrayLike, x: Array) -> Array:
    """One number per channel, in the shape that broadcasts along axis 1 of ``x``."""
    array = np.asarray(value, dtype=np.float64)
    channels = x.shape[1] if x.ndim > 1 else 1
    if array.size != 1 and array.shape != (channels,):
        raise InputError(f"{name} has shape {array.shape}; give one number, or one for each of {channels} channels")
    return array.reshape(()) if array.size == 1 else array.reshape(-1, *(1 for _ in x.shape[2:]))
