"""Units that no longer matter: nothing comes in, or nothing goes out, and what follows from that.

`oamip.pruning.remove_silent` removes those that say nothing as the network stands. Each takes its weights along, and
then units that only it read, or that only read it, say nothing either; so it is repeated until nothing changes.
"""

from __future__ import annotations

import torch
from torch import nn

from oamip.network import find_groups
from oamip.pruning import remove_silent
from oamip.readers import read

__all__ = ["compact", "count_dead"]


def compact(module: nn.Module, example_input: torch.Tensor) -> nn.Module:
    """A physically smaller copy of a module without its dead units, proven to compute the same.

    Args:
        module: readable by `oamip.readers.read`; it is not changed.
        example_input: a batch (n, *shape).

    Returns:
        The copy; an equal one where no unit is dead. A layer whose units are all dead keeps one.

    Raises:
        UnsupportedOperator: the module cannot be read.
        MismatchError: the smaller module computes something else.
    """
    small = remove_silent(module, example_input)
    while True:
        smaller = remove_silent(small, example_input)
        if _units(smaller, example_input) == _units(small, example_input):
            return small
        small = smaller


def count_dead(module: nn.Module, example_input: torch.Tensor) -> tuple[int, int]:
    """(dead units, parameters that are left without them); raises as `compact`."""
    small = compact(module, example_input)
    dead = _units(module, example_input) - _units(small, example_input)
    return dead, sum(parameter.numel() for parameter in small.parameters())


def _units(module: nn.Module, example_input: torch.Tensor) -> int:
    return find_groups(read(module, example_input)).size
