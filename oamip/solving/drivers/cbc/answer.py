"""The files that CBC leaves behind: why it stopped, in words, and its point, in full precision."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Point", "read_point", "read_status"]

Vector: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Point:
    """Values of the columns, and duals of the rows in the file."""

    x: Vector
    duals: Vector


def read_status(path: Path) -> str:
    """The words before the objective value in the first line; empty when CBC wrote no file, which is how it fails."""
    if not path.is_file():
        return ""
    with path.open(encoding="utf-8", errors="replace") as lines:
        return lines.readline().partition(" - objective value")[0].strip()


def read_point(path: Path, rows: int, columns: int) -> Point | None:
    """The point, or ``None`` when the file is not there or not whole.

    The file holds two integers (rows, columns), then doubles: the objective, activities and duals of the rows, values
    and reduced costs of the columns. The readable file beside it rounds to eight digits.
    """
    if not path.is_file():
        return None
    content = path.read_bytes()
    if len(content) != 8 + 8 * (1 + 2 * rows + 2 * columns):
        return None
    if np.frombuffer(content, dtype=np.int32, count=2).tolist() != [rows, columns]:
        return None
    numbers = np.frombuffer(content, dtype=np.float64, offset=8)[1:]
    return Point(x=numbers[2 * rows : 2 * rows + columns].copy(), duals=numbers[rows : 2 * rows].copy())
