"""One data set in three disjoint parts, as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    """

    train: Split
    score: Split
    test: Split
    name: str = "data"
    classes: int | None = None
    note: str = ""

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
