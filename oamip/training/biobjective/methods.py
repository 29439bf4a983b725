"""Two ways to train for both objectives, for the loop `oamip.learning.fit`.

* `WeightedSum` minimises ``λ1 f1 + λ2 f2`` for given weights;
* `MultiGradient` (stochastic multi-gradient descent, SMGD) takes the weights of the shortest combination of the two
  gradients of each batch, and needs no preference.

Both prune while they train (`Zeroing`). One backward pass per batch serves both gradients, for that of f2 is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import torch

from oamip.errors import InputError
from oamip.learning import loss_of
from oamip.training.biobjective.direction import least_norm
from oamip.training.biobjective.objectives import Objectives
from oamip.training.biobjective.rules import RULES
from oamip.training.biobjective.search import Weights
from oamip.training.biobjective.zeroing import Zeroing

__all__ = ["Moments", "MultiGradient", "WeightedSum"]

Moments: TypeAlias = Literal["joint", "separate"]
"""Whether an optimiser normalises the weighted sum of the gradients, or each gradient by moments of its own."""


class _TwoObjectives:
    """A batch of either method."""

    name = ""

    def __init__(self, objectives: Objectives, optimiser: str, moments: Moments, zeroing: Zeroing | None) -> None:
        if optimiser not in RULES:
            raise InputError(f"optimiser {optimiser!r} is unknown; choose one of {', '.join(RULES)}")
        if moments not in ("joint", "separate"):
            raise InputError(f"moments {moments!r}: choose joint or separate")
        self.objectives, self.zeroing = objectives, zeroing or Zeroing()
        parameters = [p for p in objectives.module.parameters() if p.requires_grad]
        trained = {id(p) for p in parameters}
        if not all(id(kernel) in trained for kernel in objectives.kernels):
            raise InputError("a chosen kernel does not require gradients; exclude its layer or unfreeze it")
        # With momentum alone both are the same, and one channel is the cheaper.
        self._joint = moments == "joint" or optimiser == "sgd"
        self._rule = RULES[optimiser](parameters, 1 if self._joint else 2)
        self._rate = 0.0
        self._begun = False
        self._settings = {
            "method": self.name,
            "optimiser": optimiser,
            "moments": "joint" if self._joint else "separate",
            "layers": list(objectives.layers),
            "ridge": objectives.ridge,
            "threshold": self.zeroing.threshold,
            "mask": self.zeroing.mask,
        }

    def step(self, x: torch.Tensor, y: torch.Tensor) -> Mapping[str, float]:
        """One batch; the numbers are the loss without the ridge, and the weight c2 of the second objective."""
        if not self._begun:
            self.zeroing(self.objectives)
            self._begun = True
        parameters = self._rule.parameters
        for parameter in parameters:
            parameter.grad = None
        loss = loss_of(self.objectives.module(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        pairs = self.objectives.gradients(parameters)
        c1, c2 = self._weights(pairs)
        self.zeroing(self.objectives, lambda: self._move(pairs, c1, c2))
        return {"loss": loss.item(), "c2": c2}

    def _move(self, pairs: Sequence[tuple[torch.Tensor, torch.Tensor]], c1: float, c2: float) -> None:
        if self._joint:
            combined = [(c1 * first + c2 * second,) for first, second in pairs]
            self._rule.step(combined, (1.0,), self._rate)
        else:
            self._rule.step(pairs, (c1, c2), self._rate)

    def _weights(self, pairs: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> Weights:
        raise NotImplementedError

    def set_rate(self, learning_rate: float) -> None:
        """The learning rate from now on."""
        self._rate = learning_rate

    def settings(self) -> Mapping[str, Any]:
        """Everything that distinguishes the method."""
        return self._settings

    def state_dict(self) -> dict[str, Any]:
        """Moments, and how many steps were taken."""
        return dict(self._rule.state_dict())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take what `state_dict` gave."""
        self._rule.load_state_dict(state)


class WeightedSum(_TwoObjectives):
    """Minimise ``λ1 f1 + λ2 f2``.

    Args:
        objectives: of the module that is trained.
        weights: (λ1, λ2), not negative, not both zero.
        optimiser: ``adam``, ``rmsprop`` or ``sgd`` (momentum 0.9).
        moments: ``joint`` minimises the weighted sum; ``separate`` is the authors' step, which weighs two normalised
            gradients: one step then pulls every weight by no more than λ2 times the learning rate, so that pruning
            takes many steps or a high rate (docs/biobjective.md).
        zeroing: pruning while it trains; by default |w| ≤ 0.001 becomes zero.

    Raises:
        InputError: an option is unknown, or a weight is negative.
    """

    name = "weighted-sum"

    def __init__(
        self,
        objectives: Objectives,
        weights: Weights,
        *,
        optimiser: str = "adam",
        moments: Moments = "joint",
        zeroing: Zeroing | None = None,
    ) -> None:
        if not (min(weights) >= 0 and 0 < sum(weights) < float("inf")):
            raise InputError(f"weights {weights}: give two numbers from 0, one of them positive")
        super().__init__(objectives, optimiser, moments, zeroing)
        self.weights = weights
        self._settings |= {"weights": list(weights)}

    def _weights(self, pairs: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> Weights:  # noqa: ARG002
        return self.weights

    def objective(self, loss: float) -> float:
        """The weighted sum at the present weights."""
        penalty = self.objectives.penalty()
        return self.weights[0] * (loss + penalty) + self.weights[1] * (self.objectives.norm() + penalty)


class MultiGradient(_TwoObjectives):
    """Stochastic multi-gradient descent: each step goes along the shortest combination of the two gradients.

    The coefficients come from the raw gradients of the batch (see `least_norm`), whatever Adam or RMSProp then do with
    them. The norm is a sum over all weights and the loss a mean, so c2 is small; it is in the history.

    Args:
        objectives: of the module that is trained.
        optimiser: ``adam``, ``rmsprop`` or ``sgd`` (momentum 0.9).
        moments: as for `WeightedSum`.
        zeroing: pruning while it trains; by default |w| ≤ 0.001 becomes zero.

    Raises:
        InputError: an option is unknown.
    """

    name = "smgd"

    def __init__(
        self,
        objectives: Objectives,
        *,
        optimiser: str = "adam",
        moments: Moments = "joint",
        zeroing: Zeroing | None = None,
    ) -> None:
        super().__init__(objectives, optimiser, moments, zeroing)

    def _weights(self, pairs: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> Weights:
        return least_norm(pairs)

    def objective(self, loss: float) -> float:
        """The first objective: without a preference there is no one number for both."""
        return loss + self.objectives.penalty()
