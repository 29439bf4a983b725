"""What a user has in memory becomes a `Data`: arrays, a mapping of them, a torch Dataset or DataLoader."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oamip.data.check import array_of, checked, split_of
from oamip.data.parts import PARTS, Data, Split
from oamip.data.split import divided, with_score
from oamip.errors import DataError

__all__ = ["as_data"]


def as_data(obj: Any, *, seed: int = 0, name: str = "data") -> Data:
    """Make three parts out of what a user has.

    Numbers are taken as they are (no scaling); a part that is missing is split off by seed, stratified by class, and
    `Data.describe` says so.

    Args:
        obj: a `Data`; a tuple ``(x, y)`` of arrays or tensors; ``x`` alone; a torch Dataset or DataLoader of ``(x, y)``
            pairs or of ``x``; a mapping ``train``, ``test`` and maybe ``score`` to any of these; or a mapping with the
            array names of an npz file (see `load`).
        seed: of the split.
        name: for reports; a `Data` keeps its own.

    Raises:
        DataError: NaN or infinity in x, lengths that differ, labels that are negative or out of range, an
            empty part, or an object of another kind.
    """
    if isinstance(obj, Data):
        parts = {part: _part(getattr(obj, part), seed, f"{obj.name}: {part}") for part in PARTS}
        same = checked(parts, obj.name, obj.note, obj.classes)
        return replace(same, mean=obj.mean, std=obj.std)
    if isinstance(obj, Mapping) and {"train", "test"} <= set(obj) <= set(PARTS):
        return _from_parts({part: _part(value, seed, f"{name}: {part}") for part, value in obj.items()}, seed, name)
    if isinstance(obj, Mapping):
        return _from_arrays(obj, seed, name)
    return divided(_part(obj, seed, name), seed, name)


def _part(obj: Any, seed: int, place: str) -> Split:
    """One part, of whatever kind it is."""
    if isinstance(obj, Split):
        return split_of(obj.x, obj.y, place)
    if isinstance(obj, list) and len(obj) == 2 and np.ndim(obj[0]) > np.ndim(obj[1]) > 0:
        obj = tuple(obj)  # [x, y]: two samples in a list would have one shape
    if isinstance(obj, tuple):
        if len(obj) != 2:
            raise DataError(f"{place}: a tuple of {len(obj)} was given; give (x, y)")
        return split_of(obj[0], obj[1], place)
    return split_of(*_samples(obj, seed, place), place)


def _from_parts(parts: Mapping[str, Split], seed: int, name: str) -> Data:
    """Three parts, or two, of which the training part then gives some away for scoring."""
    if "score" in parts:
        return checked(parts, name, "all three parts given")
    return with_score(parts["train"], parts["test"], seed, name)


def _from_arrays(arrays: Mapping[str, Any], seed: int, name: str) -> Data:
    """Arrays by the names of an npz file; those that are absent are split off."""
    known = {f"{axis}_{part}" for axis in "xy" for part in PARTS}
    given = set(arrays)
    if given <= {"x", "y"} and "x" in given:
        return divided(split_of(arrays["x"], arrays.get("y"), name), seed, name)
    if not given <= known or not {"x_train", "x_test"} <= given:
        raise DataError(
            f"{name}: the arrays are {', '.join(sorted(map(str, given))) or 'none'}; "
            "give x_train, y_train, x_test, y_test (and x_score, y_score), or x, y, or train and test"
        )
    parts = {
        part: split_of(arrays[f"x_{part}"], arrays.get(f"y_{part}"), f"{name}: {part}")
        for part in PARTS
        if f"x_{part}" in given
    }
    return _from_parts(parts, seed, name)


def _samples(obj: Any, seed: int, name: str) -> tuple[Any, Any]:
    """Samples and labels of a torch Dataset or DataLoader; samples alone of anything that is an array."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(obj, torch.utils.data.DataLoader):
        with torch.random.fork_rng(devices=[]):  # a shuffling loader draws from the global generator
            torch.manual_seed(seed)
            return _joined(list(obj), np.concatenate, name)
    if torch is not None and isinstance(obj, torch.utils.data.IterableDataset):
        return _joined(list(obj), np.stack, name)
    if torch is not None and isinstance(obj, torch.utils.data.Dataset):
        return _joined([obj[i] for i in range(len(obj))], np.stack, name)
    return obj, None


def _joined(items: list[Any], join: Callable[[list[NDArray[Any]]], NDArray[Any]], name: str) -> tuple[Any, Any]:
    if not items:
        raise DataError(f"{name}: the data set is empty; give at least one sample")
    paired = isinstance(items[0], (tuple, list))
    if paired and len(items[0]) not in (1, 2):
        raise DataError(f"{name}: the data set yields tuples of {len(items[0])}; let it yield (x, y)")
    columns = list(zip(*items, strict=True)) if paired else [tuple(items)]
    try:
        arrays = [join([array_of(value, name) for value in column]) for column in columns]
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{name}: the samples do not form one array ({error}); give them all the same shape") from None
    return arrays[0], arrays[1] if len(arrays) == 2 else None
