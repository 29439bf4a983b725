"""The authors' cut after training by subgradients: two thresholds, found by bisection on validation accuracy.

First the largest threshold on |w| that costs next to nothing; then the largest share of weights above it with which a
group still goes. The groups that go are set to zero whole; the others get all their weights back (Cacciola, Frangioni,
Li and Lodi, arXiv 2206.14056, second release of their code, which bisects on training accuracy).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn

from oamip.data import Split
from oamip.errors import DataError, InputError
from oamip.learning import accuracy
from oamip.training.spr.groups import WeightGroups

__all__ = ["Cut", "cut_groups"]


@dataclass(frozen=True)
class Cut:
    """What a bisection found.

    Args:
        threshold: on |w|.
        share: a group with this share of its weights above the threshold, or less, is gone.
        gone: how many groups.
        accuracy: of the split before, with the threshold alone, and with the groups gone.
    """

    threshold: float
    share: float
    gone: int
    accuracy: tuple[float, float, float]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {**asdict(self), "accuracy": list(self.accuracy)}


def cut_groups(
    module: nn.Module,
    groups: WeightGroups,
    split: Split,
    *,
    lost_by_threshold: float = 0.0005,
    lost_by_groups: float = 0.00005,
    largest: float = 0.1,
    steps: int = 10,
) -> Cut:
    """Set groups to zero in place, as many as the accuracy on a split allows.

    Args:
        module: trained under a penalty.
        groups: of its weights.
        split: validation data with class labels.
        lost_by_threshold: accuracy that the threshold on weights may cost, a fraction.
        lost_by_groups: that the share may cost beyond what the groups that are empty cost, a fraction.
        largest: threshold and share are sought between 0 and this.
        steps: of each bisection.

    Raises:
        DataError: the split has no class labels.
        InputError: a number is negative.
    """
    if split.y is None or not split.labelled:
        raise DataError("the thresholds are found by accuracy on the validation part, which needs class labels")
    if min(lost_by_threshold, lost_by_groups, largest) < 0 or steps < 1:
        raise InputError("the accuracy that may be lost and the largest threshold must not be negative")
    whole = [stack.read().detach().clone() for stack in groups.stacks]

    def tried(matrices: list[Tensor]) -> float:
        for stack, W in zip(groups.stacks, matrices, strict=True):
            stack.write(W)
        return accuracy(module, split)

    def thinned(threshold: float) -> list[Tensor]:
        return [W * (W.abs() > threshold) for W in whole]

    def without(share: float) -> list[Tensor]:
        return [W * ~_gone(W, threshold, share)[:, None] for W in whole]

    try:
        before = tried(whole)
        threshold = _bisect(lambda t: tried(thinned(t)) >= before - lost_by_threshold, largest, steps)
        thin = tried(thinned(threshold))
        empty = tried(without(0.0))
        share = _bisect(lambda s: tried(without(s)) >= empty - lost_by_groups, largest, steps)
        after = tried(without(share))
    except BaseException:
        for stack, W in zip(groups.stacks, whole, strict=True):
            stack.write(W)
        raise
    gone = sum(int(_gone(W, threshold, share).sum()) for W in whole)
    return Cut(threshold, share, gone, (before, thin, after))


def _gone(W: Tensor, threshold: float, share: float) -> Tensor:
    result: Tensor = (W.abs() > threshold).double().mean(dim=1) <= share
    return result


def _bisect(holds: Callable[[float], bool], largest: float, steps: int) -> float:
    """The largest value found at which something holds, taken to hold at 0 and up to some point."""
    low, high = 0.0, largest
    if holds(high):
        return high
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
