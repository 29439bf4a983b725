"""The unit of the objective: costs far from 1 are divided by a power of two before any solver sees them.

Tolerances of solvers are absolute numbers in units of the objective: where every cost is 1e-8, anything is optimal, and
costs of 1e12 meet what a solver takes for infinite. So a solver is given ``(cᵀx + c₀) / unit``, and gaps, stops,
bounds and progress are translated on the way in and out. A power of two rounds nothing. Costs between 1 and 1024 are
left as they are, so that logs show the objective that was written.

The cut loop needs this too: with costs of 1/samples the dual simplex method cycled for 15 s and more, or ended with
dual infeasibilities, near the optimum of cross-entropy programs; with costs of 1 it did in none of these runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.options import Options, Progress
from oamip.program import StandardForm
from oamip.solving.driver import Support
from oamip.solving.outcome import Outcome

__all__ = ["Scale", "gap_absolute", "unit_of"]

Vector: TypeAlias = NDArray[np.float64]

LARGE = 2.0**10  # larger costs are brought down to it
FINE = 2.0**-13  # unless that would bring the smallest below this one, which is still seen beside tolerances of 1e-7


def unit_of(cost: Vector) -> float:
    """The power of two by which an objective of these costs is divided."""
    sizes = np.abs(cost[cost != 0])
    if not sizes.size or not np.isfinite(sizes).all():
        return 1.0
    largest, smallest = float(sizes.max()), float(sizes.min())
    if largest < 1.0:
        return 2.0 ** math.floor(math.log2(largest))
    # Beside a penalty of 1e12 the ordinary costs must not vanish.
    too_large = min(math.log2(largest) - math.log2(LARGE), math.log2(smallest) - math.log2(FINE))
    return 2.0 ** max(0, math.ceil(too_large) if largest > LARGE else 0)


@dataclass(frozen=True)
class Scale:
    """A program in another unit of its objective, and what is said of it in either unit.

    Args:
        unit: of the objective; 1 changes nothing.
    """

    unit: float

    @classmethod
    def of(cls, form: StandardForm, options: Options, support: Support) -> Scale:
        """The scale at which a solver is given a form.

        A raw option that is a value of the objective means what the user wrote: with one of them nothing is scaled.
        """
        return cls(1.0 if support.objective_options & options.raw.keys() else unit_of(form.cost))

    def form(self, form: StandardForm) -> StandardForm:
        """The form as the solver sees it."""
        if self.unit == 1.0:
            return form
        return replace(form, cost=form.cost / self.unit, constant=form.constant / self.unit)

    def options(self, options: Options) -> Options:
        """The options as the solver sees them."""
        if self.unit == 1.0:
            return options
        good, far, tell = options.stop_at_objective, options.stop_at_bound, options.progress
        return options.with_(
            gap_absolute=gap_absolute(options, self.unit) / self.unit,
            stop_at_objective=None if good is None else good / self.unit,
            stop_at_bound=None if far is None else far / self.unit,
            progress=None if tell is None else self._telling(tell),
        )

    def outcome(self, outcome: Outcome) -> Outcome:
        """What the solver claims, in the user's unit."""
        if self.unit == 1.0:
            return outcome
        duals = None if outcome.duals is None else outcome.duals * self.unit
        return replace(outcome, bound=outcome.bound * self.unit, duals=duals)

    def _telling(self, tell: Callable[[Progress], bool | None]) -> Callable[[Progress], bool | None]:
        return lambda told: tell(replace(told, objective=told.objective * self.unit, bound=told.bound * self.unit))


def gap_absolute(options: Options, unit: float) -> float:
    """The absolute gap that is asked for; the default, 1e-9, shrinks with the costs, and any other does not."""
    asked = options.gap_absolute
    return asked * min(1.0, unit) if asked == Options.gap_absolute else asked
