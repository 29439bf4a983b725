"""How a form reaches a solver: what it knows as it is, other logic bridged, other epigraphs by the cut loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.errors import InputError
from oamip.options import Options, Progress
from oamip.program import StandardForm, read_only
from oamip.program.bridges import Lowered, Step, lower
from oamip.solving.cutloop import solve_with_cuts
from oamip.solving.driver import Driver, unsupported
from oamip.solving.outcome import Outcome, well_formed
from oamip.solving.scale import Scale

__all__ = ["Routed", "route"]

LOGIC = frozenset({"indicator", "sos1"})

Vector: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Routed:
    """What a solver claims about a form, how often it was called, and how each atom reached it."""

    outcome: Outcome
    rounds: int
    steps: tuple[Step, ...]

    @property
    def curved(self) -> tuple[str, ...]:
        """Names of the convex functions that the solver took as they are."""
        return tuple(step.atom for step in self.steps if step.way == "native" and step.kind not in LOGIC)


def route(form: StandardForm, driver: Driver, options: Options, *, cut: bool = False) -> Routed:
    """Solve a form; with ``cut``, convex functions go through the cut loop even if the solver knows them.

    The solver is given arrays that it cannot write to, since our check reads the same ones afterwards.

    Raises:
        InputError: the form has integers and the solver takes none, or an atom that cannot be bridged.
    """
    support, integer = driver.support, bool(form.integer.any())
    if integer and not support.integer:
        count = int(form.integer.sum())
        raise InputError(f"solver '{driver.name}' takes no integers and the program has {count}; name another solver")
    accepted = support.atoms if options.native_atoms else frozenset()
    accepted = accepted & LOGIC if cut else accepted
    lowered = lower(form, accepted)
    options = _lowered(options, lowered)
    scale = Scale.of(lowered.form, options, support)
    scaled, options = read_only(scale.form(lowered.form)), scale.options(options)
    integer = bool(scaled.integer.any())
    if scaled.curves <= accepted:
        with driver.open(scaled, options) as session:
            outcome, rounds = well_formed(scaled, session.solve()), 1
        missing = unsupported(driver.name, support, options, integer=integer)
    else:
        refined = solve_with_cuts(scaled, driver, options)
        outcome, rounds = replace(refined.outcome, duals=None), refined.rounds  # of rows and of tangents
        # The loop itself brings the start, the gap, progress and stops at an objective.
        only = Options(
            node_limit=options.node_limit,
            memory_limit=options.memory_limit,
            threads=options.threads,
            seed=options.seed,
        )
        missing = unsupported(driver.name, support, only, integer=integer)
    outcome = scale.outcome(outcome)
    outcome = replace(
        outcome,
        x=None if outcome.x is None else _restored(outcome.x, lowered),
        duals=outcome.duals if lowered.form.shape == form.shape else None,
        points=tuple(_restored(x, lowered) for x in outcome.points),
        warnings=(*missing, *outcome.warnings),
    )
    return Routed(outcome, rounds, lowered.steps)


def _restored(x: Vector, lowered: Lowered) -> Vector:
    """A point of the form itself; one of the wrong length is left as it is, for the judge to refuse."""
    point = np.asarray(x, dtype=np.float64)
    return lowered.restore(point) if point.shape == lowered.form.cost.shape else point


def _lowered(options: Options, lowered: Lowered) -> Options:
    """The same options in the columns of the lowered form."""
    if lowered.form.shape[1] == lowered.width:
        return options
    start = None if options.start is None else lowered.extend(options.start)
    progress = None if options.progress is None else _restoring(options.progress, lowered)
    return options.with_(start=start, progress=progress)


def _restoring(tell: Callable[[Progress], bool | None], lowered: Lowered) -> Callable[[Progress], bool | None]:
    return lambda told: tell(replace(told, x=None if told.x is None else lowered.restore(told.x)))
