"""Write a program as an MPS file: exactly, or refined by tangents where it has convex epigraphs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from oamip.errors import SolveError
from oamip.options import Options
from oamip.program import Program
from oamip.program.mps import write_mps
from oamip.solution import relative_gap
from oamip.solving.cutloop import solve_with_cuts
from oamip.solving.driver import Driver
from oamip.solving.registry import find_driver

__all__ = ["Exported", "export"]


@dataclass(frozen=True)
class Exported:
    """What was written: ``cuts`` tangents stand for the epigraphs, up to the relative ``gap`` (0 and 0.0 if exact)."""

    path: Path
    cuts: int
    gap: float


def export(
    program: Program,
    path: str | os.PathLike[str],
    options: Options | None = None,
    *,
    solver: str | Driver = "highs",
    header: tuple[str, ...] = (),
) -> Exported:
    """Write a program in free MPS format.

    Without epigraphs the file is the program, to the last digit. With epigraphs the cut loop runs first and the file is
    its last master: a relaxation whose optimum is off by the gap that the header states.

    Raises:
        InputError: no such solver.
        SolveError: the cut loop found no point, so that nothing is known about how good the tangents are.
    """
    form, target = program.compile(), Path(path)
    title = f"program {program.name}: {form.shape[0]} rows, {form.shape[1]} columns"
    if not form.epigraphs:
        write_mps(form, target, header=(title, *header))
        return Exported(target, 0, 0.0)
    refined = solve_with_cuts(form, find_driver(solver), options or Options())
    if refined.outcome.x is None:
        reason = refined.outcome.reason
        raise SolveError(f"export of '{program.name}': the cut loop ended with '{reason}' and holds no point")
    gap = relative_gap(form.objective(refined.outcome.x), refined.outcome.bound)
    names = ", ".join(epigraph.name for epigraph in form.epigraphs)
    note = f"{refined.live} tangents (rows 'added') stand for the convex epigraphs {names}; relative gap {gap:.3g}"
    write_mps(refined.master, target, header=(title, note, *header))
    return Exported(target, refined.live, gap)
