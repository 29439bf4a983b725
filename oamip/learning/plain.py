"""Plain training: the loss alone, by one of torch's optimisers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from torch import nn

from oamip.data import Data
from oamip.learning.loop import Plan, Row, fit
from oamip.learning.method import Descent

__all__ = ["Progress", "train"]

Progress: TypeAlias = Callable[[int, int, float], None]
"""Called after each epoch with its number (from 1), the number of epochs, and the mean loss over it."""


def train(
    module: nn.Module,
    data: Data,
    *,
    epochs: int,
    batch: int = 64,
    optimiser: str = "adam",
    learning_rate: float = 1e-3,
    seed: int = 0,
    progress: Progress | None = None,
) -> nn.Module:
    """Train a network in place on ``data.train``: cross entropy for labels, squared error for targets.

    Equal seeds give equal weights (one machine, one number of threads); torch's own generator is left as it was.

    Returns:
        The same module, in evaluation mode.

    Raises:
        DataError: the data has no labels or targets.
        InputError: the optimiser is unknown, a number is not positive, or the loss is no longer finite.
    """

    def told(row: Row) -> None:
        if progress is not None:
            progress(int(row["epoch"]), epochs, row["loss"])

    plan = Plan(epochs, batch, learning_rate, seed=seed, validate=False)
    fit(module, Descent(module, optimiser), data, plan, progress=told)
    return module
