"""``oamip solvers``."""

from __future__ import annotations

import json as json_format
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from oamip.commands.flags import Flag, check_output
from oamip.files import write_atomically
from oamip.solving.registry import Pair, overview

__all__ = ["solvers"]


def solvers(*, check: Flag = False, json: Path | None = None) -> None:
    """Show which modelling languages and solvers can be used together, and how to get the others.

    Args:
        check: solve two small programs with every installed solver, and show what its licence allows.
        json: file for the same as JSON.
    """
    check_output(json, folder=False)
    pairs = overview()
    licences = _licences(pairs) if check else {}
    if json is not None:
        facts = [{**asdict(pair), "licence": licences.get(pair.solver)} for pair in pairs]
        write_atomically(json, json_format.dumps(facts, indent=1))
    screen = Console()
    screen.print(_grid(pairs))
    screen.print(_abilities(pairs, licences))
    for solver, licence in licences.items():
        if ": " in licence:
            screen.print(f"{solver}: {licence.partition(': ')[2]}", highlight=False)


def _licences(pairs: tuple[Pair, ...]) -> dict[str, str]:
    from oamip.solving.probe import probe

    installed = sorted({pair.solver for pair in pairs if pair.solver_version is not None})
    found = [probe(name) for name in installed]
    return {one.solver: ": ".join(filter(None, [one.licence, one.text])) for one in found}


def _grid(pairs: tuple[Pair, ...]) -> Table:
    """Languages down, solvers across."""
    solvers = list(dict.fromkeys(pair.solver for pair in pairs))
    table = Table(title="Backends × solvers", title_justify="left")
    for title in ("backend", "version", *solvers):
        table.add_column(title)
    for backend in dict.fromkeys(pair.backend for pair in pairs):
        row = {pair.solver: pair for pair in pairs if pair.backend == backend}
        version = next(iter(row.values())).backend_version or "missing"
        table.add_row(backend, version, *("yes" if row[solver].installed else "-" for solver in solvers))
    return table


def _abilities(pairs: tuple[Pair, ...], licences: dict[str, str]) -> Table:
    """What each solver can do, or how to get it; then how to get missing languages."""
    table = Table(title="Solvers", title_justify="left")
    for title in (
        "solver",
        "version",
        *(["licence"] if licences else []),
        "what it can do, or how to get it",
        "natively",
    ):
        table.add_column(title)
    for pair in {pair.solver: pair for pair in pairs}.values():
        missing = pair.solver_version is None
        what = pair.solver_install if missing else ", ".join(pair.abilities).replace("_", " ")
        licence = [licences.get(pair.solver, "").partition(":")[0]] if licences else []
        native = "" if missing else ", ".join(pair.atoms).replace("_", " ")
        table.add_row(pair.solver, pair.solver_version or "missing", *licence, what, native)
    for pair in {pair.backend: pair for pair in pairs if pair.backend_version is None}.values():
        table.add_row(pair.backend, "missing", *([""] if licences else []), pair.backend_install, "")
    return table
