"""Lower a form until it holds only atoms that a solver accepts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.errors import InputError
from oamip.program.bridges.base import Bridge
from oamip.program.bridges.draft import Draft
from oamip.program.bridges.indicator import IndicatorBigM, IndicatorSlack
from oamip.program.bridges.sos1 import SOS1BigM, SOS1Indicator
from oamip.program.form import StandardForm

__all__ = ["Lowered", "Step", "lower"]

Vector: TypeAlias = NDArray[np.float64]

BRIDGES: dict[str, tuple[Bridge, ...]] = {
    "indicator": (IndicatorBigM(), IndicatorSlack()),
    "sos1": (SOS1BigM(), SOS1Indicator()),
}


@dataclass(frozen=True)
class Step:
    """How one atom reaches the solver, and what that added to the form."""

    kind: str
    atom: str
    size: int
    way: str
    rows: int = 0
    columns: int = 0

    def __str__(self) -> str:
        added = [f"+{count} {what}" for count, what in ((self.rows, "rows"), (self.columns, "columns")) if count]
        return ", ".join([f"{self.kind} '{self.atom}' ({self.size} rows): {self.way}", *added])


@dataclass(frozen=True)
class Lowered:
    """A form that a solver accepts: its first ``width`` columns are those of the original."""

    form: StandardForm
    width: int
    steps: tuple[Step, ...]

    def restore(self, x: Vector) -> Vector:
        """A point of the original from one of the lowered form."""
        return x[: self.width]

    def extend(self, x: Vector) -> Vector:
        """A start of the lowered form from one of the original; what bridges added is unknown."""
        return np.concatenate([x, np.full(self.form.shape[1] - self.width, np.nan)])


def lower(form: StandardForm, accepts: frozenset[str]) -> Lowered:
    """Bridge every logical atom whose kind is not in ``accepts``; epigraphs are left to the cut loop.

    Raises:
        InputError: no bridge applies to an atom; the message says why, and what would help.
    """
    draft, steps = Draft(form), []
    logical = [("indicator", atom) for atom in form.indicators] + [("sos1", atom) for atom in form.sos1]
    for kind, atom in logical:
        if kind in accepts:
            draft.keep(atom)
            steps.append(Step(kind, atom.name, atom.rows, "native"))
        else:
            steps.append(_bridged(kind, atom, draft, accepts))
    for epigraph in form.epigraphs:
        way = "native" if epigraph.function.name in accepts else "tangent cuts"
        steps.append(Step(epigraph.function.name, epigraph.name, epigraph.rows, way))
    return Lowered(draft.finish() if logical else form, form.shape[1], tuple(steps))


def _bridged(kind: str, atom: Any, draft: Draft, accepts: frozenset[str]) -> Step:
    """The first bridge that applies and whose output the solver accepts."""
    obstacles = []
    for bridge in BRIDGES[kind]:
        unknown = ", ".join(sorted(bridge.makes - accepts))
        obstacle = bridge.obstacle(atom, draft) or (f"the solver takes no {unknown}" if unknown else "")
        if not obstacle:
            height, width = draft.height, draft.width
            bridge.apply(atom, draft)
            return Step(kind, atom.name, atom.rows, bridge.way, draft.height - height, draft.width - width)
        obstacles.append(f"{bridge.way}: {obstacle}")
    raise InputError(
        f"{kind} '{atom.name}' cannot be passed to this solver ({'; '.join(obstacles)}): bound the variables in it, or "
        "name a solver that takes it as it is (see oamip solvers)"
    )
