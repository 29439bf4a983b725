"""What one batch does to the weights: the seam between the loop and everything that trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch
from torch import nn
from torch.nn import functional

from oamip.errors import InputError

__all__ = ["OPTIMISERS", "Descent", "Loss", "Method", "Observed", "loss_of", "optimiser_for"]

Loss: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

OPTIMISERS: Mapping[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}


def loss_of(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy for class labels (integers), mean squared error for real targets."""
    if not y.is_floating_point():
        return functional.cross_entropy(output, y)
    return functional.mse_loss(output[:, None] if output.ndim == 1 else output, y)


class Method(Protocol):
    """A way to train: everything that happens in one batch, and all state that lasts from one batch to the next."""

    def step(self, x: torch.Tensor, y: torch.Tensor) -> Mapping[str, float]:
        """Change the weights once, given samples (b, *shape) and labels (b,) or targets (b, k).

        Returns:
            Numbers for the history, each a mean over the batch; the loop averages them over the epoch. ``loss`` must
            be among them, and none may be called like what the loop itself records.
        """
        ...

    def set_rate(self, learning_rate: float) -> None:
        """Take this learning rate from now on; the loop says it before each epoch."""
        ...

    def objective(self, loss: float) -> float:
        """What early stopping watches (less is better), given the mean validation loss at the present weights."""
        ...

    def settings(self) -> Mapping[str, Any]:
        """What distinguishes this method from others, as plain JSON data; a run goes on only with equal settings."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """All state beside the module's own: tensors, numbers, text, lists and dictionaries of them."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take a state that `state_dict` gave."""
        ...


@runtime_checkable
class Observed(Protocol):
    """A `Method` that tells more about the weights at the end of each epoch."""

    def facts(self) -> Mapping[str, float]:
        """Numbers for the history, at the present weights."""
        ...


def optimiser_for(module: nn.Module, name: str, **options: float) -> torch.optim.Optimizer:
    """An optimiser by name over the parameters that require gradients; the loop sets its rate.

    Raises:
        InputError: there is no such optimiser, or no parameter to train.
    """
    if name not in OPTIMISERS:
        raise InputError(f"optimiser {name!r} is unknown; choose one of {', '.join(OPTIMISERS)}")
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if not parameters:
        raise InputError("no parameter of the module requires gradients; nothing can be trained")
    return OPTIMISERS[name](parameters, lr=1.0, **options)


class Descent:
    """Gradient descent on the plain loss by one of torch's optimisers; other methods may build on it.

    Args:
        module: to be trained.
        optimiser: a key of `OPTIMISERS`.
        options: of the optimiser, such as ``momentum=0.9`` or ``weight_decay=5e-4``.
    """

    def __init__(self, module: nn.Module, optimiser: str = "adam", **options: float) -> None:
        self.module = module
        self.optimiser = optimiser_for(module, optimiser, **options)
        self._settings = {"method": "plain", "optimiser": optimiser, **options}

    def step(self, x: torch.Tensor, y: torch.Tensor) -> Mapping[str, float]:  # noqa: D102
        self.optimiser.zero_grad()
        loss = loss_of(self.module(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return {"loss": loss.item()}

    def set_rate(self, learning_rate: float) -> None:  # noqa: D102
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate

    def objective(self, loss: float) -> float:  # noqa: D102
        return loss

    def settings(self) -> Mapping[str, Any]:  # noqa: D102
        return self._settings

    def state_dict(self) -> dict[str, Any]:  # noqa: D102
        return {"optimiser": self.optimiser.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: D102
        self.optimiser.load_state_dict(state["optimiser"])
