"""Training a network, and measuring it: accuracy for class labels, squared error for targets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from oamip.data import Data, Split
from oamip.errors import DataError, InputError

__all__ = ["OPTIMISERS", "Progress", "accuracy", "evaluating", "mean_squared_error", "outputs", "train"]

Progress = Callable[[int, int, float], None]
"""Called after each epoch with its number (from 1), the number of epochs, and the mean loss over it."""

OPTIMISERS: Mapping[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}


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
    if optimiser not in OPTIMISERS:
        raise InputError(f"optimiser {optimiser!r} is unknown; choose one of {', '.join(OPTIMISERS)}")
    if epochs < 0 or batch < 1 or not learning_rate > 0:
        raise InputError(f"epochs={epochs}, batch={batch}, learning_rate={learning_rate}: all must be positive")
    x, y = _tensors(data.train, module)
    loss_of = functional.cross_entropy if data.train.labelled else functional.mse_loss
    steps = OPTIMISERS[optimiser]((p for p in module.parameters() if p.requires_grad), lr=learning_rate)
    module.train()
    with torch.random.fork_rng(devices=[]):  # dropout draws from the global generator
        torch.manual_seed(seed)
        for epoch in range(1, epochs + 1):
            total = 0.0
            for index in _batches(len(x), batch):
                steps.zero_grad()
                loss = loss_of(module(x[index]), y[index])
                loss.backward()  # type: ignore[no-untyped-call]
                steps.step()
                total += loss.item() * len(index)
            if not math.isfinite(total):
                raise InputError(
                    f"the loss became {total} in epoch {epoch} at learning rate {learning_rate}; take a smaller one"
                )
            if progress is not None:
                progress(epoch, epochs, total / len(x))
    return module.eval()


def _batches(n: int, size: int) -> Iterator[torch.Tensor]:
    order = torch.randperm(n)
    for start in range(0, n, size):
        index = order[start : start + size]
        if len(index) > 1 or n == 1 or size == 1:  # batch norm cannot train on a last batch of one
            yield index


def _tensors(split: Split, module: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Samples and targets, on the device and in the precision of the module."""
    if split.y is None:
        raise DataError("the data has no labels; give y to train or to measure accuracy")
    like = next(module.parameters(), torch.empty(0))
    x = torch.from_numpy(split.x).to(like.device, like.dtype)
    y = torch.from_numpy(split.y)
    return x, y.to(like.device) if split.labelled else y.to(like.device, like.dtype)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode and no gradients; every submodule gets back the mode it had."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, mode in modes:
            part.training = mode


def outputs(module: nn.Module, split: Split, batch: int = 1000) -> NDArray[np.float64]:
    """What a network gives for all samples, in evaluation mode: (n, *output shape), its mode and hooks left alone."""
    like = next(module.parameters(), torch.empty(0))
    parts = []
    with evaluating(module):
        for start in range(0, len(split), batch):
            x = torch.from_numpy(split.x[start : start + batch]).to(like.device, like.dtype)
            parts.append(module(x).double().cpu().numpy())
    return np.concatenate(parts)


def accuracy(module: nn.Module, split: Split, batch: int = 1000) -> float:
    """Fraction of samples whose highest score is at their label, in evaluation mode.

    Raises:
        DataError: the split has no class labels.
    """
    if split.y is None or not split.labelled:
        raise DataError("accuracy needs class labels (n,); use mean_squared_error for regression")
    return float((outputs(module, split, batch).argmax(axis=1) == split.y).mean())


def mean_squared_error(module: nn.Module, split: Split, batch: int = 1000) -> float:
    """Squared error, the mean over samples and targets, in evaluation mode.

    Raises:
        DataError: the split has no targets (n, k), or the network gives another number of them.
    """
    if split.y is None or split.labelled:
        raise DataError("the mean squared error needs float targets (n, k); use accuracy for class labels")
    given = outputs(module, split, batch)
    if given.shape != split.y.shape:
        raise DataError(f"the network gives {given.shape[1:]} values, y has {split.y.shape[1:]}")
    return float(((given - split.y) ** 2).mean())
