"""The training loop: epochs of seeded batches, a schedule, validation, early stop, history, checkpoints, resumption."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import nn

from oamip.data import Data, Split
from oamip.errors import DataError, InputError
from oamip.learning.checkpoint import Checkpoint, fingerprint
from oamip.learning.measuring import evaluating
from oamip.learning.method import Method, Observed, loss_of
from oamip.learning.schedules import Schedule, constant

__all__ = ["History", "Plan", "Row", "fit"]

Row: TypeAlias = Mapping[str, float]
"""One epoch: ``epoch`` (from 1), ``rate``, what the method told (``loss`` and more, means over the epoch), and, where
the plan validates, ``validation_loss``, ``accuracy`` (of ``data.score``, for class labels only) and ``objective``."""


@dataclass(frozen=True)
class Plan:
    """How long and how fast.

    Args:
        epochs: passes over ``data.train``.
        batch: samples per step.
        learning_rate: of the first epoch.
        schedule: the factor on it by epoch.
        patience: stop after so many epochs without a lower ``objective``, and go back to the weights of the lowest;
            ``None`` runs all epochs and keeps the last weights.
        seed: of the order of the samples, of dropout and of ``augment``.
        validate: measure on ``data.score`` after each epoch.
        augment: changes each training batch (b, *shape), drawing from torch's generator.

    Raises:
        InputError: a number is not positive or not whole, or patience has nothing to watch.
    """

    epochs: int
    batch: int = 64
    learning_rate: float = 1e-3
    schedule: Schedule = constant
    patience: int | None = None
    seed: int = 0
    validate: bool = True
    augment: Callable[[torch.Tensor], torch.Tensor] | None = None

    def __post_init__(self) -> None:
        whole = [n for n in (self.epochs, self.batch, self.patience) if n is not None]
        if not all(isinstance(n, Integral) for n in whole):
            raise InputError(f"epochs={self.epochs}, batch={self.batch}, patience={self.patience}: give whole numbers")
        if self.epochs < 0 or self.batch < 1 or not 0 < self.learning_rate < math.inf:
            raise InputError(
                f"epochs={self.epochs}, batch={self.batch}, learning_rate={self.learning_rate}: all must be positive"
            )
        if self.patience is not None and (self.patience < 1 or not self.validate):
            raise InputError(f"patience={self.patience}: give 1 epoch or more, and let the plan validate")

    def rate(self, epoch: int) -> float:
        """Learning rate of an epoch, counted from 1."""
        return self.learning_rate * self.schedule(epoch - 1, max(1, self.epochs))

    def settings(self) -> dict[str, Any]:
        """As plain data."""
        names = {name: getattr(self, name) for name in ("epochs", "batch", "learning_rate", "patience", "seed")}
        functions = {name: _told(getattr(self, name)) for name in ("schedule", "augment")}
        return {**names, **functions, "validate": self.validate}


def _told(function: object) -> str:
    """A name for a function that does not change from run to run; other objects tell their fields."""
    return str(getattr(function, "__qualname__", repr(function)))


@dataclass
class History:
    """What happened.

    Args:
        rows: one per epoch.
        best: the epoch of the lowest ``objective``, 0 where there was none that is a number.
        stopped: whether patience ended it. With patience the module has the weights of epoch ``best`` in any case.
    """

    rows: list[dict[str, float]] = field(default_factory=list)
    best: int = 0
    stopped: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {"rows": [dict(row) for row in self.rows], "best": self.best, "stopped": self.stopped}


def fit(
    module: nn.Module,
    method: Method,
    data: Data,
    plan: Plan,
    *,
    folder: Path | str | None = None,
    resume: bool = False,
    progress: Callable[[Row], None] | None = None,
) -> History:
    """Train a module in place by a method, and leave it in evaluation mode.

    Equal seeds give equal weights (one machine, one number of threads), also where a run was killed and went on from
    its checkpoint. torch's own generators are left as they were; since they are torch's, two runs side by side need
    two processes.

    Args:
        module: to be trained, on any device.
        method: changes its weights.
        data: trains on ``train``, validates on ``score``.
        plan: how long and how fast.
        folder: keeps ``checkpoint.pt`` after each epoch, and ``history.json``.
        resume: go on from the checkpoint in the folder, if there is one; the module has the weights that it began with.
        progress: called with the row of each epoch that is run.

    Raises:
        DataError: the data has no labels or targets.
        InputError: the loss is no longer finite; the folder holds a run and ``resume`` was not said; or it holds
            another run than this one (method, plan, data, initial weights).
        ModelFileError: the checkpoint is damaged.
    """
    x, y = _tensors(data.train, module)
    devices = sorted({p.device.index for p in module.parameters() if p.device.type == "cuda"})
    with torch.random.fork_rng(devices=devices):  # batches, dropout and augmentation draw from the global generators
        torch.manual_seed(plan.seed)
        state = _State(module, method, History(), devices)
        checkpoint = None if folder is None else Checkpoint(Path(folder), fingerprint(module, method, plan, data))
        if checkpoint is not None and checkpoint.exists(resume=resume):
            state.restore(checkpoint.load())
        while not _over(state.history, plan):
            row = _epoch(module, method, plan, len(state.history.rows) + 1, x, y)
            if isinstance(method, Observed):
                row |= method.facts()
            if plan.validate:
                row |= _validated(module, method, data.score)
            state.record(row, keep=plan.patience is not None)
            state.history.stopped = _impatient(state.history, plan)
            if checkpoint is not None:
                checkpoint.save(state.capture(), state.history.to_dict())
            if progress is not None:
                progress(row)
        if plan.patience is not None and state.best is not None:
            module.load_state_dict(state.best)
    module.eval()
    return state.history


def _over(history: History, plan: Plan) -> bool:
    return history.stopped or len(history.rows) >= plan.epochs


def _impatient(history: History, plan: Plan) -> bool:
    return plan.patience is not None and len(history.rows) - history.best >= plan.patience


@dataclass
class _State:
    """All that a run goes on from."""

    module: nn.Module
    method: Method
    history: History
    devices: list[int]
    best: dict[str, torch.Tensor] | None = None

    def record(self, row: dict[str, float], *, keep: bool) -> None:
        history = self.history
        history.rows.append(row)
        lowest = history.rows[history.best - 1]["objective"] if history.best else math.inf
        if row.get("objective", math.inf) < lowest:  # never true of NaN
            history.best = len(history.rows)
            self.best = {name: t.clone() for name, t in self.module.state_dict().items()} if keep else None

    def capture(self) -> dict[str, Any]:
        return {
            "module": self.module.state_dict(),
            "method": self.method.state_dict(),
            "best": self.best,
            "rng": torch.random.get_rng_state(),
            "cuda": [torch.cuda.get_rng_state(device) for device in self.devices],
            "history": self.history.to_dict(),
        }

    def restore(self, saved: dict[str, Any]) -> None:
        self.module.load_state_dict(saved["module"])
        self.method.load_state_dict(saved["method"])
        self.best = saved["best"]
        torch.random.set_rng_state(saved["rng"])
        for device, state in zip(self.devices, saved["cuda"], strict=True):
            torch.cuda.set_rng_state(state, device)
        self.history = History(**saved["history"])


def _epoch(
    module: nn.Module, method: Method, plan: Plan, epoch: int, x: torch.Tensor, y: torch.Tensor
) -> dict[str, float]:
    module.train()
    rate = plan.rate(epoch)
    method.set_rate(rate)
    totals: dict[str, float] = {}
    seen = 0
    for index in _batches(len(x), plan.batch):
        samples = x[index] if plan.augment is None else plan.augment(x[index])
        for name, value in method.step(samples, y[index]).items():
            totals[name] = totals.get(name, 0.0) + value * len(index)
        seen += len(index)
    if not math.isfinite(totals["loss"]):
        raise InputError(
            f"the loss became {totals['loss']} in epoch {epoch} at learning rate {rate:g}; take a smaller one"
        )
    return {"epoch": epoch, "rate": rate, **{name: total / seen for name, total in totals.items()}}


def _batches(n: int, size: int) -> Iterator[torch.Tensor]:
    order = torch.randperm(n)
    for start in range(0, n, size):
        index = order[start : start + size]
        if len(index) > 1 or n == 1 or size == 1:  # batch norm cannot train on a last batch of one
            yield index


def _validated(module: nn.Module, method: Method, split: Split, batch: int = 1000) -> dict[str, float]:
    x, y = _tensors(split, module)
    loss, right = 0.0, 0
    with evaluating(module):
        for start in range(0, len(x), batch):
            part = y[start : start + batch]
            output = module(x[start : start + batch])
            loss += loss_of(output, part).item() * len(part)
            if split.labelled:
                right += int((output.argmax(dim=1) == part).sum())
        loss /= len(x)
        known = {"accuracy": right / len(x)} if split.labelled else {}
        return {"validation_loss": loss, **known, "objective": method.objective(loss)}


def _tensors(split: Split, module: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Samples and targets, on the device and in the precision of the module."""
    if split.y is None:
        raise DataError("the data has no labels; give y to train or to measure accuracy")
    like = next(module.parameters(), torch.empty(0))
    x = torch.from_numpy(split.x).to(like.device, like.dtype)
    y = torch.from_numpy(split.y)
    return x, y.to(like.device) if split.labelled else y.to(like.device, like.dtype)
