"""Units of a torch module that say nothing are removed without a change of what it computes.

    small = remove_silent(module, example_input)

A mask sets a removed unit to zero, and `oamip.pruning.removal` reproduces the mask; a unit that is a constant c ≠ 0 is
no zero, so its removal would shift the output. Here what it adds to each layer, A c, is put into that layer's bias
first; then zero is what it may be. Which units these are is found in the structure of the network
(`oamip.network.rewrites.units`): rows of zeros that an unstructured pruning left, switched-off normalisations, units
that nobody reads. Behind zero padding a constant is not constant at the border, and such a unit stays.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from oamip.decision import Decision
from oamip.errors import MismatchError
from oamip.network import Affine, Groups, find_groups
from oamip.network.comparison import random_inputs
from oamip.network.rewrites.sketch import Sketch
from oamip.network.rewrites.units import Silent, silent_units
from oamip.pruning.removal import TOLERANCE, Inputs, as_tensors, duplicate, remove, restore
from oamip.readers.reading import read

__all__ = ["cut_silent", "remove_silent"]

_log = logging.getLogger(__name__)


def remove_silent(module: nn.Module, example_input: Inputs) -> nn.Module:
    """A copy of a module without its constant and unread units; at least one unit of each group stays.

    Args:
        module: is not changed; the copy has its class, modes, device, precision and hooks.
        example_input: a batch that the module accepts.

    Returns:
        The smaller copy. A layer without bias gets one where a constant goes into it.

    Raises:
        InputError: the module cannot be read.
        MismatchError: the copy does not compute what the module computes.
    """
    groups = find_groups(read(module, _as_read(example_input, module)))
    small, decision = cut_silent(module, example_input, groups)
    _log.info("%d of %d units were constant or unread, and are removed", decision.removed, groups.size)
    return small


def cut_silent(
    module: nn.Module,
    example_input: Inputs,
    groups: Groups,
    *,
    among: NDArray[np.bool_] | None = None,
    samples: Inputs | None = None,
) -> tuple[nn.Module, Decision]:
    """`remove_silent` for some of the units: the smaller copy, and the decision that made it.

    Args:
        module: as there.
        example_input: as there.
        groups: of the module as it is now, or some of them.
        among: one bool per unit, False for those that stay whatever they say.
        samples: real inputs on which equality is proven too (`oamip.pruning.remove`).
    """
    silent = silent_units(groups, among)
    told = duplicate(module)
    _tell(told, groups, silent)
    names = {group.name for group in groups.groups}
    again = find_groups(read(told, _as_read(example_input, module))).only(names)  # biases as the precision holds them
    decision = Decision.of(again, silent.keep, note="units that say nothing go")
    small = remove(told, example_input, again, decision, samples=samples)
    _compare(again, groups, silent, next((p.dtype for p in module.parameters()), torch.float64))
    restore(small, module)
    return small, decision


def _as_read(example: Inputs, module: nn.Module) -> torch.Tensor | tuple[torch.Tensor, ...]:
    tensors = as_tensors(example, module)
    return tensors if isinstance(example, tuple) else tensors[0]


@torch.no_grad()
def _tell(module: nn.Module, groups: Groups, silent: Silent) -> None:
    """Put the constants into the biases of the module's layers."""
    for name, added in silent.added.items():
        node = groups.network[name]
        assert isinstance(node, Affine)
        assert node.layer is not None, "a layer of its own, or its inputs would be frozen"
        layer = module.get_submodule(node.layer.path)
        grid = added if node.layer.kind == "linear" else np.moveaxis(added, 0, -1)
        channels = grid.reshape(-1, grid.shape[-1])[0]  # one number per channel, which all positions share
        weight: torch.Tensor = layer.weight  # type: ignore[assignment]
        more = torch.from_numpy(channels.copy()).to(weight)
        if layer.bias is None:
            layer.bias = nn.Parameter(more, requires_grad=weight.requires_grad)
        else:
            layer.bias += more  # type: ignore[operator]


def _compare(told: Groups, groups: Groups, silent: Silent, dtype: torch.dtype) -> None:
    """The network with its new biases and without the units is the network as it was.

    A bias as large as its constants is rounded by as much, whatever the layers behind make of it. So each bias must be
    the exact one to rounding, and the network with the exact ones must be the network as it was.
    """
    sketch, rounding = Sketch(told.network), 2 * torch.finfo(dtype).eps
    for name, added in silent.added.items():
        old, new = groups.network[name], told.network[name]
        assert isinstance(old, Affine)
        assert isinstance(new, Affine)
        exact = old.bias + added
        if not (np.abs(new.bias - exact) <= rounding * (np.abs(old.bias) + np.abs(added))).all():
            raise MismatchError(f"without its silent units the module differs: the bias of {name} is not what they say")
        sketch.put(replace(new, bias=exact), sketch.edges[name])
    inputs = random_inputs(groups.network)
    before = groups.network.evaluate(inputs)
    after = sketch.network().evaluate(inputs, told.mask(silent.keep))
    largest = max((float(np.abs(added).max()) for added in silent.added.values()), default=0.0)
    for name in groups.network.outputs:
        size = max(1.0, largest, np.abs(before[name]).max(initial=0.0))
        gap = np.abs(after[name] - before[name]).max(initial=0.0) / size
        if not gap <= TOLERANCE:
            raise MismatchError(f"without its silent units the module differs by {gap:.3g} (relative); nothing is done")
