"""``oamip solve``."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oamip.commands.flags import check_output, progress
from oamip.commands.solving import Solving

if TYPE_CHECKING:
    from oamip.solution import Solution

__all__ = ["solve"]

SHOWN = 20  # values that a terminal is shown


def solve(
    file: Path,
    *,
    json: Path | None = None,
    seed: int = 0,
    solving: Solving = Solving(),  # noqa: B008
) -> None:
    """Solve a model file with any solver, and check the answer: oamip solve model.mps --solver scip --time-limit 60

    Exits with 0 when a checked point is held or the model is proven infeasible or unbounded, with 1 otherwise.

    Args:
        file: an .mps or .lp file, or one of them compressed by gzip.
        json: file for the answer: status, objective, bound, gap, seconds, values by name.
        seed: of the solver.
    """
    from oamip.errors import InputError, SolveError
    from oamip.solving import read_form, solve_form

    if solving.backend != "matrix":
        raise InputError(f"--backend {solving.backend}: a file is a model already; leave the backend out")
    if solving.route != "driver":
        raise InputError("--route native: a file has no language that could solve it; leave the route out")
    if solving.jobs is not None:
        raise InputError(f"--jobs {solving.jobs}: a file is one program; leave the jobs out, or give --threads")
    check_output(json, folder=False)
    with progress() as tell:
        tell(f"reading {file}")
        form = read_form(file)
        tell(f"solving {form.shape[0]} rows, {form.shape[1]} columns with {solving.solver}")
        options = solving.options(seed)
        solution = solve_form(form, options, solver=solving.solver, isolate=solving.isolate)
    if json is not None:
        from oamip.files import write_atomically

        write_atomically(json, json_format.dumps(_facts(solution), indent=1))
    _show(solution)
    solving.show(solution)
    if solution.held == "none" and solution.reason not in ("infeasible", "unbounded"):
        raise SolveError(f"{solution.solver} stopped with '{solution.reason}' and holds no point")


def _facts(solution: Solution) -> dict[str, Any]:
    import math

    names = ("reason", "held", "nodes", "solver", "version", "rows", "columns", "nonzeros", "clash", "warnings")
    numbers = {name: getattr(solution, name) for name in ("objective", "bound", "gap")}
    return {
        **{name: getattr(solution, name) for name in names},
        **{name: value if math.isfinite(value) else None for name, value in numbers.items()},
        "verified": solution.verified,
        "seconds": solution.seconds.solve,
        "values": {name: values.tolist() for name, values in solution.values.items()},
    }


def _show(solution: Solution) -> None:
    from rich.console import Console
    from rich.table import Table

    screen = Console()
    facts = [
        ("stopped", solution.reason.replace("_", " ")),
        ("held", solution.held),
        ("objective", f"{solution.objective:.9g}"),
        ("bound", f"{solution.bound:.9g}"),
        ("gap", f"{solution.gap:.2g}"),
        ("nodes", str(solution.nodes)),
        ("seconds", f"{solution.seconds.solve:.2f}"),
        ("solver", f"{solution.solver} {solution.version}"),
    ]
    if solution.clash:
        facts.append(("clash", ", ".join(solution.clash)))
    facts += [("warning", warning) for warning in solution.warnings]
    table = Table(show_header=False, box=None)
    for row in facts:
        table.add_row(*row)
    screen.print(table)
    nonzero = [(name, float(values)) for name, values in solution.values.items() if values]
    for name, value in nonzero[:SHOWN]:
        screen.print(f"  {name} = {value:.9g}", highlight=False)
    if len(nonzero) > SHOWN:
        screen.print(f"  ... and {len(nonzero) - SHOWN} more that are not 0; --json FILE has them all", highlight=False)
