"""Check a point against a standard form: nothing that a solver says is believed unchecked.

A row ``lower ≤ a x ≤ upper`` counts as satisfied when it is violated by at most ``tolerance · max(1, |a|·|x|)``: the
rounding of the row itself grows with the size of its terms. Bounds and epigraphs are judged the same way, integers by
their distance from the nearest integer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.program.form import StandardForm

__all__ = ["Verdict", "check"]

Vector: TypeAlias = NDArray[np.float64]

TOLERANCE = 1e-6
INFINITE = 1e20  # from here on a number stands for none, as solvers have it


@dataclass(frozen=True)
class Verdict:
    """The largest violations, relative to what is allowed for, and the name of the worst place.

    All five are scaled so that ``≤ tolerance`` means satisfied; ``worst`` is empty when nothing is violated at all.
    """

    rows: float
    bounds: float
    integers: float
    epigraphs: float
    logic: float
    worst: str
    tolerance: float

    @property
    def violation(self) -> float:
        """The largest of the five; ``logic`` is that of indicators and SOS1 sets."""
        return float(np.max([self.rows, self.bounds, self.integers, self.epigraphs, self.logic]))  # NaN if any is

    @property
    def accepted(self) -> bool:
        """True when every violation is within the tolerance; a NaN anywhere is refused."""
        return bool(self.violation <= self.tolerance)


def check(form: StandardForm, x: Vector, *, tolerance: float = TOLERANCE, integrality: float = TOLERANCE) -> Verdict:
    """Judge a point ``x`` (one number per column).

    ``integrality`` is the largest distance from an integer that counts as integer; it is scaled onto ``tolerance``.
    """
    if x.shape != form.cost.shape:
        return _hopeless(f"the shape of the point, {x.shape} for {form.shape[1]} columns,", tolerance)
    if not (np.abs(x) < INFINITE).all():  # nor is NaN
        return _hopeless("a value that is not finite", tolerance)
    activity, scale = form.A @ x, np.maximum(1.0, abs(form.A) @ np.abs(x))
    excess = {
        "row": np.maximum(form.row_lower - activity, activity - form.row_upper) / scale,
        "column": np.maximum(form.column_lower - x, x - form.column_upper) / np.maximum(1.0, np.abs(x)),
        "integer": np.where(form.integer, np.abs(x - np.round(x)), 0.0) * (tolerance / integrality),
    }
    curved, logical = {}, {}
    for epigraph in form.epigraphs:
        size = np.maximum(1.0, abs(epigraph.T) @ np.abs(x) + np.abs(epigraph.arguments(x)).max(axis=1))
        excess_ = epigraph.excess(x) / size
        curved[f"epigraph {epigraph.name}"] = np.where(np.isnan(excess_), np.inf, excess_)
    for indicator in form.indicators:
        logical[f"indicator {indicator.name}"] = indicator.excess(x) / np.maximum(1.0, abs(indicator.R) @ np.abs(x))
    for sos1 in form.sos1:
        logical[f"SOS1 set {sos1.name}"] = sos1.excess(x) / np.maximum(1.0, np.abs(x[sos1.members]).max(axis=1))
    largest = {kind: float(values.max(initial=0.0)) for kind, values in excess.items()}
    return Verdict(
        largest["row"],
        largest["column"],
        largest["integer"],
        _largest(curved),
        _largest(logical),
        _worst(form, excess, curved | logical),
        tolerance,
    )


def _hopeless(what: str, tolerance: float) -> Verdict:
    return Verdict(np.inf, np.inf, np.inf, np.inf, np.inf, what, tolerance)


def _largest(violations: dict[str, Vector]) -> float:
    return max((float(values.max(initial=0.0)) for values in violations.values()), default=0.0)


def _worst(form: StandardForm, excess: dict[str, Vector], atoms: dict[str, Vector]) -> str:
    best, place = 0.0, ""
    for kind, values in excess.items():
        if values.size and values.max() > best:
            position = int(values.argmax())
            best = float(values[position])
            name = form.row_name(position) if kind == "row" else form.column_name(position)
            place = f"{kind} {name}"
    for name, values in atoms.items():
        if values.size and values.max() > best:
            best, place = float(values.max()), f"{name}[{int(values.argmax())}]"
    return place
