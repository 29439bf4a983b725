"""Update rules for two gradients: momentum, Adam and RMSProp, for a pair of weights (c1, c2).

A rule keeps *channels*: one for a combined gradient ``c1 g1 + c2 g2``, or one for each objective, so that each is
normalised by moments of its own and only the steps are combined (the authors' MAdam and MRMSProp):

    momentum   w ← w − η v,  v ← μ v + c1 g1 + c2 g2
    adam       w ← w − η Σ cᵢ m̂ᵢ / (√v̂ᵢ + ε)        m̂ᵢ, v̂ᵢ: first and second moments of gᵢ, bias-corrected
    rmsprop    w ← w − η Σ cᵢ gᵢ / (√vᵢ + ε)

In one channel they are `torch.optim.SGD`, `Adam` and `RMSprop` on the combined gradient.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import nn

__all__ = ["RULES", "Adam", "Momentum", "RMSProp", "Rule"]


class Rule:
    """State and arithmetic of one update rule.

    Args:
        parameters: to be changed.
        channels: gradients that are kept apart, 1 or 2.
    """

    moments = 1
    """Tensors kept for each parameter and channel."""

    def __init__(self, parameters: Sequence[nn.Parameter], channels: int) -> None:
        self.parameters, self.channels, self.steps = list(parameters), channels, 0
        self.state = [
            [[torch.zeros_like(parameter) for _ in range(self.moments)] for _ in range(channels)]
            for parameter in self.parameters
        ]

    @torch.no_grad()
    def step(self, gradients: Sequence[Sequence[torch.Tensor]], weights: Sequence[float], rate: float) -> None:
        """Change every parameter once.

        Args:
            gradients: for each parameter, one gradient for each channel.
            weights: of the channels.
            rate: η.
        """
        self.steps += 1
        for parameter, channels, state in zip(self.parameters, gradients, self.state, strict=True):
            for gradient, weight, moments in zip(channels, weights, state, strict=True):
                self._move(parameter, gradient, moments, rate * weight)

    def _move(self, parameter: torch.Tensor, gradient: torch.Tensor, moments: list[torch.Tensor], rate: float) -> None:
        raise NotImplementedError

    def state_dict(self) -> dict[str, object]:
        """For a checkpoint."""
        return {"steps": self.steps, "state": self.state}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Take what `state_dict` gave, on the parameters' device."""
        self.steps = int(state["steps"])  # type: ignore[call-overload]
        kept: list[list[list[torch.Tensor]]] = state["state"]  # type: ignore[assignment]
        self.state = [
            [[moment.to(parameter) for moment in channel] for channel in channels]
            for parameter, channels in zip(self.parameters, kept, strict=True)
        ]


class Momentum(Rule):
    """Stochastic gradient descent, μ = 0.9."""

    factor = 0.9

    def _move(self, parameter: torch.Tensor, gradient: torch.Tensor, moments: list[torch.Tensor], rate: float) -> None:
        moments[0].mul_(self.factor).add_(gradient)
        parameter.add_(moments[0], alpha=-rate)


class Adam(Rule):
    """β1 = 0.9, β2 = 0.999, ε = 1e-8 (Kingma and Ba 2015)."""

    moments = 2
    first, second, epsilon = 0.9, 0.999, 1e-8

    def _move(self, parameter: torch.Tensor, gradient: torch.Tensor, moments: list[torch.Tensor], rate: float) -> None:
        mean, square = moments
        mean.lerp_(gradient, 1.0 - self.first)
        square.mul_(self.second).addcmul_(gradient, gradient, value=1.0 - self.second)
        size = square.sqrt().div_(math.sqrt(1.0 - self.second**self.steps)).add_(self.epsilon)
        parameter.addcdiv_(mean, size, value=-rate / (1.0 - self.first**self.steps))


class RMSProp(Rule):
    """ρ = 0.9 (torch's own default is 0.99), ε = 1e-8."""

    decay, epsilon = 0.9, 1e-8

    def _move(self, parameter: torch.Tensor, gradient: torch.Tensor, moments: list[torch.Tensor], rate: float) -> None:
        moments[0].mul_(self.decay).addcmul_(gradient, gradient, value=1.0 - self.decay)
        parameter.addcdiv_(gradient, moments[0].sqrt().add_(self.epsilon), value=-rate)


RULES: Mapping[str, type[Rule]] = {"adam": Adam, "rmsprop": RMSProp, "sgd": Momentum}
