"""Write a program as a file: exactly, or refined by tangents where it has convex epigraphs."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from oamip.errors import InputError, SolveError
from oamip.options import Options
from oamip.program import Program, StandardForm
from oamip.program.bridges import Step, lower
from oamip.program.lp import write_lp
from oamip.program.mps import write_mps
from oamip.solution import relative_gap
from oamip.solving.cutloop import solve_with_cuts
from oamip.solving.driver import Driver
from oamip.solving.registry import find_driver
from oamip.solving.scale import Scale

__all__ = ["Exported", "export"]

WRITERS = {".mps": write_mps, ".lp": write_lp}
LOGIC = frozenset({"indicator", "sos1"})


@dataclass(frozen=True)
class Exported:
    """What was written.

    Args:
        path: the file.
        cuts: tangents that stand for the convex epigraphs, 0 if there are none.
        gap: the relative gap up to which they do.
        steps: how each atom is said in the file.
    """

    path: Path
    cuts: int
    gap: float
    steps: tuple[Step, ...] = ()


def export(
    program: Program,
    path: str | os.PathLike[str],
    options: Options | None = None,
    *,
    solver: str | Driver = "highs",
    logic: bool = False,
    header: tuple[str, ...] = (),
) -> Exported:
    """Write a program in free MPS or in LP format, as the ending of ``path`` says.

    Without epigraphs the file is the program, to the last digit. With epigraphs the cut loop runs first and the file is
    its last master: a relaxation whose optimum is off by the gap that the header states. Indicators and SOS1 sets
    become rows that every reader knows, or with ``logic`` the sections that some readers know.

    Raises:
        InputError: no such solver, another ending than ``.mps`` or ``.lp``, or logic that no rows can say.
        SolveError: the cut loop found no point, so that nothing is known about how good the tangents are.
    """
    target = Path(path)
    if target.suffix not in WRITERS:
        raise InputError(f"{target}: the name of the file must end in {' or '.join(WRITERS)}")
    lowered = lower(program.compile(), LOGIC if logic else frozenset())
    form, cuts, gap = lowered.form, 0, 0.0
    notes: tuple[str, ...] = (_title(program, form),)
    if form.epigraphs:
        driver, asked = find_driver(solver), options or Options()
        scale = Scale.of(form, asked, driver.support)
        refined = solve_with_cuts(scale.form(form), driver, scale.options(asked))
        outcome = scale.outcome(refined.outcome)
        if outcome.x is None:
            reason = outcome.reason
            raise SolveError(f"export of '{program.name}': the cut loop ended with '{reason}' and holds no point")
        cuts, gap = refined.live, relative_gap(form.objective(outcome.x), outcome.bound, scale.unit)
        names = ", ".join(epigraph.name for epigraph in form.epigraphs)
        text = f"{cuts} tangents (rows 'added') stand for the convex epigraphs {names}; relative gap {gap:.3g}"
        master = replace(refined.master, cost=form.cost, constant=form.constant)  # in the user's unit again
        form, notes = replace(master, indicators=form.indicators, sos1=form.sos1), (*notes, text)
    bridged = tuple(str(step) for step in lowered.steps if step.way not in ("native", "tangent cuts"))
    WRITERS[target.suffix](form, target, header=(*notes, *bridged, *header))
    return Exported(target, cuts, gap, lowered.steps)


def _title(program: Program, form: StandardForm) -> str:
    return f"program {program.name}: {form.shape[0]} rows, {form.shape[1]} columns"
