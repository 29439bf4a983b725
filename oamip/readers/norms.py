"""Batch normalisation whose statistics never change: a factor and a shift per channel.

A network in normal form knows only what a batch normalisation computes in evaluation. Written back with a mean of 0 and
a variance of 1, it must not start to normalise by batches when somebody calls ``train()``. Its ``eps`` is 0, which
tells it apart in files that have no place for its class.
"""

from __future__ import annotations

from typing import Any

from torch import nn

__all__ = ["FixedNorm1d", "FixedNorm2d", "FixedNorm3d"]


class _Fixed(nn.Module):
    """Stays in evaluation mode; its weight and bias can be trained all the same."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.training = False

    def train(self, mode: bool = True) -> Any:  # noqa: ARG002  # torch's signature
        """Nothing changes."""
        return self

    def _check_input_dim(self, input: Any) -> None:  # noqa: A002  # torch's name
        """Left to the kernel, so that torch.fx can also trace through it."""


class FixedNorm1d(_Fixed, nn.BatchNorm1d):
    """`torch.nn.BatchNorm1d` that never looks at a batch."""


class FixedNorm2d(_Fixed, nn.BatchNorm2d):
    """`torch.nn.BatchNorm2d` that never looks at a batch."""


class FixedNorm3d(_Fixed, nn.BatchNorm3d):
    """`torch.nn.BatchNorm3d` that never looks at a batch."""
