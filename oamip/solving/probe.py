"""What a solver's licence allows, found out by solving: a program of one column, and one beyond every size limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from oamip.errors import OamipError
from oamip.options import Options
from oamip.program import Program
from oamip.solving.driver import Driver
from oamip.solving.pipeline import solve
from oamip.solving.registry import find_driver

__all__ = ["Probe", "probe"]

LARGE = 6000  # rows, and columns: the largest community licence known ends at 5000 of both together
SECONDS = 20.0


@dataclass(frozen=True)
class Probe:
    """``full``: no size limit met; ``limited``: only small programs; ``none``: nothing is solved; ``text`` says why."""

    solver: str
    licence: Literal["full", "limited", "none"]
    text: str = ""


def probe(solver: str | Driver) -> Probe:
    """Solve two programs in a process of their own and see.

    Raises:
        InputError: no such solver.
        MissingDependency: it is not installed.
    """
    driver = find_driver(solver)
    small = _claim(driver, 1)
    if small:
        return Probe(driver.name, "none", small)
    large = _claim(driver, LARGE)
    return Probe(driver.name, "limited" if large else "full", large)


def _claim(driver: Driver, size: int) -> str:
    """What went wrong with a program of ``size`` rows and columns; empty when it was solved."""
    program = Program("probe")
    x = program.variables("x", size, 0, 2, domain="integer" if driver.support.integer else "continuous")
    program.add("cap", x + x.take(np.roll(np.arange(size), 1)) <= 3)
    program.maximize(x[0] if size == 1 else x[:1].sum())
    try:
        solution = solve(program, Options(time_limit=SECONDS), solver=driver, isolate=True)
    except OamipError as error:
        return str(error)
    if solution.held != "none":
        return ""
    return "; ".join(solution.warnings) or f"it stopped with '{solution.reason}'"
