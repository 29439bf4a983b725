"""Three-line doors to the classes that do the work; `oamip` re-exports them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from torch import nn

from oamip.budget import Budget, Scope
from oamip.data import Data, as_data
from oamip.decision import Decision, Scores
from oamip.errors import BudgetError, InputError, ModelFileError
from oamip.formulations.importance import ImportanceOptions
from oamip.models import FILES, fitted, open_model
from oamip.options import Options
from oamip.pruning.finetune import LEARNING_RATE
from oamip.pruning.pipeline import Pruning
from oamip.pruning.result import Result, Scoring
from oamip.solving import Route, solver_for

__all__ = ["load", "prune", "score"]


def prune(
    model: nn.Module | Path | str,
    data: Any,
    *,
    budget: Budget | str | None = None,
    threshold: float | None = None,
    scoring: Scoring | str | None = None,
    importance: ImportanceOptions | None = None,
    backend: str = "matrix",
    solver: str = "highs",
    route: Route = "driver",
    isolate: bool = False,
    executor: Executor | None = None,
    options: Options | None = None,
    scope: Scope | None = None,
    scores: Scores | None = None,
    decision: Decision | Path | str | None = None,
    refit: bool = True,
    refit_samples: int = 2000,
    epochs: int = 0,
    learning_rate: float = LEARNING_RATE,
    baselines: Sequence[str] = (),
    seed: int = 0,
    name: str = "",
    progress: Callable[[str], None] | None = None,
) -> Result:
    """Make a trained network smaller.

    Args:
        model: a trained module, which is not changed, or a file that holds one: ``.onnx``, ``.pt2``, ``.safetensors``.
        data: arrays ``(x, y)``, tensors, a Dataset, a DataLoader, a mapping of ``train``, ``score`` and ``test`` to any
            of these, or an `oamip.Data`; see `oamip.data.as_data` for which part scores, trains and reports.
        budget: how much to keep, as `Budget` or text: ``units=0.5``, ``units=0.5/layer``, ``params=0.7``, ``macs=0.5``.
        threshold: instead of a budget, remove units whose score is below it (the paper's τ).
        scoring: a `Scoring`, or the name of a formulation or baseline.
        importance: the options of the importance program.
        backend: the modelling language: ``matrix`` (none), ``pyomo``, ``cvxpy`` or ``pulp``.
        solver: ``highs``, ``scip``, ``cbc``, ``gurobi`` or ``cplex``; `oamip solvers` shows what is installed.
        route: ``native`` lets the language solve its own model, as CVXPY can with ``solver="clarabel"``.
        isolate: run each solve in a process of its own, so that a crash or a hang of the solver is a status.
        executor: solves independent programs side by side (importance by class): a pool of threads with ``isolate``,
            a pool of processes, or a cluster's.
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
    parts = as_data(data, seed=seed)
    module = _opened(model, parts)
    _check_kinds(module, options, scope)
    job = Pruning(
        module,
        fitted(parts, module),
        solver_for(backend, solver, route=route, isolate=isolate, executor=executor),
        name=name or (Path(model).name if isinstance(model, str | Path) else type(model).__name__),
        scope=scope or Scope(),
        options=options or Options(),
        seed=seed,
        progress=progress,
    )
    return job.run(
        budget=_budget(budget),
        tau=threshold,
        scoring=Scoring(scoring) if isinstance(scoring, str) else scoring,
        importance=importance,
        scores=scores,
        decision=Decision.load(decision) if isinstance(decision, str | Path) else decision,
        refitting=refit,
        refit_samples=refit_samples,
        epochs=epochs,
        learning_rate=learning_rate,
        baselines=tuple(baselines.split(",")) if isinstance(baselines, str) else tuple(baselines),
    )


def score(
    model: nn.Module | Path | str,
    data: Any,
    *,
    scoring: Scoring | str | None = None,
    importance: ImportanceOptions | None = None,
    backend: str = "matrix",
    solver: str = "highs",
    route: Route = "driver",
    isolate: bool = False,
    executor: Executor | None = None,
    options: Options | None = None,
    scope: Scope | None = None,
    budget: Budget | str | None = None,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Scores:
    """Score the units of a trained network; arguments and errors as `prune`.

    With a budget the scores look ahead to it, in steps where it asks for much; without one they are made at once.
    """
    parts = as_data(data, seed=seed)
    module = _opened(model, parts)
    _check_kinds(module, options, scope)
    job = Pruning(
        module,
        fitted(parts, module),
        solver_for(backend, solver, route=route, isolate=isolate, executor=executor),
        scope=scope or Scope(),
        options=options or Options(),
        seed=seed,
        progress=progress,
    )
    answer, _ = job.score(Scoring(scoring) if isinstance(scoring, str) else scoring, importance, _budget(budget))
    if isinstance(answer, Decision):
        raise InputError("this formulation decides by itself and gives no scores; use oamip.prune")
    return answer


def load(path: Path | str) -> nn.Module:
    """The network in a file that `Result.save` wrote, ``.safetensors``, ``.pt2`` or ``.onnx``; no class is needed.

    Archives and ONNX files of others load too, if they hold what can be read. A network from an ONNX file is made of
    ordinary layers by `oamip.writers.to_torch`, in single precision.

    Raises:
        ModelFileError: the file is missing, damaged, or of another kind.
        UnsupportedOperator: it holds an operator that cannot be read.
    """
    return _opened(path)  # type: ignore[no-any-return]


def _opened(model: Any, data: Data | None = None) -> Any:
    """What a user gave, opened if it is a file; nothing else that a text could mean."""
    if not isinstance(model, str | Path):
        return model
    if not str(model).endswith(tuple(FILES)):
        raise ModelFileError(f"{model}: a network is loaded from a file ending in {', '.join(FILES)}")
    return open_model(str(model), data=data)


def _budget(budget: Any) -> Budget | None:
    if isinstance(budget, str):
        return Budget.parse(budget)
    if budget is not None and not isinstance(budget, Budget):
        raise BudgetError(f"a budget says what it counts: write 'units={budget}' or 'params={budget}', not {budget!r}")
    return budget


def _check_kinds(model: Any, options: Any, scope: Any) -> None:
    """The slips that would otherwise surface as an AttributeError deep inside."""
    for value, kind, what in ((model, nn.Module, "model"), (options, Options, "options"), (scope, Scope, "scope")):
        if value is not None and not isinstance(value, kind):
            raise InputError(f"{what} must be {kind.__name__}, not {type(value).__name__}")
