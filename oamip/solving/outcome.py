"""What a solver claims, before anybody has checked it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.program import StandardForm
from oamip.solution import Reason

__all__ = ["Outcome", "no_bound"]

Vector: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Outcome:
    """What a solver claims; nothing here has been checked.

    Args:
        reason: why it stopped. ``optimal`` also when it stopped within the gap that was asked for.
        x: its best point, one number per column, or ``None`` when it has none.
        bound: its best bound in the form's sense, constant included; ``−inf`` (min) or ``inf`` (max) for none.
        nodes: branch-and-bound nodes.
        seconds: wall seconds.
        points: other points that it passed on the way; cut loops cut at them too.
        duals: for a linear program solved to the end, ``y`` with reduced costs ``c − Aᵀy``, else ``None``.
        warnings: what it was asked and could not do, and what it complained of.
        log: its own log.
    """

    reason: Reason
    x: Vector | None
    bound: float
    nodes: int = 0
    seconds: float = 0.0
    points: tuple[Vector, ...] = ()
    duals: Vector | None = None
    warnings: tuple[str, ...] = ()
    log: str = ""


def no_bound(form: StandardForm) -> float:
    """The bound that says nothing: ``−inf`` when minimising, ``inf`` when maximising."""
    return -math.inf if form.sense == "min" else math.inf
