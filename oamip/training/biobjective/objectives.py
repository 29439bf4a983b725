"""The two objectives: how wrong a network is, and how much weight it has.

    f1 = mean loss + ρ‖conv‖²        f2 = ‖kernels‖₁ + ρ‖conv‖²

The loss is the cross-entropy (squared error for real targets), *kernels* are the weights of the dense layers or of
those chosen, without biases, and the norm is not divided by anything. The small ridge ρ on the other convolutions
stands in both, as the authors' library adds it (Reiners, Klamroth and Stiglmayr, arXiv 2008.13590; ρ = 0 leaves it
out). The gradient of f2 is ``sign(w)`` and needs no pass through the network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn

from oamip.data import Split
from oamip.errors import DataError, InputError
from oamip.learning import evaluating, loss_of

__all__ = ["Objectives"]

_CONVOLUTIONS = (nn.modules.conv._ConvNd,)


class Objectives:
    """f1 and f2 of one module, as it is whenever they are asked for.

    Args:
        module: with dense layers, or others that ``include`` names.
        include: patterns (``fnmatch``) of paths of dense layers and convolutions whose kernels f2 sums up; empty: all
            dense layers.
        exclude: patterns of paths of layers that it leaves out.
        ridge: ρ ≥ 0, on the kernels of the convolutions that f2 does not sum up.

    Attributes:
        layers: paths of the chosen layers.
        kernels: their weights.
        biases: their biases, which no objective sees and intra-training pruning prunes too.
        ridged: the kernels with the ridge.

    Raises:
        InputError: a pattern matches no layer, no layer is chosen, or the ridge is negative.
    """

    def __init__(
        self, module: nn.Module, *, include: Sequence[str] = (), exclude: Sequence[str] = (), ridge: float = 0.0
    ) -> None:
        if not 0 <= ridge < math.inf:
            raise InputError(f"ridge={ridge}: give a number from 0")
        known = {path: part for path, part in module.named_modules() if isinstance(part, (nn.Linear, *_CONVOLUTIONS))}
        for pattern in (*include, *exclude):
            if not any(fnmatchcase(path, pattern) for path in known):
                raise InputError(f"'{pattern}' matches no dense layer or convolution; there are {', '.join(known)}")
        self.module, self.ridge = module, ridge
        self.layers = tuple(
            path
            for path, part in known.items()
            if (any(fnmatchcase(path, p) for p in include) if include else isinstance(part, nn.Linear))
            and not any(fnmatchcase(path, pattern) for pattern in exclude)
        )
        if not self.layers:
            raise InputError(f"no kernel is chosen; include some of {', '.join(known) or 'no dense layers'}")
        chosen: list[Any] = [known[path] for path in self.layers]
        self.kernels = _distinct([part.weight for part in chosen])
        self.biases = _distinct([part.bias for part in chosen if part.bias is not None])
        others: list[Any] = [part.weight for part in known.values() if isinstance(part, _CONVOLUTIONS)]
        taken = {id(kernel) for kernel in self.kernels}
        self.ridged = tuple(kernel for kernel in _distinct(others) if id(kernel) not in taken) if ridge else ()

    # ── values ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def penalty(self) -> float:
        """ρ‖conv‖², which both objectives contain."""
        return self.ridge * sum(float(kernel.detach().square().sum(dtype=torch.float64)) for kernel in self.ridged)

    def norm(self) -> float:
        """‖kernels‖₁, summed in float64."""
        return sum(float(kernel.detach().abs().sum(dtype=torch.float64)) for kernel in self.kernels)

    def nonzeros(self) -> int:
        """Weights of the kernels that are not zero."""
        return sum(int(torch.count_nonzero(kernel.detach())) for kernel in self.kernels)

    @property
    def size(self) -> int:
        """Number of weights of the kernels."""
        return sum(kernel.numel() for kernel in self.kernels)

    def measure(self, split: Split, batch: int = 1000) -> tuple[float, float, float]:
        """(f1, f2, accuracy) on one part of the data, in evaluation mode; the accuracy of regression is NaN.

        Raises:
            DataError: the part has no labels or targets.
        """
        if split.y is None:
            raise DataError("the data has no labels; give y to measure the loss")
        like = self.kernels[0]
        loss, right = 0.0, 0
        with evaluating(self.module):
            for start in range(0, len(split), batch):
                x = torch.from_numpy(split.x[start : start + batch]).to(like.device, like.dtype)
                y = torch.from_numpy(split.y[start : start + batch]).to(like.device)
                output = self.module(x)
                loss += loss_of(output, y if split.labelled else y.to(like.dtype)).item() * len(x)
                right += int((output.argmax(1) == y).sum()) if split.labelled else 0
        f1, f2 = loss / len(split) + self.penalty(), self.norm() + self.penalty()
        return f1, f2, right / len(split) if split.labelled else math.nan

    # ── gradients ──────────────────────────────────────────────────────────────────────────────────────────────────

    @torch.no_grad()
    def gradients(self, parameters: Sequence[nn.Parameter]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """The gradients of f1 and f2 with respect to each parameter.

        Args:
            parameters: whose ``grad`` holds the gradient of the loss, from ``backward``; ``None`` counts as zero.
        """
        kernels, ridged = {id(k) for k in self.kernels}, {id(k) for k in self.ridged}
        pairs = []
        for parameter in parameters:
            first = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            second = torch.sign(parameter) if id(parameter) in kernels else torch.zeros_like(parameter)
            if id(parameter) in ridged:
                pull = 2.0 * self.ridge * parameter
                first, second = first + pull, second + pull
            pairs.append((first, second))
        return pairs


def _distinct(tensors: Sequence[nn.Parameter]) -> tuple[nn.Parameter, ...]:
    """Without repetition: a weight that two layers share is one."""
    return tuple({id(tensor): tensor for tensor in tensors}.values())
