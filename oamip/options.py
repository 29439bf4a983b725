"""How a program is to be solved: one set of options for every backend and solver."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oamip.errors import InputError

__all__ = ["Options", "Progress"]


@dataclass(frozen=True)
class Progress:
    """What a running solve tells: seconds since its start, best objective and bound so far (NaN when none).

    ``x`` is the best point that the solver claims so far (one value per column), where it tells of points on the way.
    """

    seconds: float
    objective: float
    bound: float
    nodes: int
    message: str = ""
    x: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Options:
    """Limits, tolerances and habits of one solve. A driver honours every field, or says by name which it cannot.

    Args:
        time_limit: wall seconds for the whole solve, cut rounds included; ``inf`` for none. A second look at a claim
            that nothing proves takes as much again, at most ten seconds.
        node_limit: branch-and-bound nodes; ``None`` for no limit.
        gap_relative: stop when ``|objective − bound| ≤ gap_relative · |objective|``.
        gap_absolute: stop when ``|objective − bound| ≤ gap_absolute``; where all costs are smaller than 1, the default
            is as much smaller.
        feasibility: largest violation of a row or bound that counts as satisfied.
        integrality: largest distance from an integer that counts as integer.
        threads: threads of the solver; 1 gives runs that repeat. More than it takes become as many as it takes.
        seed: the solver's random seed; one that it does not take becomes the largest that it takes.
        memory_limit: bytes, or ``None``.
        log_file: where the solver's own log is written (a path or its name), or ``None``.
        start: a first point, one value per column of the standard form (NaN: unknown), or ``None``.
        stop_at_objective: stop at an incumbent this good.
        stop_at_bound: stop when the bound has passed this value.
        progress: called with a `Progress` now and then; returning ``True`` interrupts the solve.
        native_atoms: hand indicators, SOS1 sets and convex functions to a solver that knows them; off, they are bridged
            and cut for every solver alike.
        raw: the solver's own options by their own names; they win over everything above.

    Raises:
        InputError: a limit or tolerance is negative or not a number, a count is not a whole number, ``threads`` is
            below 1, or ``log_file`` is no path.
    """

    time_limit: float = math.inf
    node_limit: int | None = None
    gap_relative: float = 1e-6
    gap_absolute: float = 1e-9
    feasibility: float = 1e-7
    integrality: float = 1e-6
    threads: int = 1
    seed: int = 0
    memory_limit: int | None = None
    log_file: Path | None = None
    start: NDArray[np.float64] | None = None
    stop_at_objective: float | None = None
    stop_at_bound: float | None = None
    progress: Callable[[Progress], bool | None] | None = None
    native_atoms: bool = True
    raw: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("time_limit", "gap_relative", "gap_absolute", "feasibility", "integrality"):
            value = self._plain(name, Real)
            if not value >= 0:  # catches NaN too
                raise InputError(f"option {name} is {value!r}; it must be a number ≥ 0")
        for name, least in (("threads", 1), ("seed", 0), ("node_limit", 0), ("memory_limit", 1)):
            if getattr(self, name) is None and name in ("node_limit", "memory_limit"):
                continue
            value = self._plain(name, Integral)
            if value < least:
                raise InputError(f"option {name} is {value!r}; it must be at least {least}")
        for name in ("stop_at_objective", "stop_at_bound"):
            if getattr(self, name) is not None and math.isnan(self._plain(name, Real)):
                raise InputError(f"option {name} is not a number (NaN); it must be one, or None")
        if self.log_file is not None:
            if not isinstance(self.log_file, str | os.PathLike):
                raise InputError(f"option log_file is {self.log_file!r}; it must be a path, or None")
            object.__setattr__(self, "log_file", Path(self.log_file))

    def _plain(self, name: str, kind: type[Real] | type[Integral]) -> float:
        """A field as a Python number, which it becomes (solvers take no numpy scalars); no string and no bool."""
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, kind):
            wanted = "an integer" if kind is Integral else "a number"
            hint = "; math.inf is no limit" if name == "time_limit" else ""
            raise InputError(f"option {name} is {value!r}; it must be {wanted}{hint}")
        plain = int(value) if isinstance(value, Integral) else float(value)
        object.__setattr__(self, name, plain)
        return plain

    def with_(self, **changes: Any) -> Options:
        """A copy with some fields changed."""
        return replace(self, **changes)
