"""The best checked point of a cut loop."""

from __future__ import annotations

import math

import numpy as np

from oamip.program import StandardForm, check
from oamip.solving.epigraphs import Epigraphs, Point

__all__ = ["Incumbent"]


GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0
TOLERANCE = 1e-7
STEPS = 10  # of the golden section search: the best place on the segment to about 1 %


class Incumbent:
    """Collects points, raises them onto the epigraphs and keeps the best one that passes our check.

    Attributes:
        point: the best point so far, or ``None``.
        value: its objective, turned so that less is better; ``inf`` when there is none.
    """

    def __init__(self, form: StandardForm, epigraphs: Epigraphs) -> None:
        self.point: Point | None = None
        self.value = math.inf
        self._form, self._epigraphs = form, epigraphs
        self._sign = 1.0 if form.sense == "min" else -1.0

    def offer(self, point: Point) -> bool:
        """Take the raised point if it is better and passes the check; integers are rounded first."""
        if self._form.integer.any():
            rounded = np.where(self._form.integer, np.round(point.x), point.x)
            point = self._epigraphs.at(rounded)
        x = self._epigraphs.raised(point)
        value = self._sign * self._form.objective(x)
        if not value < self.value or not check(self._form, x).accepted:
            return False
        self.point, self.value = self._epigraphs.at(x), value
        return True

    def search(self, target: Point) -> None:
        """Offer the best point between the incumbent and ``target``.

        The raised objective is convex along the segment, so a golden section search finds its least value. Only for
        linear rounds: between two points of different integers lies none.
        """
        if self.point is None:
            self.offer(target)
            return
        low, high = 0.0, 1.0
        left, right = 1.0 - GOLDEN, GOLDEN
        at_left, at_right = self._value_at(target, left), self._value_at(target, right)
        for _ in range(STEPS):
            if at_left < at_right:
                high, right, at_right = right, left, at_left
                left = low + (1.0 - GOLDEN) * (high - low)
                at_left = self._value_at(target, left)
            else:
                low, left, at_left = left, right, at_right
                right = low + GOLDEN * (high - low)
                at_right = self._value_at(target, right)
        best = left if at_left < at_right else right
        here = self.point
        self.offer(target)
        self.offer(here.towards(target, best))

    def _value_at(self, target: Point, share: float) -> float:
        """The raised objective on the way to ``target``; ``inf`` where raising does not reach the epigraphs."""
        assert self.point is not None
        between = self.point.towards(target, share)
        if self._epigraphs.unreached(between, TOLERANCE):
            return math.inf
        return self._sign * self._form.objective(self._epigraphs.raised(between))
