"""One network, measured: quality, size, and time.

Conventions, repeated wherever numbers are shown: accuracy and squared error are those of the samples given; MACs are
multiply-adds of convolutions and linear layers for one sample, half of the FLOPs that torch counts; bytes are those of
parameters and buffers, not of a file; time is the median of repeated forward passes of a batch of stated size.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import FlopCounterMode

from oamip.data import Split
from oamip.errors import DataError
from oamip.learning import accuracy, evaluating, mean_squared_error

__all__ = ["Latency", "Measured", "Row", "Stage", "latencies", "measure"]

Metric: TypeAlias = Literal["accuracy", "mse"]
Stage: TypeAlias = Literal["", "removed", "refit", "fine-tuned"]


@dataclass(frozen=True)
class Latency:
    """Wall seconds of one forward pass: the median of several rounds, and their extremes."""

    seconds: float = math.nan
    fastest: float = math.nan
    slowest: float = math.nan


@dataclass(frozen=True)
class Measured:
    """One network, measured.

    Args:
        metric: ``accuracy`` (fraction of samples, larger is better) or ``mse`` (mean squared error, smaller is better).
        score: its value.
        samples: how many it was measured on.
        params: number of parameters.
        macs: multiply-adds of convolutions and linear layers for one sample.
        bytes: of parameters and buffers.
        seconds: median wall time of one forward pass of ``batch`` samples with ``threads`` threads on ``device``.
        units: removable units that are left, where known.
        fastest, slowest: of the rounds whose median ``seconds`` is.
    """

    metric: Metric
    score: float
    samples: int
    params: int
    macs: int
    bytes: int
    seconds: float
    batch: int
    threads: int
    device: str
    units: int | None = None
    fastest: float = math.nan
    slowest: float = math.nan

    @property
    def flops(self) -> int:
        """As `torch.utils.flop_counter` counts them: two per multiply-add."""
        return 2 * self.macs


@dataclass(frozen=True)
class Row:
    """One network of the report.

    Args:
        name: ``original``, or what chose the units (``importance``, ``l2``).
        stage: the last thing done to it: ``removed``, then ``refit``, then ``fine-tuned``; empty for the original.
        measured: its numbers.
        baseline: whether it stands here for comparison only.
    """

    name: str
    stage: Stage
    measured: Measured
    baseline: bool = False

    def __str__(self) -> str:
        return f"{self.name}, {self.stage}" if self.stage else self.name


def measure(
    module: nn.Module,
    x: ArrayLike,
    y: ArrayLike | None,
    *,
    units: int | None = None,
    batch: int = 32,
    threads: int = 1,
    rounds: int = 5,
) -> Measured:
    """Measure a module in evaluation mode, where it is; its mode is restored.

    Args:
        module: takes one array (n, *shape).
        x: samples (n, *shape).
        y: class labels (n,), for accuracy; or real targets (n, k), for the mean squared error.
        units: removable units that are left; only noted.
        batch: samples in each forward pass that is timed.
        threads: torch's, while timing.
        rounds: of timing, a tenth of a second each; 0 leaves the time open (NaN).

    Raises:
        DataError: there are no samples or no targets, or the targets do not fit the output.
    """
    if y is None:
        raise DataError("there is nothing to measure the network against: give labels (n,) or real targets (n, k)")
    split = Split(np.asarray(x, dtype=np.float32), np.asarray(y))
    if len(split) == 0 or split.y is None or len(split) != len(split.y):
        raise DataError(f"cannot measure on {len(split)} samples with {0 if split.y is None else len(split.y)} targets")
    like = next(module.parameters(), torch.empty(0))
    some = torch.from_numpy(np.resize(split.x, (batch, *split.shape))).to(like)
    with evaluating(module):
        latency = latencies([module], some, threads=threads, rounds=rounds)[0]
        return Measured(
            metric="accuracy" if split.labelled else "mse",
            score=accuracy(module, split) if split.labelled else mean_squared_error(module, split),
            samples=len(split),
            params=sum(parameter.numel() for parameter in module.parameters()),
            macs=_flops(module, some[:1]) // 2,
            bytes=sum(t.numel() * t.element_size() for t in (*module.parameters(), *module.buffers())),
            seconds=latency.seconds,
            batch=batch,
            threads=threads,
            device=str(like.device),
            units=units,
            fastest=latency.fastest,
            slowest=latency.slowest,
        )


def _flops(module: nn.Module, sample: torch.Tensor) -> int:
    counter = FlopCounterMode(display=False)
    with counter:
        module(sample)
    return int(counter.get_total_flops())


def latencies(modules: Sequence[nn.Module], x: torch.Tensor, *, threads: int = 1, rounds: int = 5) -> list[Latency]:
    """How long one forward pass of ``x`` takes in each module; timed in turns, a tenth of a second each.

    Args:
        modules: in evaluation mode while timed; their modes are restored.
        x: a batch (n, *shape); it is taken to each module's device and precision first.
        threads: torch's, while timing.
        rounds: how often each module has its turn; 0 gives NaN.
    """
    timers = []
    for module in modules:
        like = next(module.parameters(), torch.empty(0))
        timers.append(Timer("module(x)", globals={"module": module, "x": x.to(like)}, num_threads=threads))
    times: list[list[float]] = [[] for _ in modules]
    with ExitStack() as stack:
        for module in modules:
            stack.enter_context(evaluating(module))
        for _ in range(rounds):
            for timer, mine in zip(timers, times, strict=True):
                mine.append(float(timer.blocked_autorange(min_run_time=0.1).median))
    return [Latency(statistics.median(mine), min(mine), max(mine)) if mine else Latency() for mine in times]
