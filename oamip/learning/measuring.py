"""Measuring a network: accuracy for class labels, squared error for targets."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from oamip.data import Split
from oamip.errors import DataError

__all__ = ["accuracy", "doubt_untrained", "evaluating", "mean_squared_error", "outputs"]

_log = logging.getLogger(__name__)


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
    given = given[:, None] if given.ndim == 1 else given  # one number for each sample
    if given.shape != split.y.shape:
        raise DataError(f"the network gives {given.shape[1:]} values, y has {split.y.shape[1:]}")
    return float(((given - split.y) ** 2).mean())


def doubt_untrained(right: float, classes: int | None, what: str) -> None:
    """Say so when a network is hardly better than guessing: nothing that is measured on it then means anything.

    Args:
        right: its accuracy.
        classes: how many there are; ``None`` where there are none.
        what: names the network.
    """
    guessing = 1.0 / classes if classes else 0.0
    if classes and right < guessing + 0.05 * (1.0 - guessing):
        _log.warning(
            "%s gets only %.1f %% right: is it trained, and is the data scaled as in training?", what, 100 * right
        )
