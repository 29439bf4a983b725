"""Pruning while training, pruning afterwards, and both, in one table at equal numbers of parameters."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from oamip.budget import Budget, Scope
from oamip.data import Data
from oamip.errors import BudgetError
from oamip.options import Options
from oamip.pruning.bench import Bench
from oamip.pruning.measure import Stage
from oamip.pruning.pipeline import Pruning
from oamip.pruning.report import Report, versions
from oamip.pruning.result import Result, Scoring
from oamip.solution import Solve

__all__ = ["check_budget", "compare"]


def check_budget(budget: Budget | None) -> None:
    """Networks of different shapes are compared by parameters.

    Raises:
        BudgetError: the budget counts something else.
    """
    if budget is not None and (budget.measure, budget.per) != ("params", "global"):
        raise BudgetError(f"networks of different shapes are compared by parameters: write params=0.3, not {budget}")


def compare(
    reference: nn.Module,
    small: nn.Module,
    data: Data,
    solve: Solve,
    *,
    budget: Budget | None = None,
    scoring: Scoring | None = None,
    epochs: int = 1,
    learning_rate: float = 1e-3,
    name: str = "network",
    trained: str = "trained small",
    scope: Scope | None = None,
    options: Options | None = None,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> tuple[Report, Result | None]:
    """Prune a plainly trained network to the size of one that was trained small, and both of them to a budget.

    Args:
        reference: trained plainly.
        small: of the same kind, trained small (by `oamip.training.spr`, say), its dead units removed.
        data: pruning scores on ``score``, refits and fine-tunes on ``train``; the table is of ``test``.
        solve: solves the programs of the scoring.
        budget: of parameters, a share of the reference's or a count; ``None`` leaves it at the size of ``small``.
        scoring: how units are scored; importance by default.
        epochs: of fine-tuning after each pruning.
        learning_rate: of it.
        name: of the network.
        trained: what made ``small``.
        scope: which layers may lose units by pruning.
        options: of every solve.
        seed: of everything random.
        progress: called with a line of text at every step.

    Returns:
        The table: the reference; ``small``; the reference pruned to no more parameters than it; and with a budget both
        pruned to that. And the last ``Result``, of ``small`` pruned to the budget, where it had to lose anything.

    Raises:
        BudgetError: the budget does not count parameters, or cannot be met.
    """
    check_budget(budget)
    scoring = scoring or Scoring()
    bench = Bench(data.test)
    stage: Stage = "fine-tuned" if epochs else "refit"

    def job(module: nn.Module, what: str) -> Pruning:
        return Pruning(module, data, solve, what, scope or Scope(), options or Options(), seed, progress)

    def pruned(module: nn.Module, what: str, count: int) -> Result:
        result = job(module, what).run(
            budget=Budget("params", count), scoring=scoring, epochs=epochs, learning_rate=learning_rate
        )
        bench.add(what, stage, result.module, result.report.result.measured.units or 0)
        return result

    total = bench.add("reference", "", reference, job(reference, "reference").groups.size).params
    size = bench.add(trained, "", small, job(small, trained).groups.size).params
    both = None
    if size < total:
        pruned(reference, scoring.formulation, size)
    if budget is not None:
        allowed = budget.allowed(total)
        pruned(reference, scoring.formulation, allowed)
        if allowed < size:
            both = pruned(small, f"{trained} + {scoring.formulation}", allowed)
    report = Report(
        name,
        bench.rows(),
        method=f"{trained}, by {scoring.formulation}, and by both",
        budget=str(budget) if budget else "",
        data=data.describe(),
        seed=seed,
        versions=versions(),
    )
    return report, both
