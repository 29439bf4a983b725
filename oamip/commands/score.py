"""``oamip score``."""

from __future__ import annotations

import json as json_format
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from oamip.commands.flags import Importance, Model, Source, Units, Way, Where, check_output, open_pruning, progress
from oamip.commands.solving import Solving

if TYPE_CHECKING:
    from oamip.decision import Decision
    from oamip.solution import Solution

__all__ = ["score"]


def score(
    model: Model,
    *,
    out: Path = Path("scores.json"),
    budget: str | None = None,
    json: Path | None = None,
    where: Where = Where(),  # noqa: B008
    source: Source = Source(),  # noqa: B008
    way: Way = Way(),  # noqa: B008
    solving: Solving = Solving(),  # noqa: B008
    importance: Importance = Importance(),  # noqa: B008
    units: Units = Units(),  # noqa: B008
) -> None:
    """Score the units of a network and keep the scores: oamip prune --scores FILE cuts by them, to any budget.

    Args:
        out: file for the scores (a decision that keeps everything, with its scores).
        json: file for a summary: method, facts and how the program was solved.
        budget: look ahead to this budget: --steps auto then takes steps when it asks for many units.
    """
    import numpy as np

    from oamip.budget import Budget
    from oamip.commands.prune import importance_options
    from oamip.decision import Decision
    from oamip.files import write_atomically
    from oamip.pruning.report import SolverFacts

    wanted = None if budget is None else Budget.parse(budget)
    check_output(out, folder=False)
    check_output(json, folder=False)
    with progress() as tell:
        job = open_pruning(model, where, source, solving, units, tell)
        from oamip.pruning.result import Scoring

        options = importance_options(importance, regression=job.data.regression)
        answer, solutions = job.score(Scoring(way.formulation, way.samples, way.by_class, way.steps), options, wanted)
        if not isinstance(answer, Decision):
            groups = job.scoped
            everything = np.ones(groups.size, dtype=np.bool_)
            answer = Decision.of(groups, everything, answer, "scores only: keeps every unit")
        answer.save(out)
        if json is not None and answer.scores is not None:
            solver = asdict(SolverFacts.of(solutions)) if solutions else None
            summary = {"method": answer.scores.method, "facts": dict(answer.scores.facts), "solver": solver}
            write_atomically(json, json_format.dumps(summary, indent=1))
    _show(answer, solutions, out)
    if solutions:
        solving.show(solutions[-1])


def _show(decision: Decision, solutions: tuple[Solution, ...], out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from oamip.pruning.report import SolverFacts

    screen = Console()
    if decision.scores is not None:
        table = Table(title=f"Scores by {decision.scores.method}", title_justify="left")
        for title in ("layer", "units", "least", "median", "largest"):
            table.add_column(title, justify="left" if title == "layer" else "right")
        for name, values in decision.scores.values.items():
            low, middle, high = (f"{q:.4g}" for q in (min(values), sorted(values)[len(values) // 2], max(values)))
            table.add_row(name, str(len(values)), low, middle, high)
        screen.print(table)
    if solutions:
        facts = SolverFacts.of(solutions)
        screen.print(" ".join(filter(None, [str(facts), facts.warning()])), highlight=False)
    screen.print(f"Written to {out}; cut with: oamip prune ... --scores {out} --budget units=0.5", highlight=False)
