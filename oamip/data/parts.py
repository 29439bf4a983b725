"""One data set in three disjoint parts, as plain arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oamip.errors import DataError

__all__ = ["PARTS", "Data", "Split"]

_ROLES = {
    "train": "trains, refits and fine-tunes",
    "score": "scores; neither trains nor reports",
    "test": "reports",
}
PARTS = tuple(_ROLES)


@dataclass(frozen=True, eq=False)
class Split:
    """One part of the data.

    Args:
        x: samples, float32, (n, *shape).
        y: class labels, int64, (n,); or regression targets, float32, (n, k); or ``None``.
    """

    x: NDArray[np.float32]
    y: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return self.x.shape[1:]

    @property
    def labelled(self) -> bool:
        """Whether ``y`` holds class labels."""
        return self.y is not None and self.y.ndim == 1

    def take(self, index: NDArray[np.int64]) -> Split:
        """The samples at these places."""
        return Split(self.x[index], None if self.y is None else self.y[index])


@dataclass(frozen=True, eq=False)
class Data:
    """Three disjoint parts of one data set.

    Args:
        train: trains; refit and fine-tuning use it too.
        score: what importance scores are computed on; neither training nor reporting uses it.
        test: what accuracies are reported on.
        name: shown in reports.
        classes: number of classes; ``None`` for regression or no labels.
        note: how the parts came to be.
        mean, std: what the samples were normalised with, one number or one per channel (`normalised`); empty if they
            are as they were given.
    """

    train: Split
    score: Split
    test: Split
    name: str = "data"
    classes: int | None = None
    note: str = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @property
    def regression(self) -> bool:
        """Whether the parts have real targets."""
        return self.train.y is not None and not self.train.labelled

    def describe(self) -> str:
        """The name and what is known of the labels, then one line per part: its size and what it is for."""
        if self.classes is not None:
            labels = f"{self.classes} classes"
        else:
            labels = "no labels" if self.train.y is None else "regression"
        lines = [f"{self.name}: {labels}" + (f"; {self.note}" if self.note else "")]
        for part, role in _ROLES.items():
            split: Split = getattr(self, part)
            lines.append(f"  {part:<5}  {len(split):,} samples of shape {split.shape}  {role}")
        return "\n".join(lines)

    def normalised(self, mean: float | Sequence[float] = 0.0, std: float | Sequence[float] = 1.0) -> Data:
        """The same data with samples (x − mean) / std, as a network was trained on them.

        The importance program with ``bounds="intact"`` measures its box in the numbers before: pixels.

        Args:
            mean: one number, or one for each channel (the first axis of a sample).
            std: likewise, positive.

        Raises:
            DataError: they do not fit the channels, std is not positive, or the data is normalised already.
        """
        if self.mean or self.std:
            raise DataError(f"{self.name}: the samples are normalised already, by {_shown(self.mean, self.std)}")
        shift, scale = (_numbers(value, word, self) for word, value in (("mean", mean), ("std", std)))
        if not all(0 < number < math.inf for number in scale):
            raise DataError(f"{self.name}: std must be positive, not {min(scale):g}")
        columns = (-1, *(1 for _ in self.train.shape[1:]))
        m, s = (np.array(numbers, dtype=np.float32).reshape(columns) for numbers in (shift, scale))
        same = self._each(lambda x: (x - m) / s)
        return replace(same, mean=shift, std=scale, note=_joined(self.note, f"normalised by {_shown(shift, scale)}"))

    def reshaped(self, shape: Sequence[int]) -> Data:
        """The same data with samples of another shape, where only axes are merged, split or of length 1.

        Raises:
            DataError: the number of entries differs, or axes would have to trade places.
        """
        before, after = self.train.shape, tuple(shape)
        if before == after:
            return self
        if math.prod(before) != math.prod(after):
            raise DataError(f"'{self.name}' has samples of shape {before}, the network takes {after}; give others")
        if not _nested(before, after):
            raise DataError(
                f"'{self.name}' has samples of shape {before}, the network takes {after}: as many numbers, in an order "
                "that cannot be guessed; bring the axes into the network's order first, as in x.transpose(0, 2, 3, 1)"
            )
        same = self._each(lambda x: x.reshape(len(x), *after))
        return replace(same, note=_joined(self.note, f"samples reshaped from {before} to {after}"))

    def _each(self, change: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> Data:
        train, score, test = (Split(change(split.x), split.y) for split in (self.train, self.score, self.test))
        return replace(self, train=train, score=score, test=test)


def _numbers(value: float | Sequence[float], word: str, data: Data) -> tuple[float, ...]:
    numbers = tuple(float(number) for number in np.atleast_1d(np.asarray(value, dtype=np.float64)).ravel())
    channels = data.train.shape[0]
    if len(numbers) not in (1, channels) or not all(map(math.isfinite, numbers)):
        raise DataError(
            f"{data.name}: {word} is {', '.join(f'{n:g}' for n in numbers)}; give one number, or one for each of "
            f"{channels} channels"
        )
    return numbers


def _nested(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether the axes of one shape are neighbouring axes of the other merged, so that no order is at stake."""
    ends = [{math.prod(shape[at:]) for at in range(len(shape))} | {1} for shape in (one, other)]
    return ends[0] <= ends[1] or ends[1] <= ends[0]


def _shown(mean: Sequence[float], std: Sequence[float]) -> str:
    texts = (" ".join(f"{number:g}" for number in numbers) for numbers in (mean, std))
    return "mean {}, std {}".format(*texts)


def _joined(note: str, more: str) -> str:
    return f"{note}; {more}" if note else more
