"""Regularisers over groups of weights: a loss term for anybody's loop, and a step that gives exact zeros.

    penalty = SPR.of(module, example, reference=trained, alpha=0.1)
    loss = cross_entropy + lam * penalty()              # the authors' way: subgradients, thresholds afterwards
    penalty.prox_(lam * learning_rate)                  # ours: after each optimiser step; groups become exactly zero

The value is the mean over groups, weighted by their sizes: Σ|E_i| z_i / Σ|E_i|, so that λ is of order 1 whatever the
network. A proximal step after a plain gradient step is the proximal gradient method. With momentum it is the usual
heuristic; with Adam or RMSprop it is decoupled, as weight decay is in AdamW: the step's own scaling does not enter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from oamip.budget import Scope
from oamip.errors import InputError
from oamip.training.spr.bounds import FLOOR, Reference, weight_bounds
from oamip.training.spr.groups import WeightGroups
from oamip.training.spr.terms import bigm, bigm_prox, lasso_prox, spr, spr_prox

__all__ = ["SPR", "BigMRelaxation", "GroupLasso", "Penalty", "Ridge", "check_share"]


def check_share(alpha: float) -> None:
    """The share of the ridge.

    Raises:
        InputError: it is not inside (0, 1).
    """
    if not 0.0 < alpha < 1.0:
        raise InputError(
            f"alpha={alpha}: it must be above 0 and below 1; near 0 the charge of each group counts alone, near 1 the "
            "ridge alone"
        )


class Penalty:
    """A function of each group of weights.

    Args:
        groups: of a module, whose parameters are read and changed in place.
        bounds: per stack of the groups, bounds M on the weights, (size,), float64; by default none.
    """

    name = "penalty"

    def __init__(self, groups: WeightGroups, bounds: Sequence[Tensor] | None = None) -> None:
        self.groups = groups
        free = [torch.full((stack.size,), math.inf, dtype=torch.float64) for stack in groups.stacks]
        self.bounds = tuple(free if bounds is None else bounds)

    def __call__(self) -> Tensor:
        """The size-weighted mean over all groups, a differentiable scalar."""
        sums = [stack.size * z.sum() for stack, z in zip(self.groups.stacks, self.values(), strict=True)]
        return torch.stack(sums).sum() / self.groups.scalars

    def values(self) -> list[Tensor]:
        """The value of each group, per stack, (groups,)."""
        matrices = [stack.read() for stack in self.groups.stacks]
        return [self._value(W, M.to(W)) for W, M in zip(matrices, self.bounds, strict=True)]

    @torch.no_grad()
    def prox_(self, step: float) -> None:
        """Minimise ½‖w − v‖² + step · (the penalty), v being the weights now, in place.

        Args:
            step: learning rate times λ.
        """
        for stack, M in zip(self.groups.stacks, self.bounds, strict=True):
            V = stack.read().double()
            stack.write(self._prox(V, M.to(V.device), step * stack.size / self.groups.scalars))

    def settings(self) -> dict[str, Any]:
        """What it is, as plain data."""
        return {"penalty": self.name, "groups": len(self.groups), "scalars": self.groups.scalars}

    def _value(self, W: Tensor, M: Tensor) -> Tensor:
        """Of each row of W, (n,)."""
        raise NotImplementedError

    def _prox(self, V: Tensor, M: Tensor, t: float) -> Tensor:
        """The w that minimises ½‖w − v‖² + t · value for each row v of V, (n, k), float64."""
        raise NotImplementedError


class _Switched(Penalty):
    """A relaxation of ridge plus a charge for each group that is not zero.

    Args:
        groups: of a module.
        bounds: see `weight_bounds`.
        alpha: share of the ridge, in (0, 1); the rest is the charge.

    Raises:
        InputError: alpha is not inside (0, 1).
    """

    def __init__(self, groups: WeightGroups, bounds: Sequence[Tensor], alpha: float) -> None:
        super().__init__(groups, bounds)
        check_share(alpha)
        self.alpha = float(alpha)

    @classmethod
    def of(
        cls,
        module: nn.Module,
        example_input: Tensor,
        *,
        reference: Reference,
        alpha: float,
        scale: float = 1.0,
        floor: float = FLOOR,
        coupled: bool = True,
        linear: bool = True,
        scope: Scope | None = None,
    ) -> Self:
        """For a module; see `WeightGroups.of` and `weight_bounds` for what the arguments mean."""
        groups = WeightGroups.of(module, example_input, coupled=coupled, linear=linear, scope=scope)
        return cls(groups, weight_bounds(groups, reference, scale=scale, floor=floor), alpha)

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "alpha": self.alpha, "bounds": [float(M.max()) for M in self.bounds]}


class SPR(_Switched):
    """Structured perspective regularisation, exact (`oamip.training.spr.terms.spr`).

    Cacciola, Frangioni, Li and Lodi, arXiv 2206.14056. The proximal step also keeps the weights within their bounds.
    """

    name = "spr"

    def _value(self, W: Tensor, M: Tensor) -> Tensor:
        return spr(W, M, self.alpha)

    def _prox(self, V: Tensor, M: Tensor, t: float) -> Tensor:
        return spr_prox(V, M, self.alpha, t)


class BigMRelaxation(_Switched):
    """The plain big-M relaxation of the same switch: α‖w‖² + (1−α) max_j |w_j|/M_j, never above `SPR`.

    Raises:
        InputError: a bound is infinite: nothing would be left of the charge.
    """

    name = "bigm"

    def __init__(self, groups: WeightGroups, bounds: Sequence[Tensor], alpha: float) -> None:
        super().__init__(groups, bounds, alpha)
        if not all(M.isfinite().all() for M in self.bounds):
            raise InputError("the big-M relaxation needs finite bounds; give a reference network, or numbers")

    def _value(self, W: Tensor, M: Tensor) -> Tensor:
        return bigm(W, M, self.alpha)

    def _prox(self, V: Tensor, M: Tensor, t: float) -> Tensor:
        return bigm_prox(V, M, self.alpha, t)


class GroupLasso(Penalty):
    """‖w‖₂ (Yuan and Lin 2006): what `SPR` is near 0 where M is large, up to the factor 2√(α(1−α))."""

    name = "group-lasso"

    def _value(self, W: Tensor, M: Tensor) -> Tensor:  # noqa: ARG002
        # The gradient of a norm at 0 is NaN in autograd and 0 here.
        square = (W * W).sum(dim=1)
        return torch.where(square > 0, torch.where(square > 0, square, 1.0).sqrt(), 0.0)

    def _prox(self, V: Tensor, M: Tensor, t: float) -> Tensor:  # noqa: ARG002
        return lasso_prox(V, t)


class Ridge(Penalty):
    """‖w‖₂²: shrinks, and makes no group zero; magnitude decides afterwards."""

    name = "ridge"

    def _value(self, W: Tensor, M: Tensor) -> Tensor:  # noqa: ARG002
        return (W * W).sum(dim=1)

    def _prox(self, V: Tensor, M: Tensor, t: float) -> Tensor:  # noqa: ARG002
        return V / (1.0 + 2.0 * t)
