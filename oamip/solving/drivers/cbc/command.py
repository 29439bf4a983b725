"""`Options` and a form in the words of CBC: its command line and its start file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.options import Options

__all__ = ["MODEL", "POINT", "STATUS", "TAKEN", "command", "write_start"]

Vector: TypeAlias = NDArray[np.float64]

MODEL, START, STATUS, POINT = "model.mps", "start.mst", "status.txt", "point.bin"
SMALLEST = 1e-12  # with smaller tolerances nothing is ever feasible
LARGEST = 2**31 - 1
WIDEST = 1e300  # gap; it takes no infinite one
# From 100 on, the number of threads is another way to use them.
TAKEN = {"feasibility": (SMALLEST, 1e12), "integrality": (SMALLEST, 0.5), "threads": (1, 99)}


def command(executable: str, options: Options, *, start: bool) -> list[str]:
    """The argument list. Options come before what uses them; CBC works it off from left to right."""
    arguments = [executable, MODEL]
    for name, value in _settings(options).items():
        arguments += [f"-{name}", str(value)]
    for name, value in options.raw.items():
        arguments += [f"-{name}", str(value)]
    if start:
        arguments += ["-mips", START]
    return [*arguments, "-solve", "-solution", STATUS, "-saveSolution", POINT]


def _settings(options: Options) -> dict[str, object]:
    settings: dict[str, object] = {
        # By default CBC prunes whatever is not better by 1e-5, and calls that optimal however small the objective is.
        "increment": SMALLEST,  # before the gap, which it overwrites
        # With its preprocessing CBC 2.10.3 calls wrong points of small programs optimal, and bounded ones unbounded.
        "preprocess": "off",
        "allow": min(options.gap_absolute, WIDEST),
        "ratio": min(options.gap_relative, WIDEST),
        "primalTolerance": options.feasibility,
        "dualTolerance": options.feasibility,
        "integerTolerance": options.integrality,
    }
    if math.isfinite(options.time_limit):
        settings |= {"timeMode": "elapsed", "sec": options.time_limit}  # it would count CPU seconds
    if options.node_limit is not None:
        settings["maxNodes"] = min(options.node_limit, LARGEST)
    if options.threads > 1:
        settings["threads"] = options.threads
    if options.seed:  # a seed of 0 stands for the time of day
        settings |= dict.fromkeys(("randomSeed", "randomCbcSeed"), min(options.seed, LARGEST))
    return settings


def write_start(folder: Path, names: list[str], start: Vector) -> None:
    """A first point: a line that CBC skips, then ``index name value 0`` for every known column."""
    known = np.flatnonzero(np.isfinite(start)).tolist()
    lines = ["Feasible - objective value 0", *(f"{j} {names[j]} {float(start[j])!r} 0" for j in known), ""]
    (folder / START).write_text("\n".join(lines), encoding="ascii")
