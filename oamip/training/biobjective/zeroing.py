"""Intra-training pruning: after every batch, what is small becomes zero.

Reiners, Klamroth and Stiglmayr (arXiv 2008.13590): each parameter of the chosen layers, kernels and biases, with
``|w| ≤ 0.001``. Since ``sign(0) = 0`` the norm does not pull at a zero; the loss does, and a weight returns when one
step moves it by more than the threshold. With ``mask`` it never does: what is zero before a step is zero after it, so
the weights themselves are the mask and a checkpoint needs no other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from oamip.errors import InputError
from oamip.training.biobjective.objectives import Objectives

__all__ = ["Zeroing"]


@dataclass(frozen=True)
class Zeroing:
    """The rule.

    Args:
        threshold: the largest |w| that becomes zero; ``None`` prunes nothing while training.
        mask: zeros stay.

    Raises:
        InputError: the threshold is negative, or there is a mask without one.
    """

    threshold: float | None = 1e-3
    mask: bool = False

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 <= self.threshold < math.inf:
            raise InputError(f"threshold={self.threshold}: give a number from 0, or None to prune nothing")
        if self.mask and self.threshold is None:
            raise InputError("a mask keeps zeros at zero and needs a threshold; give one, or 0")

    @torch.no_grad()
    def __call__(self, objectives: Objectives, step: Callable[[], None] | None = None) -> None:
        """Take one step of training under the rule; without a step, apply the rule once, as before training."""
        parameters = (*objectives.kernels, *objectives.biases)
        zeros = [parameter == 0 for parameter in parameters] if self.mask and step is not None else []
        if step is not None:
            step()
        if self.threshold is None:
            return
        for parameter in parameters:
            parameter.masked_fill_(parameter.abs() <= self.threshold, 0.0)
        for parameter, zero in zip(parameters, zeros, strict=False):
            parameter.masked_fill_(zero, 0.0)
