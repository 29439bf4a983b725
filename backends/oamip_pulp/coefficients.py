"""The numbers in a problem: PuLP checks some when they are given, and none when they are changed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.errors import InputError

__all__ = ["coefficients", "is_number"]

Vector: TypeAlias = NDArray[np.float64]


def is_number(value: Any) -> bool:
    """True for what is, or becomes, a finite float."""
    try:
        return math.isfinite(value)
    except TypeError:
        return False


def coefficients(expressions: Sequence[Any], place: Callable[[int], str]) -> Vector:
    """The coefficients of all expressions, one behind the other.

    Raises:
        InputError: one of them is no finite number; the message says where it stands, ``place(i)``, and on what.
    """
    try:
        found = np.fromiter(chain.from_iterable(map(dict.values, expressions)), dtype=np.float64)
    except (TypeError, ValueError):
        found = np.array([np.nan])
    if np.isfinite(found).all():
        return found
    for i, expression in enumerate(expressions):
        for variable, value in expression.items():
            if not is_number(value):
                raise InputError(f"{place(i)} has {value!r} times '{variable.name}'; give it a finite number")
    raise InputError(f"{place(0)} and those after it have a coefficient that is not a finite number")
