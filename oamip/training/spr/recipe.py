"""The whole line: train under a penalty, cut, remove, fine-tune, measure.

Validation data (``data.score``) stops the training and sets the thresholds; the report uses ``data.test``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from torch import nn

from oamip.budget import Scope
from oamip.data import Data
from oamip.decision import Decision
from oamip.errors import InputError
from oamip.learning import Descent, History, Plan, Row, constant, fit
from oamip.pruning.bench import Bench
from oamip.pruning.measure import Measured
from oamip.pruning.report import Report, group_counts, versions
from oamip.pruning.result import Result
from oamip.training.spr.bounds import weight_bounds
from oamip.training.spr.groups import WeightGroups
from oamip.training.spr.method import Held, Regularised
from oamip.training.spr.penalties import SPR, BigMRelaxation, GroupLasso, Penalty, Ridge, check_share
from oamip.training.spr.removal import shrink
from oamip.training.spr.threshold import Cut, cut_groups

__all__ = ["PENALTIES", "Counts", "Recipe", "Trained", "train_and_shrink"]

Tell: TypeAlias = Callable[[str], None]
PENALTIES = ("spr", "group-lasso", "ridge", "bigm")


@dataclass(frozen=True)
class Recipe:
    """How a network is trained small.

    Args:
        penalty: ``spr``, or one to compare with: ``group-lasso``, ``ridge``, ``bigm``.
        lam: λ, weight of the penalty.
        alpha: share of the ridge in it, in (0, 1); for ``spr`` and ``bigm``.
        descent: ``proximal``: groups become exactly zero; ``subgradient``: as the authors train, thresholds afterwards.
        scale: times the bounds M of the reference network.
        coupled: one group for all filters of a unit of a residual stream.
        linear: whether neurons of linear layers are groups.
        optimiser: ``sgd`` (the proximal step is then exact), ``adam`` or ``rmsprop``.
        momentum: of ``sgd``.
        weight_decay: in addition to the penalty.
        finetune: epochs afterwards, with the groups gone.
        finetune_rate: their learning rate, constant; by default a tenth of the training's first one.

    Raises:
        InputError: a word is unknown, or a number is out of range.
    """

    penalty: Literal["spr", "group-lasso", "ridge", "bigm"] = "spr"
    lam: float = 1.0
    alpha: float = 0.1
    descent: Literal["proximal", "subgradient"] = "proximal"
    scale: float = 1.0
    coupled: bool = True
    linear: bool = True
    optimiser: str = "sgd"
    momentum: float = 0.9
    weight_decay: float = 0.0
    finetune: int = 0
    finetune_rate: float | None = None

    def __post_init__(self) -> None:
        if self.penalty not in PENALTIES or self.descent not in ("proximal", "subgradient"):
            raise InputError(
                f"penalty '{self.penalty}' by '{self.descent}' steps: choose one of {', '.join(PENALTIES)}, by "
                "proximal or subgradient steps"
            )
        check_share(self.alpha)
        if not (0.0 <= self.lam < math.inf and 0.0 < self.scale < math.inf and 0.0 <= self.weight_decay < math.inf):
            raise InputError(
                f"lam={self.lam}, scale={self.scale}, weight_decay={self.weight_decay}: give numbers, the first and "
                "the last at least 0, the scale above 0"
            )
        if not isinstance(self.finetune, Integral) or self.finetune < 0:
            raise InputError(f"finetune={self.finetune}: give a number of epochs, or 0")
        if not (self.finetune_rate is None or 0.0 < self.finetune_rate < math.inf):
            raise InputError(f"finetune_rate={self.finetune_rate}: give a number above 0")

    def options(self) -> dict[str, float]:
        """Of the optimiser."""
        return {"weight_decay": self.weight_decay, **({"momentum": self.momentum} if self.optimiser == "sgd" else {})}

    def make(self, module: nn.Module, example: torch.Tensor, reference: nn.Module | None, scope: Scope) -> Penalty:
        """The penalty over the groups of a module.

        Raises:
            InputError: the penalty needs a reference network and there is none.
        """
        groups = WeightGroups.of(module, example, coupled=self.coupled, linear=self.linear, scope=scope)
        if self.penalty in ("group-lasso", "ridge"):
            return GroupLasso(groups) if self.penalty == "group-lasso" else Ridge(groups)
        if reference is None:
            raise InputError(
                f"the penalty {self.penalty} needs a reference network, whose largest weights are its bounds"
            )
        bounds = weight_bounds(groups, reference, scale=self.scale)
        return (SPR if self.penalty == "spr" else BigMRelaxation)(groups, bounds, self.alpha)

    def __str__(self) -> str:
        alpha = f", α = {self.alpha:g}" if self.penalty in ("spr", "bigm") else ""
        return f"{self.penalty} (λ = {self.lam:g}{alpha}, {self.descent} steps)"


@dataclass(frozen=True)
class Counts:
    """What is zero, and what is gone: the two conventions of the field.

    Args:
        groups: all of them.
        zero: of them zero.
        own: scalars of the groups that are zero: kernels, biases and normalisations of their own.
        removed: of the groups that are zero, those that are gone; a filter whose stream lives on stays, for example.
        params: parameters of the network before, and after removal, where the inputs of the next layers go as well.
        macs: multiply-adds before and after.
    """

    groups: int
    zero: int
    own: int
    removed: int
    params: tuple[int, int]
    macs: tuple[int, int]

    @staticmethod
    def of(groups: WeightGroups, decision: Decision, before: Measured, after: Measured) -> Counts:
        """From groups, some of them zero, what was removed, and the network as it was measured before and after."""
        gone, count, own, removed = ~decision.flat(groups.units), 0, 0, 0
        for zero, stack in zip(groups.zero(), groups.stacks, strict=True):
            count += int(zero.sum())
            own += int(zero.sum()) * stack.size
            removed += int((zero & gone[stack.units]).sum())
        return Counts(len(groups), count, own, removed, (before.params, after.params), (before.macs, after.macs))

    def __str__(self) -> str:
        before, after = self.params
        return (
            f"{self.zero:,} of {self.groups:,} groups are zero, {self.own:,} parameters of their own "
            f"({self.own / before:.1%}); {self.removed:,} are removed, {before - after:,} parameters with what reads "
            f"them ({1 - after / before:.1%}) and {self.macs[0] - self.macs[1]:,} of {self.macs[0]:,} multiply-adds "
            f"({1 - self.macs[1] / self.macs[0]:.1%})"
        )


@dataclass(frozen=True)
class Trained(Result):
    """What training small gave: a `Result` of pruning, and how it came about.

    Args:
        recipe: as it was asked for.
        history: of the training.
        finetuning: of the fine-tuning.
        counts: what is zero, and what is gone.
        cut: the thresholds, where there were some.
        whole: the trained network with its groups of zeros, before removal.
    """

    recipe: Recipe
    history: History
    finetuning: History
    counts: Counts
    cut: Cut | None
    whole: nn.Module

    def facts(self) -> dict[str, Any]:
        """All of it but the networks, as plain JSON types."""
        return {
            "recipe": asdict(self.recipe),
            "counts": asdict(self.counts),
            "cut": None if self.cut is None else self.cut.to_dict(),
            "history": self.history.to_dict(),
            "finetuning": self.finetuning.to_dict(),
        }


def train_and_shrink(
    module: nn.Module,
    data: Data,
    recipe: Recipe,
    plan: Plan,
    *,
    reference: nn.Module | None = None,
    scope: Scope | None = None,
    name: str = "network",
    folder: Path | None = None,
    resume: bool = False,
    progress: Callable[[str, Row], None] | None = None,
    tell: Tell | None = None,
) -> Trained:
    """Train a network in place under a penalty, and make it smaller by the units that died.

    Args:
        module: usually with random weights, as the authors begin.
        data: three parts.
        recipe: the penalty, and what follows.
        plan: of the training; fine-tuning takes batch, seed and augmentation from it.
        reference: the network trained plainly; its largest weights are the bounds, and the report begins with it.
        scope: which layers' units may die.
        name: of the network, for the report.
        folder: keeps checkpoints, in ``training`` and ``fine-tuning``.
        resume: go on from them.
        progress: called with the stage and the row of each epoch.
        tell: called with a line of text at every step.

    Raises:
        InputError, DataError: as `fit`, `weight_bounds` and `cut_groups`.
        MismatchError: the smaller network is not the network.
    """

    def told(text: str) -> None:
        if tell is not None:
            tell(text)

    def stage(network: nn.Module, method: Descent, how: Plan, stage_name: str) -> History:
        where = None if folder is None else folder / stage_name.replace(" ", "-")
        row = None if progress is None else lambda row: progress(stage_name, row)
        return fit(network, method, data, how, folder=where, resume=resume, progress=row)

    like = next(module.parameters())
    example = torch.from_numpy(data.train.x[:2]).to(like.device, like.dtype)
    penalty = recipe.make(module, example, reference, scope or Scope())
    groups = penalty.groups
    method = Regularised(
        module,
        penalty,
        recipe.lam,
        proximal=recipe.descent == "proximal",
        optimiser=recipe.optimiser,
        **recipe.options(),
    )
    bench = Bench(data.test)
    if reference is not None:
        bench.add("reference", "", reference, groups.units.size)
    history = stage(module, method, plan, "training")
    before = bench.add(recipe.penalty, "", module, groups.units.size)
    cut = None
    if recipe.descent == "subgradient":
        told("seeking thresholds on validation data")
        cut = cut_groups(module, groups, data.score)
    told("removing what is zero")
    small, decision = shrink(module, example, groups, samples=data.score.x[:16])
    left = groups.units.size - decision.removed
    after = bench.add(recipe.penalty, "removed", small, left)
    finetuning = History()
    if recipe.finetune:
        rate = recipe.finetune_rate or plan.learning_rate / 10
        how = replace(plan, epochs=recipe.finetune, learning_rate=rate, schedule=constant, patience=None)
        finetuning = stage(small, _held(small, example, recipe), how, "fine tuning")
        bench.add(recipe.penalty, "fine-tuned", small, left)
    told("measuring times")
    report = Report(
        name,
        bench.rows(),
        method=str(recipe),
        data=data.describe(),
        seed=plan.seed,
        groups=group_counts(groups.units, decision),
        versions=versions(),
    )
    counts = Counts.of(groups, decision, before, after)
    return Trained(small, decision, report, None, example, recipe, history, finetuning, counts, cut, module)


def _held(small: nn.Module, example: torch.Tensor, recipe: Recipe) -> Descent:
    """Plain training; groups that are zero and could not be removed, filters of a stream that lives on, stay zero."""
    if recipe.coupled:
        return Descent(small, recipe.optimiser, **recipe.options())
    return Held(small, WeightGroups.of(small, example, coupled=False), recipe.optimiser, **recipe.options())
