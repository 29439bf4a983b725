"""Training by any method of the loop, and what is left when dead units are cut off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from oamip.data import Data
from oamip.learning import History, Method, Plan, Row, fit
from oamip.network import find_groups
from oamip.pruning.bench import Bench
from oamip.pruning.report import Report, versions
from oamip.readers import read
from oamip.training.biobjective.dead import compact

__all__ = ["Outcome", "train_by"]


@dataclass(frozen=True)
class Outcome:
    """A trained network.

    Args:
        module: without its dead units.
        report: the network as it was trained, and as it is now.
        history: of the training.
        example_input: two samples.
    """

    module: nn.Module
    report: Report
    history: History
    example_input: torch.Tensor


def train_by(
    module: nn.Module,
    method: Method,
    data: Data,
    plan: Plan,
    *,
    name: str = "network",
    label: str = "trained",
    folder: Path | None = None,
    resume: bool = False,
    progress: Callable[[str, Row], None] | None = None,
) -> Outcome:
    """Train a network in place, cut its dead units off a copy, and measure both.

    Args:
        module: that the method trains.
        method: how.
        data: three parts.
        plan: how long and how fast.
        name: of the network, for the report.
        label: of the method.
        folder: keeps checkpoints, in ``training``.
        resume: go on from them.
        progress: called with the stage and the row of each epoch.
    """
    where = None if folder is None else folder / "training"
    told = None if progress is None else lambda row: progress("training", row)
    history = fit(module, method, data, plan, folder=where, resume=resume, progress=told)
    like = next(module.parameters())
    example = torch.from_numpy(data.train.x[:2]).to(like.device, like.dtype)
    bench = Bench(data.test)
    before = find_groups(read(module, example)).size
    bench.add(label, "", module, before)
    small = compact(module, example)
    left = find_groups(read(small, example)).size
    if left < before:
        bench.add(label, "removed", small, left)
    method_told = label if left < before else ""
    report = Report(name, bench.rows(), method=method_told, data=data.describe(), seed=plan.seed, versions=versions())
    return Outcome(small, report, history, example)
