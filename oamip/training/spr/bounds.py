"""The bounds M on the weights: of each layer, the largest absolute value in a plainly trained network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeAlias

import torch
from torch import nn

from oamip.errors import InputError
from oamip.training.spr.groups import WeightGroups

__all__ = ["FLOOR", "Reference", "weight_bounds"]

Reference: TypeAlias = nn.Module | Mapping[str, float] | float
"""A trained network of the same architecture; or M by path of layer; or one M for all (``math.inf``: none)."""

FLOOR = 1e-2
"""A layer that weight decay has killed has an M of nothing, and its filters would only ever see the ridge."""


def weight_bounds(
    groups: WeightGroups, reference: Reference, *, scale: float = 1.0, floor: float = FLOOR
) -> tuple[torch.Tensor, ...]:
    """One M for each layer, kernel, bias and the normalisation behind it together (Cacciola et al., arXiv 2206.14056).

    Args:
        groups: of the network that is to be trained.
        reference: where M comes from.
        scale: times this.
        floor: no M is smaller.

    Returns:
        Per stack of the groups, the bounds of a group's scalars, (size,), float64.

    Raises:
        InputError: the reference has no such layer or other shapes, or a number is not positive.
    """
    if not (scale > 0 and floor > 0):
        raise InputError(f"scale={scale} and floor={floor} must be positive")
    largest: dict[str, float] = {}
    for stack in groups.stacks:
        for part in stack.parts:
            found = reference if isinstance(reference, int | float) else _of(reference, part.block, part.path)
            if not found > 0 and not isinstance(reference, nn.Module):
                raise InputError(f"the bound of layer {part.block} is {found}; it must be positive")
            largest[part.block] = max(largest.get(part.block, 0.0), found)
    return tuple(
        torch.cat(
            [
                torch.full((part.width,), max(scale * largest[part.block], floor), dtype=torch.float64)
                for part in stack.parts
            ]
        )
        for stack in groups.stacks
    )


def _of(reference: nn.Module | Mapping[str, float], block: str, path: str) -> float:
    if isinstance(reference, Mapping):
        if block not in reference:
            raise InputError(f"there is no bound for layer {block}; there are some for {', '.join(reference)}")
        return float(reference[block])
    try:
        layer = reference.get_submodule(path)
    except AttributeError:
        raise InputError(f"the reference network has no layer {path}; give one of the same architecture") from None
    values = [parameter.detach().abs().max().item() for parameter in layer.parameters(recurse=False)]
    if not values or not all(map(math.isfinite, values)):
        raise InputError(f"the reference network has no finite weights in layer {path}; give one of the same kind")
    return float(max(values))
