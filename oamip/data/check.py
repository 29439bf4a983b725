"""From anything to checked arrays, and to three parts that agree."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oamip.data.parts import Data, Split
from oamip.errors import DataError

__all__ = ["array_of", "checked", "split_of"]


def array_of(value: Any, place: str) -> NDArray[Any]:
    """Numbers as an array, from a tensor too, wherever it lies.

    Raises:
        DataError: these are no numbers, or they do not form one array.
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DataError(f"{place}: the samples do not form one array ({error}); give them all the same shape") from None
    if array.dtype.kind not in "biuf":
        raise DataError(f"{place}: an array of {array.dtype} was given; give numbers")
    return array


def split_of(x: Any, y: Any, place: str) -> Split:
    """Samples (n, *shape) and their labels, targets or ``None`` as a part in the types that `Split` promises.

    Raises:
        DataError: x is empty or not finite, y is neither labels nor targets, or their lengths differ.
    """
    samples = array_of(x, f"{place}: x")
    if samples.ndim < 2:
        raise DataError(f"{place}: x has shape {samples.shape}; give (n, *shape), for one feature x.reshape(-1, 1)")
    if not samples.size:
        raise DataError(f"{place}: x is empty, shape {samples.shape}; give at least one sample")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is refused below
        samples = np.ascontiguousarray(samples, dtype=np.float32)
    finite = np.isfinite(samples)
    if not finite.all():
        first = np.argwhere(~finite)[0]
        raise DataError(
            f"{place}: x holds NaN or infinity, {finite.size - np.count_nonzero(finite)} values, first in sample "
            f"{first[0]} at {tuple(map(int, first[1:]))}; remove or replace such samples"
        )
    if y is None:
        return Split(samples)
    targets = _targets(array_of(y, f"{place}: y"), place)
    if len(samples) != len(targets):
        raise DataError(f"{place}: x has {len(samples)} samples and y has {len(targets)}; give one label per sample")
    return Split(samples, targets)


def _targets(y: NDArray[Any], place: str) -> NDArray[Any]:
    if not np.isfinite(y).all():
        raise DataError(f"{place}: y holds NaN or infinity; remove those samples")
    if y.ndim == 2 and y.shape[1] > 1 and ((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all():
        raise DataError(f"{place}: y of shape {y.shape} is one-hot; give class numbers, y.argmax(1)")
    if y.dtype.kind == "f" and y.ndim == 2:
        return np.ascontiguousarray(y, dtype=np.float32)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise DataError(f"{place}: y has shape {y.shape} and type {y.dtype}; give labels (n,) or float targets (n, k)")
    labels = y.astype(np.int64)
    if (labels != y).any():  # one number to predict, and no class
        return np.ascontiguousarray(y, dtype=np.float32).reshape(-1, 1)
    if (labels < 0).any():
        raise DataError(f"{place}: label {labels.min()} is negative; number the classes from 0")
    return labels


def checked(parts: Mapping[str, Split], name: str, note: str, classes: int | None = None) -> Data:
    """The three parts as one `Data`, if each is sound and all agree.

    Raises:
        DataError: a part is not sound, the parts are of different shapes or kinds, or a label is out of range.
    """
    splits = {part: split_of(split.x, split.y, f"{name}: {part}") for part, split in parts.items()}
    train = splits["train"]
    for part, split in splits.items():
        if split.shape != train.shape:
            raise DataError(f"{name}: samples of {part} have shape {split.shape}, those of train {train.shape}")
        if (split.y is None, split.labelled) != (train.y is None, train.labelled):
            raise DataError(
                f"{name}: y of {part} and y of train are of different kinds; give labels in all parts or none"
            )
        if split.y is not None and train.y is not None and split.y.shape[1:] != train.y.shape[1:]:
            raise DataError(
                f"{name}: targets of {part} have shape {split.y.shape[1:]}, those of train {train.y.shape[1:]}"
            )
    if not train.labelled:
        classes = None
    else:
        highest = max(int(split.y.max()) for split in splits.values() if split.y is not None)
        classes = highest + 1 if classes is None else classes
        if highest >= classes:
            raise DataError(f"{name}: label {highest} is out of range for {classes} classes (0 to {classes - 1})")
    return Data(splits["train"], splits["score"], splits["test"], name, classes, note)
