"""Training under a penalty, and training with the groups that are gone held at zero."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from oamip.errors import InputError
from oamip.learning import Descent, loss_of
from oamip.training.spr.groups import WeightGroups
from oamip.training.spr.penalties import Penalty

__all__ = ["Held", "Regularised"]


class Regularised(Descent):
    """Loss + λ · penalty: by proximal steps, which give exact zeros, or by subgradients, as the authors train.

    Args:
        module: to be trained; the one whose groups the penalty reads.
        penalty: over its groups.
        lam: λ, at least 0.
        proximal: a proximal step after each optimiser step; else the penalty's gradient joins the loss's.
        optimiser: a key of `oamip.learning.OPTIMISERS`. The proximal step is exact for ``sgd``, decoupled for others.
        options: of the optimiser.

    Raises:
        InputError: λ is negative, or a layer with groups is frozen.
    """

    def __init__(
        self,
        module: nn.Module,
        penalty: Penalty,
        lam: float,
        *,
        proximal: bool = True,
        optimiser: str = "sgd",
        **options: float,
    ) -> None:
        super().__init__(module, optimiser, **options)
        if not 0.0 <= lam < float("inf"):
            raise InputError(f"lam={lam}: it must be a number, at least 0")
        for part in (part for stack in penalty.groups.stacks for part in stack.parts):
            if not part.parameter.requires_grad:
                raise InputError(
                    f"layer {part.path} is frozen, and the penalty would move it: leave it out of the scope"
                )
        self.penalty, self.lam, self.proximal, self._rate = penalty, lam, proximal, 0.0
        self._settings |= {"method": "regularised", "lam": lam, "proximal": proximal, **penalty.settings()}

    def step(self, x: torch.Tensor, y: torch.Tensor) -> Mapping[str, float]:  # noqa: D102
        self.optimiser.zero_grad()
        loss = loss_of(self.module(x), y)
        if self.proximal:
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()
            self.penalty.prox_(self._rate * self.lam)
            return {"loss": loss.item()}
        (loss + self.lam * self.penalty()).backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return {"loss": loss.item()}

    def facts(self) -> Mapping[str, float]:
        """The penalty, without λ, and the share of groups that are exactly zero."""
        with torch.no_grad():
            penalty = self.penalty().item()
        zero = sum(int(one.sum()) for one in self.penalty.groups.zero())
        return {"penalty": penalty, "zero_groups": zero / len(self.penalty.groups)}

    def set_rate(self, learning_rate: float) -> None:  # noqa: D102
        super().set_rate(learning_rate)
        self._rate = learning_rate

    @torch.no_grad()
    def objective(self, loss: float) -> float:
        """Validation loss + λ · penalty."""
        return loss + self.lam * self.penalty().item()


class Held(Descent):
    """Plain training in which the groups that are zero at the start stay zero: fine-tuning under a mask.

    Args:
        module: to be trained.
        groups: of its weights.
        optimiser: a key of `oamip.learning.OPTIMISERS`.
        options: of the optimiser.
    """

    def __init__(self, module: nn.Module, groups: WeightGroups, optimiser: str = "sgd", **options: float) -> None:
        super().__init__(module, optimiser, **options)
        self._held = groups.held()
        self._settings |= {"held": sum(int((~mask).sum()) for _, mask in self._held)}

    def step(self, x: torch.Tensor, y: torch.Tensor) -> Mapping[str, float]:  # noqa: D102
        told = super().step(x, y)
        with torch.no_grad():
            for stack, mask in self._held:
                W = stack.read()
                stack.write(W * mask.to(W))
        return told
