"""``oamip solvers``."""

from __future__ import annotations

import json as json_format
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from oamip.files import write_atomically
from oamip.solving.registry import overview

__all__ = ["solvers"]


def solvers(*, json: Path | None = None) -> None:
    """Show which modelling languages and solvers can be used, and how to get the others.

    Args:
        json: file for the same as JSON.
    """
    if json is not None:
        write_atomically(json, json_format.dumps([asdict(pair) for pair in overview()], indent=1))
    table = Table(title="Backends × solvers", title_justify="left")
    for title in ("backend", "language", "solver", "version", "what it can do, or how to get it"):
        table.add_column(title)
    for pair in overview():
        what = ", ".join(pair.abilities).replace("_", " ") if pair.installed else pair.install
        versions = (pair.backend_version or "missing", pair.solver_version or "missing")
        table.add_row(pair.backend, versions[0], pair.solver, versions[1], what)
    Console().print(table)
