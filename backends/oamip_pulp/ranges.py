"""Rows with two different finite sides, which PuLP can only state twice."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Range"]


class Range(NamedTuple):
    """The two ``LpConstraint``s of one row; while both stand and agree in their expressions, they compile to one."""

    lower: Any
    upper: Any
