"""Numbers beyond what a solver takes: the nearest that it takes is used, and a warning names the option."""

from __future__ import annotations

import os

from oamip.options import Options

__all__ = ["THREADS", "replaced", "within"]

THREADS = max(32, os.cpu_count() or 1)
"""For a solver that knows no limit: it starts as many as it is told, and with a hundred on two cores sees no clock."""


def within(options: Options, solver: str, **ranges: tuple[float, float]) -> tuple[Options, tuple[str, ...]]:
    """Options that a solver takes, and a warning for each that had to be changed.

    Args:
        options: what is asked.
        solver: its name in warnings.
        ranges: the least and the largest value of each option that has them.
    """
    asked = {name: getattr(options, name) for name in ranges}
    used = {name: min(max(asked[name], least), largest) for name, (least, largest) in ranges.items()}
    changed = [name for name in ranges if used[name] != asked[name]]
    return options.with_(**used), tuple(replaced(solver, name, asked[name], used[name]) for name in changed)


def replaced(solver: str, option: str, asked: float, used: float) -> str:
    """The warning that a solver was given another number than was asked."""
    return f"option {option}: {solver} takes no {asked}, so {used} is used"
