"""A smaller network out of one with groups that are zero."""

from __future__ import annotations

import logging

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from oamip.decision import Decision
from oamip.network import Groups, find_groups
from oamip.pruning import remove
from oamip.pruning.removal import Inputs
from oamip.readers import read
from oamip.training.spr.groups import WeightGroups

__all__ = ["shrink"]

_log = logging.getLogger(__name__)


def shrink(
    module: nn.Module, example_input: torch.Tensor, groups: WeightGroups, *, samples: Inputs | None = None
) -> tuple[nn.Module, Decision]:
    """A copy without the units that are silent, proven to compute the same (`oamip.pruning.remove`).

    A unit is silent when its weights are zero and so is every value that it sends: nothing is lost with it. Behind some
    units stands a constant, a batch normalisation without scale and shift of its own for instance, that zero weights do
    not silence; those stay, and the log says how many.

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
    # Read again: the weights have changed since the groups were found.
    now = find_groups(read(module, example_input)).only({group.name for group in groups.units.groups})
    keep = ~(groups.silent() & _silent(now))
    if loud := int((groups.silent() & keep).sum()):
        _log.warning("%d units have zero weights and a constant output; they stay", loud)
    for group in now.groups:
        if not keep[group.slice].any():
            keep[group.start] = True
            _log.warning("every unit of %s died, nothing passes it: take a smaller λ or fewer epochs", group.name)
    decision = Decision.of(now, keep, note="units whose weights are all zero go")
    return remove(module, example_input, now, decision, samples=samples), decision


def _silent(groups: Groups) -> NDArray[np.bool_]:
    """Units that are zero wherever they appear, for random inputs."""
    generator, network = np.random.default_rng(0), groups.network
    inputs = {name: generator.standard_normal((4, *network[name].shape)) for name in network.inputs}
    heard = np.zeros(groups.size, dtype=np.bool_)
    for name, values in network.evaluate(inputs).items():
        labels = groups.labels[name]
        nonzero = (values != 0).any(axis=0).ravel()
        heard[labels[nonzero & (labels >= 0)]] = True
    return ~heard
