"""What is built in Pyomo: a model, its variables and constraints, and its SOS1 sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from oamip.solving.backend import Built

__all__ = ["PyomoBuilt"]


@dataclass(frozen=True)
class PyomoBuilt(Built):
    """As `Built`; ``sets`` are the ``SOSConstraint``s by the names of their blocks."""

    sets: Mapping[str, Any] = field(default_factory=dict)
