"""Fine-tuning: a few small steps of training after a removal, with the one training loop of `oamip.learning`."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from oamip.data import Data, Split
from oamip.errors import InputError
from oamip.learning import Progress, train

__all__ = ["LEARNING_RATE", "finetune"]

LEARNING_RATE = 1e-3
"""Of Adam. After one epoch on MNIST with it, pruned networks were as good as the intact one (docs/importance.md)."""


def finetune(
    module: nn.Module,
    x: NDArray[np.float32],
    y: NDArray[Any],
    *,
    epochs: int,
    learning_rate: float = LEARNING_RATE,
    batch: int = 64,
    seed: int = 0,
    progress: Progress | None = None,
) -> nn.Module:
    """Train a module in place with Adam: cross entropy for class labels, squared error for targets.

    Parameters that do not require gradients stay; equal seeds give equal weights. What the loop refuses leaves the
    module as it was.

    Args:
        module: usually what a removal, and perhaps a refit, gave.
        x: samples (n, *shape).
        y: class labels (n,) or targets (n, k).
        epochs: passes over it.
        learning_rate: of Adam.
        batch: samples per step.
        seed: of the order of the samples, and of dropout.
        progress: called after each epoch with its number, the number of epochs and the mean loss.

    Returns:
        The same module, every part in the mode it had.

    Raises:
        InputError: no parameter can be trained, a number is not positive, or the loss is no longer finite (take a
            smaller learning rate).
    """
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise InputError("no parameter of the module requires gradients; nothing can be fine-tuned")
    modes = {path: part.training for path, part in module.named_modules()}
    before = copy.deepcopy(module.state_dict())
    split = Split(x, y)
    try:
        with torch.inference_mode(False), torch.enable_grad():
            train(
                module,
                Data(train=split, score=split, test=split),
                epochs=epochs,
                batch=batch,
                learning_rate=learning_rate,
                seed=seed,
                progress=progress,
            )
    except InputError:
        module.load_state_dict(before)
        raise
    finally:
        module.zero_grad()
        for path, mode in modes.items():
            module.get_submodule(path).training = mode
    return module
