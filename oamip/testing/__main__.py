"""``python -m oamip.testing``: the table of all pairs, or one pair case by case.

python -m oamip.testing                                    the core on every pair
python -m oamip.testing --solver scip                      the core on every language with one solver
python -m oamip.testing --backend pyomo --solver highs     all cases of one pair, one line each
"""

from __future__ import annotations

import argparse
import sys

from oamip.errors import InputError, MissingDependency
from oamip.solving import backend_names, driver_names
from oamip.testing.conformance import Report, cases, conformance

__all__ = ["main"]

MISSING = "not installed"


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for; 1 when a case failed."""
    parser = argparse.ArgumentParser(
        prog="python -m oamip.testing", description="Conformance of languages and solvers."
    )
    parser.add_argument("--backend", help="one language, by its registered name")
    parser.add_argument("--solver", help="one solver, by its registered name")
    parser.add_argument(
        "--cases", choices=["core", "driver", "backend", "all"], help="default: all for one pair, else core"
    )
    asked = parser.parse_args(arguments)
    backends = [asked.backend] if asked.backend else sorted(backend_names(), key=lambda name: (name != "matrix", name))
    solvers = [asked.solver] if asked.solver else sorted(driver_names(), key=lambda name: (name != "highs", name))
    single = bool(asked.backend and asked.solver)
    kind = asked.cases or ("all" if single else "core")
    reports: dict[tuple[str, str], Report | str] = {}
    for backend in backends:
        for solver in solvers:
            reports[backend, solver] = _report(backend, solver, kind)
    done = [report for report in reports.values() if isinstance(report, Report)]
    failed = [report for report in done if not report.passed]
    sections = [str(report) for report in (reports.values() if single else failed)]
    if not single:
        sections.insert(0, _table(backends, solvers, reports))
    sys.stdout.write("\n\n".join(sections) + "\n")
    return 1 if failed or not done else 0


def _report(backend: str, solver: str, kind: str) -> Report | str:
    try:
        return conformance(backend=backend, solver=solver, chosen=cases() if kind == "all" else cases(kind))  # type: ignore[arg-type]
    except MissingDependency:
        return MISSING
    except InputError as error:
        return str(error)


def _table(backends: list[str], solvers: list[str], reports: dict[tuple[str, str], Report | str]) -> str:
    """Languages down, solvers across."""
    cells = [["", *solvers]]
    for backend in backends:
        row = [reports[backend, solver] for solver in solvers]
        cells.append([backend, *(report.summary if isinstance(report, Report) else report for report in row)])
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return "\n".join("  ".join(text.ljust(w) for text, w in zip(line, widths, strict=True)).rstrip() for line in cells)


if __name__ == "__main__":
    sys.exit(main())
