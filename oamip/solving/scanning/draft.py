"""A model while an LP file is read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import numpy as np
import scipy.sparse as sp

from oamip.errors import InputError
from oamip.program import Span, StandardForm

__all__ = ["Draft"]


class Draft:
    """Columns in the order in which they are first named, rows in the order of the file."""

    def __init__(self) -> None:
        self.sense: Literal["min", "max"] = "min"
        self.constant = 0.0
        self.columns: dict[str, int] = {}
        self.integer: dict[str, int] = {}  # and the line that says so
        self.binary: dict[str, int] = {}
        self._cost: dict[str, float] = {}
        self._bounds: dict[str, tuple[float, float]] = {}
        self._labels: list[str | None] = []
        self._sides: list[tuple[float, float]] = []
        self._values: list[float] = []
        self._indices: list[int] = []
        self._starts = [0]

    def add_cost(self, column: str, value: float) -> None:
        """Add to the cost of a column."""
        self.columns.setdefault(column, len(self.columns))
        self._cost[column] = self._cost.get(column, 0.0) + value

    def add_row(self, label: str | None, names: list[str], values: list[float], sign: str, side: float) -> None:
        """Add a row; coefficients of one column are added up, and those that are 0 only name their column."""
        columns = self.columns
        for name in names:
            if name not in columns:
                columns[name] = len(columns)
        indices = list(map(columns.__getitem__, names))
        if len(set(indices)) < len(indices) or 0.0 in values:
            row: dict[int, float] = {}
            for j, value in zip(indices, values, strict=True):
                row[j] = row.get(j, 0.0) + value
            indices, values = [j for j, value in row.items() if value], [value for value in row.values() if value]
        self._indices += indices
        self._values += values
        self._starts.append(len(self._values))
        self._labels.append(label)
        self._sides.append((side if sign != "<" else -math.inf, side if sign != ">" else math.inf))

    def bound(self, column: str, sign: str, value: float) -> None:
        """Set a bound in place of an earlier one of its side."""
        lower, upper = self._bounds.get(column, (0.0, math.inf))
        self._bounds[column] = (value if sign != "<" else lower), (value if sign != ">" else upper)

    def free(self, column: str) -> bool:
        """Take the bounds of a column away, if it has no upper one yet."""
        if self._bounds.get(column, (0.0, math.inf))[1] < math.inf:
            return False
        self._bounds[column] = -math.inf, math.inf
        return True

    def form(self, file: Path) -> StandardForm:
        """The model.

        Raises:
            InputError: a binary column has bounds beyond 0 and 1.
        """
        shape = (len(self._labels), len(self.columns))
        bounds = [self._bounds.get(column, (0.0, math.inf)) for column in self.columns]
        for column, line in self.binary.items():
            lower, upper = self._bounds.get(column, (0.0, 1.0))
            if math.isinf(upper) and lower == 0:
                upper = 1.0  # x >= 0 says nothing
            if not 0 <= lower <= upper <= 1:
                raise InputError(
                    f"{file}, line {line}: column '{column}' is binary, and has the bounds [{lower:g}, {upper:g}]; "
                    "some readers take these, others 0 and 1: take it out of Bounds, or list it under Generals"
                )
            bounds[self.columns[column]] = lower, upper
        sides = np.array(self._sides, dtype=np.float64).reshape(-1, 2)
        box = np.array(bounds, dtype=np.float64).reshape(-1, 2)
        return StandardForm(
            A=sp.csr_array((self._values, self._indices, self._starts), shape=shape, dtype=np.float64),
            row_lower=sides[:, 0].copy(),
            row_upper=sides[:, 1].copy(),
            column_lower=box[:, 0].copy(),
            column_upper=box[:, 1].copy(),
            integer=np.array([c in self.integer or c in self.binary for c in self.columns], dtype=np.bool_),
            cost=np.array([self._cost.get(column, 0.0) for column in self.columns], dtype=np.float64),
            constant=self.constant,
            sense=self.sense,
            columns=tuple(Span(name, j, ()) for j, name in enumerate(self.columns)),
            rows=tuple(Span(name, i, ()) for i, name in enumerate(self._names())),
        )

    def _names(self) -> list[str]:
        """Labels, and names such as ``c3`` for rows that have none."""
        taken, names = {label for label in self._labels if label is not None}, []
        for number, label in enumerate(self._labels, start=1):
            name = label or f"c{number}"
            while label is None and name in taken:
                name += "_"
            names.append(name)
        return names
