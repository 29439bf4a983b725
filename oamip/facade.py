"""Three-line doors to the classes that do the work; `oamip` re-exports them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from oamip.data import as_data
from oamip.decision import Budget, Decision, Scope, Scores
from oamip.formulations.importance import ImportanceOptions
from oamip.options import Options
from oamip.pruning.finetune import LEARNING_RATE
from oamip.pruning.pipeline import Pruning, Result, Scoring
from oamip.solving import solver_for

__all__ = ["prune", "score"]


def prune(
    model: nn.Module,
    data: Any,
    *,
    budget: Budget | str | None = None,
    threshold: float | None = None,
    scoring: Scoring | str | None = None,
    importance: ImportanceOptions | None = None,
    backend: str = "matrix",
    solver: str = "highs",
    options: Options | None = None,
    scope: Scope | None = None,
    scores: Scores | None = None,
    decision: Decision | Path | str | None = None,
    refit: bool = True,
    refit_samples: int = 2000,
    epochs: int = 0,
    learning_rate: float = LEARNING_RATE,
    baselines: tuple[str, ...] = (),
    seed: int = 0,
    name: str = "",
    progress: Callable[[str], None] | None = None,
) -> Result:
    """Make a trained network smaller.

    Args:
        model: a trained module; it is not changed.
        data: arrays ``(x, y)``, tensors, a Dataset, a DataLoader or an `oamip.data.Data`; see `oamip.data.as_data` for
            which part scores, trains and reports.
        budget: how much to keep, as `Budget` or text: ``units=0.5``, ``units=0.5/layer``, ``params=0.7``, ``macs=0.5``.
        threshold: instead of a budget, remove units whose score is below it (the paper's τ).
        scoring: a `Scoring`, or the name of a formulation or baseline.
        importance: the options of the importance program.
        backend: the modelling language: ``matrix`` (none) or ``pyomo``.
        solver: ``highs``.
        options: limits and tolerances of every solve.
        scope: which layers may lose units, and how many must stay.
        scores: use these instead of scoring (score once, cut often).
        decision: use this one, or the file that holds it, instead of scoring and deciding.
        refit: least-squares refit of the layers behind a removal.
        refit_samples: training samples that the refit sees.
        epochs: of fine-tuning afterwards.
        learning_rate: of fine-tuning.
        baselines: names of simple scores to report at the same budget.
        seed: of everything random.
        name: of the network, for the report; its class by default.
        progress: called with a line of text at every step.

    Returns:
        The smaller module, the decision, the report and the last solution.

    Raises:
        InputError: something given cannot be used; the message says what and how to mend it.
        MismatchError: the smaller module is not the masked network.
        SolveError: the solver gave no usable answer.
    """
    job = Pruning(
        model,
        as_data(data, seed=seed),
        solver_for(backend, solver),
        name=name or type(model).__name__,
        scope=scope or Scope(),
        options=options or Options(),
        seed=seed,
        progress=progress,
    )
    return job.run(
        budget=Budget.parse(budget) if isinstance(budget, str) else budget,
        tau=threshold,
        scoring=Scoring(scoring) if isinstance(scoring, str) else scoring,
        importance=importance,
        scores=scores,
        decision=Decision.load(decision) if isinstance(decision, str | Path) else decision,
        refitting=refit,
        refit_samples=refit_samples,
        epochs=epochs,
        learning_rate=learning_rate,
        baselines=baselines,
    )


def score(
    model: nn.Module,
    data: Any,
    *,
    scoring: Scoring | str | None = None,
    importance: ImportanceOptions | None = None,
    backend: str = "matrix",
    solver: str = "highs",
    options: Options | None = None,
    scope: Scope | None = None,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Scores:
    """Score the units of a trained network; arguments and errors as `prune`."""
    job = Pruning(
        model,
        as_data(data, seed=seed),
        solver_for(backend, solver),
        scope=scope or Scope(),
        options=options or Options(),
        seed=seed,
        progress=progress,
    )
    answer, _ = job.score(Scoring(scoring) if isinstance(scoring, str) else scoring, importance)
    if isinstance(answer, Decision):
        raise ValueError("this formulation decides by itself and gives no scores; use oamip.prune")
    return answer
