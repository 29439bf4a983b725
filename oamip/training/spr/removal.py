"""A smaller network out of one with groups that are zero."""

from __future__ import annotations

import logging

import torch
from torch import nn

from oamip.decision import Decision
from oamip.network import find_groups
from oamip.pruning.removal import Inputs
from oamip.pruning.silent import cut_silent
from oamip.readers import read
from oamip.training.spr.groups import WeightGroups

__all__ = ["shrink"]

_log = logging.getLogger(__name__)


def shrink(
    module: nn.Module, example_input: torch.Tensor, groups: WeightGroups, *, samples: Inputs | None = None
) -> tuple[nn.Module, Decision]:
    """A copy without the units whose weights are zero, proven to compute the same.

    Behind some of them stands a constant, a batch normalisation without scale and shift of its own for instance, that
    zero weights do not silence. It goes into the bias of the layers that read it (`oamip.pruning.remove_silent`), but
    behind zero padding it is not the same at the border, and no bias can say that: such units stay, and the log says
    how many.

    Args:
        module: trained under a penalty.
        example_input: a batch that it takes.
        groups: of its weights.
        samples: real inputs, for the proof.

    Returns:
        The smaller copy, and the decision that made it; a layer that died whole keeps its first unit.

    Raises:
        MismatchError: the copy is not the network.
    """
    zero = groups.silent()
    # Read again: the weights have changed since the groups were found.
    now = find_groups(read(module, example_input)).only({group.name for group in groups.units.groups})
    small, decision = cut_silent(module, example_input, now, among=zero, samples=samples)
    keep = decision.flat(now)
    for group in now.groups:
        if zero[group.slice].all():
            zero[group.start] = False  # which stays, or the layer would be empty
            _log.warning("every unit of %s died, nothing passes it: take a smaller λ or fewer epochs", group.name)
    if loud := int((zero & keep).sum()):
        _log.warning("%d units have zero weights and a constant behind them that no bias can say; they stay", loud)
    return small, decision
