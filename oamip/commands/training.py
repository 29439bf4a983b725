"""The flags that say how a network is trained, and which of them mean nothing to a method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cyclopts import Group, Parameter

from oamip.commands.flags import Flag, Units, Way
from oamip.commands.solving import Solving

__all__ = ["ON_GROUPS", "Penalty", "Training", "check_pruning", "check_used"]

ON_GROUPS = ("spr", "group-lasso", "ridge", "bigm")
"""Methods with a penalty on groups."""


@Parameter(name="*", group=Group("Training", sort_key=1))
@dataclass(frozen=True)
class Training:
    """How the network is trained.

    Args:
        epochs: passes over the training part.
        batch: samples per step.
        optimiser: sgd (momentum 0.9), adam or rmsprop; by default sgd under a penalty on groups, adam otherwise.
        learning_rate: of the first epoch; by default 0.1 for sgd, 0.001 for the others.
        schedule: of the learning rate: constant, cosine, logistic or steps=100,150 (times 0.1 at each).
        weight_decay: of the optimiser, beside the penalty.
        patience: stop after so many epochs without a lower objective on the validation part, and keep the best weights.
    """

    epochs: int = 30
    batch: int = 64
    optimiser: str | None = None
    learning_rate: float | None = None
    schedule: str = "cosine"
    weight_decay: float = 0.0
    patience: int | None = None


@Parameter(name="*", group=Group("Penalty", sort_key=2))
@dataclass(frozen=True)
class Penalty:
    """What makes the network small while it is trained.

    Args:
        lam: λ, weight of the penalty, by default 1; with weighted-sum, weight of the L1 norm against 1 − λ of the loss,
            by default 3e-4.
        alpha: share of the ridge in the penalty, above 0 and below 1 (spr, bigm).
        descent: proximal makes groups exactly zero; subgradient is the authors' way, with thresholds afterwards.
        reference: weights of the network trained plainly, whose largest weights are the bounds (spr, bigm); by default
            a network that begins anew is trained plainly first, as long, and a file or a network with --weights is its
            own reference.
        scale: times the bounds of the reference.
        apart: in a residual stream, a group for the filter of each layer, as published, not one for all of them.
        linear: whether neurons of linear layers are groups, or filters only.
        finetune: epochs of fine-tuning with the groups gone.
        finetune_rate: its learning rate; by default a tenth of the training's first one.
    """

    lam: float | None = None
    alpha: float = 0.1
    descent: Literal["proximal", "subgradient"] = "proximal"
    reference: Path | None = None
    scale: float = 1.0
    apart: Flag = False
    linear: bool = True
    finetune: int = 5
    finetune_rate: float | None = None


def check_used(method: str, penalty: Penalty, training: Training, solving: Solving) -> None:
    """A flag that a method would pass over in silence is refused."""
    unused = {"group-lasso": ["alpha", "scale"], "ridge": ["alpha", "scale"], "spr": [], "bigm": []}.get(
        method, [name for name in vars(penalty) if name != "reference" and (name, method) != ("lam", "weighted-sum")]
    )
    given: dict[str, object] = {name: vars(penalty)[name] for name in unused}
    if method in ("weighted-sum", "smgd"):
        given["weight_decay"] = training.weight_decay
    _refuse(given, {**vars(Penalty()), **vars(Training())}, f"means nothing to --method {method}; leave it out")
    shown = {"log": solving.log, "explain": solving.explain}
    _refuse(shown, vars(Solving()), "means nothing to oamip train, which solves many programs; leave it out")


def check_pruning(method: str, penalty: Penalty, units: Units, way: Way, solving: Solving) -> None:
    """Without --then-prune nothing is pruned afterwards, and flags that say how are refused."""
    given: dict[str, object] = {**vars(way), **vars(solving), "least": units.least, "multiple": units.multiple}
    if method not in ON_GROUPS:
        given["reference"] = penalty.reference
    if method == "plain":
        given |= {"include": units.include, "exclude": units.exclude}
    usual = {**vars(Way()), **vars(Solving()), **vars(Units()), **vars(Penalty())}
    _refuse(given, usual, "is for --then-prune, which is not given; leave it out")


def _refuse(given: Mapping[str, object], usual: Mapping[str, object], why: str) -> None:
    from oamip.errors import InputError

    for name, value in given.items():
        if value != usual[name]:
            flag = ("--no-" if value is False else "--") + name.replace("_", "-")
            raise InputError(f"{flag} {why}")
