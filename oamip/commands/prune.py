"""``oamip prune``."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING

from oamip.commands.flags import (
    Importance,
    Model,
    Source,
    Units,
    Way,
    Where,
    check_output,
    console,
    open_pruning,
    progress,
)
from oamip.commands.solving import Solving

if TYPE_CHECKING:
    from oamip.decision import Scores
    from oamip.formulations.importance import ImportanceOptions
    from oamip.pruning.result import Result

__all__ = ["importance_options", "prune"]


def prune(
    model: Model,
    *,
    budget: str | None = None,
    threshold: float | None = None,
    scores: Path | None = None,
    decision: Path | None = None,
    refit: bool = True,
    refit_samples: int = 2000,
    epochs: int = 0,
    learning_rate: float = 1e-3,
    baselines: str = "none",
    out: Path | None = None,
    formats: str = "safetensors",
    json: Path | None = None,
    where: Where = Where(),  # noqa: B008
    source: Source = Source(),  # noqa: B008
    way: Way = Way(),  # noqa: B008
    solving: Solving = Solving(),  # noqa: B008
    importance: Importance = Importance(),  # noqa: B008
    units: Units = Units(),  # noqa: B008
) -> None:
    """Make a trained network smaller: score its units, remove the least important, refit, report.

    For example: oamip prune lenet5 --data mnist --data-dir data --budget units=0.5 --epochs 1 --out pruned

    Args:
        budget: how much to keep, never exceeded: units=0.5, units=0.5/layer, params=0.7, macs=0.5, params=40000.
        threshold: instead of a budget, remove units that score below this (the paper's tau).
        scores: use the scores in this file (oamip score) instead of scoring.
        decision: use the decision in this file instead of scoring and deciding.
        refit: least-squares refit of the layers behind a removal.
        refit_samples: training samples that the refit sees.
        epochs: of fine-tuning after the refit.
        learning_rate: of fine-tuning.
        baselines: compare with these at the same budget: l2,jacobian,random, all or none.
        out: folder for the network, decision.json, report.json and report.md; a network of an earlier run there goes.
        formats: of the network: safetensors, pt2 (torch.export), onnx, several joined by commas.
        json: file for the report alone.
    """
    from oamip.budget import Budget
    from oamip.decision import Decision
    from oamip.files import write_atomically

    chosen = _baselines(baselines)
    wanted = None if budget is None else Budget.parse(budget)
    given = None if decision is None else Decision.load(decision)
    scored = None if scores is None else _scores(scores)
    _check_choice(wanted, threshold, given)
    kinds = _formats(formats, out)
    check_output(out, folder=True)
    check_output(json, folder=False)
    with progress() as tell:
        job = open_pruning(model, where, source, solving, units, tell)
        from oamip.pruning.result import Scoring

        result = job.run(
            budget=wanted,
            tau=threshold,
            scoring=None if scored or given else Scoring(way.formulation, way.samples, way.by_class, way.steps),
            importance=importance_options(importance, regression=job.data.regression),
            scores=scored,
            decision=given,
            refitting=refit,
            refit_samples=refit_samples,
            epochs=epochs,
            learning_rate=learning_rate,
            baselines=chosen,
        )
    _show(result, solving)  # first, so that a file that cannot be written costs nobody the answer
    if json is not None:
        write_atomically(json, json_format.dumps(result.report.to_dict(), indent=1))
    if out is not None:
        result.save(out, kinds)
        networks = ", ".join(f"model.{kind}" for kind in kinds)
        print(f"Written to {out}: {networks}, decision.json, report.json, report.md")


def importance_options(flags: Importance, *, regression: bool = False) -> ImportanceOptions:
    """The options that the flags mean; what is not said keeps its default."""
    from oamip.formulations.importance import ImportanceOptions

    names = ("bounds", "loss", "sparsity", "weight", "radius", "clamp", "trust_region")
    said = {name: getattr(flags, name) for name in names if getattr(flags, name) is not None}
    if regression:
        said.setdefault("loss", "squared")
    return ImportanceOptions.published(**said) if flags.published else ImportanceOptions(**said)


def _baselines(text: str) -> tuple[str, ...]:
    from oamip.errors import InputError
    from oamip.pruning.baselines import BASELINES

    if text in ("none", ""):
        return ()
    names = BASELINES if text == "all" else tuple(part.strip() for part in text.split(","))
    for name in names:
        if name not in BASELINES:
            raise InputError(f"no baseline '{name}'; there are {', '.join(BASELINES)} (or all, or none)")
    return names


def _scores(path: Path) -> Scores:
    from oamip.decision import Decision
    from oamip.errors import InputError

    scores = Decision.load(path).scores
    if scores is None:
        raise InputError(f"{path} holds a decision without scores; give it as --decision")
    return scores


def _check_choice(budget: object, threshold: float | None, decision: object) -> None:
    """Before anything is loaded or trained: exactly one way to choose."""
    from oamip.errors import BudgetError

    ways = [budget is not None, threshold is not None, decision is not None]
    if sum(ways) != 1:
        raise BudgetError("say what to keep by one of --budget units=0.5, --threshold 0.1 or --decision FILE")


def _formats(text: str, out: Path | None) -> tuple[str, ...]:
    """Before any work: known formats, whose packages are there."""
    from importlib.util import find_spec

    from oamip.errors import InputError, MissingDependency
    from oamip.pruning.result import checked_formats

    names = checked_formats([part.strip() for part in text.split(",")])
    if out is None and names != ("safetensors",):
        raise InputError("--formats are those of the files in a folder; say which: --out FOLDER")
    if "onnx" in names and find_spec("onnx") is None:
        raise MissingDependency("onnx", "writing ONNX files", "onnx")
    return names


def _show(result: Result, solving: Solving) -> None:
    width, colour = console()
    print(result.report.table(width=width, colour=colour), end="")
    if result.solution is not None:
        solving.show(result.solution)
