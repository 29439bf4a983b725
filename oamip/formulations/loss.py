"""Losses of a program: what the outputs of a network, as expressions, should be close to.

* ``hinge``: multiclass hinge ``Σ_k max(0, max_{c ≠ y} 1 + o_kc − o_ky) / n``, rows only, any LP solver;
* ``cross_entropy``: ``Σ_k [log Σ_c exp(o_kc) − o_ky] / n``, one `LogSumExp` epigraph per sample;
* ``squared``: ``Σ_k ‖o_k − y_k‖² / n`` for regression, one `SumSquares` epigraph per sample.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.errors import DataError
from oamip.program import Expression, LogSumExp, Program, SumSquares

__all__ = ["LOSSES", "Loss", "add_loss", "check_labels"]

Loss: TypeAlias = Literal["hinge", "cross_entropy", "squared"]
Labels: TypeAlias = NDArray[Any]


def add_loss(program: Program, loss: Loss, outputs: Expression, y: Labels) -> Expression:
    """Add the mean loss of ``outputs`` (n, C) against labels (n,) or targets (n, C); returns it as a scalar."""
    return _ADD[loss](program, outputs, y)


def check_labels(loss: Loss, y: Labels | None, outputs: int) -> Labels:
    """Labels fit for a loss: class numbers (n,) for hinge and cross-entropy, targets (n, outputs) for squared error.

    Raises:
        DataError: there are none, they have the wrong shape, or a class number is out of range.
    """
    if y is None:
        raise DataError(f"the loss '{loss}' needs labels, and the samples have none: give (x, y)")
    y = np.asarray(y)
    if loss == "squared":
        targets = y.reshape(len(y), -1).astype(np.float64)
        if targets.shape[1] != outputs:
            raise DataError(f"the targets have {targets.shape[1]} numbers a sample, the network {outputs} outputs")
        return targets
    if y.ndim != 1 or not np.issubdtype(y.dtype, np.integer):
        raise DataError(
            f"the loss '{loss}' needs class numbers (n,), not {y.dtype} of shape {y.shape}; try loss='squared'"
        )
    if y.size and (y.min() < 0 or y.max() >= outputs):
        raise DataError(f"labels run from {y.min()} to {y.max()}, the network has classes 0 to {outputs - 1}")
    if outputs < 2:
        raise DataError(f"the loss '{loss}' needs at least two outputs; for one output use loss='squared'")
    return y


def _hinge(program: Program, outputs: Expression, y: Labels) -> Expression:
    n, classes = outputs.shape
    missed = program.variables("hinge", n, 0.0)
    sample, other = np.nonzero(np.arange(classes)[None] != y[:, None])
    flat = outputs.reshape(-1)
    margin = flat[sample * classes + other] - flat[sample * classes + y[sample]]
    program.add("margin", missed[sample] - margin >= 1.0)
    return missed.mean()


def _cross_entropy(program: Program, outputs: Expression, y: Labels) -> Expression:
    n, classes = outputs.shape
    partition = program.variables("log_partition", n)
    program.epigraph("cross_entropy", LogSumExp(), outputs, partition)
    return (partition - outputs.reshape(-1)[np.arange(n) * classes + y]).mean()


def _squared(program: Program, outputs: Expression, y: Labels) -> Expression:
    error = program.variables("squared_error", outputs.shape[0], 0.0)
    program.epigraph("squared", SumSquares(), outputs - y, error)
    return error.mean()


_ADD: dict[str, Callable[[Program, Expression, Labels], Expression]] = {
    "hinge": _hinge,
    "cross_entropy": _cross_entropy,
    "squared": _squared,
}
LOSSES: tuple[str, ...] = tuple(_ADD)
