"""A session: one standard form that is solved, changed a little, and solved again.

`Session` itself solves from scratch every time and serves any solver that is one function from form and options to an
outcome. Drivers that keep their model in memory override the methods that change it, and call these as well, so that
`Session.form` is always what is being solved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from oamip.options import Options
from oamip.program import Span, StandardForm
from oamip.solving.outcome import Outcome

__all__ = ["Session"]

Vector: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.intp]


class Session:
    """Solve a form again and again, from scratch each time.

    Args:
        form: the form at first; it is never changed in place.
        options: the options of every solve, unless a solve overrides some.
        run: solves one form; may be left out by subclasses that override `solve`.
    """

    def __init__(
        self, form: StandardForm, options: Options, run: Callable[[StandardForm, Options], Outcome] | None = None
    ) -> None:
        self.options = options
        self._form = form
        self._added = _Rows.none(form.shape[1])
        self._stacked: StandardForm | None = form
        self._start = options.start
        self._run = run

    @property
    def form(self) -> StandardForm:
        """The form with everything added and changed so far; added rows come last, under the name ``added``."""
        if self._stacked is None:
            self._stacked = self._added.below(self._form)
        return self._stacked

    def solve(self, **changes: Any) -> Outcome:
        """Solve the form as it stands; ``changes`` override fields of the options for this once."""
        if self._run is None:
            raise NotImplementedError(f"{type(self).__name__} overrides neither `run` nor `solve`")
        return self._run(self.form, self.options.with_(**{"start": self._start, **changes}))

    def add_rows(self, R: sp.csr_array, lower: Vector, upper: Vector) -> None:
        """Add rows ``lower ≤ R x ≤ upper``; R is (rows, columns)."""
        self._added = self._added.plus(R, lower, upper)
        self._stacked = None

    def drop_rows(self, which: Indices) -> None:
        """Take added rows out again; ``which`` counts added rows only, from 0, and those behind move up."""
        self._added = self._added.without(which)
        self._stacked = None

    def set_bounds(self, columns: Indices, lower: Vector, upper: Vector) -> None:
        """New bounds for some columns."""
        low, high = self._form.column_lower.copy(), self._form.column_upper.copy()
        low[columns], high[columns] = lower, upper
        self._change(column_lower=low, column_upper=high)

    def set_integer(self, integer: NDArray[np.bool_]) -> None:
        """Which columns must be integer; all ``False`` is the linear relaxation."""
        self._change(integer=integer)

    def set_objective(self, cost: Vector, constant: float = 0.0) -> None:
        """A new objective in the same sense."""
        self._change(cost=cost, constant=constant)

    def _change(self, **fields: Any) -> None:
        self._form = replace(self._form, **fields)
        self._stacked = None

    def set_start(self, x: Vector | None) -> None:
        """The first point of the solves to come (NaN: unknown), or none."""
        self._start = x

    def restart(self) -> None:
        """Forget bases and everything else that makes the next solve a warm one; the model stays."""

    def close(self) -> None:
        """Give the model back; the session cannot be used afterwards."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True)
class _Rows:
    """Rows in pieces: joined only when somebody wants to see them."""

    pieces: tuple[tuple[sp.csr_array, Vector, Vector], ...]
    width: int

    @classmethod
    def none(cls, width: int) -> _Rows:
        return cls((), width)

    def plus(self, R: sp.csr_array, lower: Vector, upper: Vector) -> _Rows:
        return _Rows((*self.pieces, (R, lower, upper)), self.width)

    def without(self, which: Indices) -> _Rows:
        R, lower, upper = self.joined()
        keep = np.ones(lower.size, dtype=bool)
        keep[which] = False
        return _Rows(((R[keep], lower[keep], upper[keep]),), self.width)

    def joined(self) -> tuple[sp.csr_array, Vector, Vector]:
        if not self.pieces:
            return sp.csr_array((0, self.width)), np.empty(0), np.empty(0)
        matrices, lowers, uppers = zip(*self.pieces, strict=True)
        return sp.vstack(matrices, format="csr"), np.concatenate(lowers), np.concatenate(uppers)

    def below(self, form: StandardForm) -> StandardForm:
        R, lower, upper = self.joined()
        return replace(
            form,
            A=sp.vstack([form.A, R], format="csr"),
            row_lower=np.concatenate([form.row_lower, lower]),
            row_upper=np.concatenate([form.row_upper, upper]),
            rows=(*form.rows, Span("added", form.shape[0], (lower.size,))) if lower.size else form.rows,
        )
