"""The common descent direction of two objectives: the shortest vector between their gradients.

    d = c1 g1 + c2 g2,    c1 = clip( (g2 − g1)·g2 / ‖g1 − g2‖², 0, 1 ),    c2 = clip( (g1 − g2)·g1 / ‖g1 − g2‖², 0, 1 )

Then ``d·g1 ≥ ‖d‖²`` and ``d·g2 ≥ ‖d‖²``: −d makes both smaller, unless d = 0 and no direction does (Désidéri 2012,
"Multiple-gradient descent algorithm (MGDA) for multiobjective optimization"; for two gradients this closed form).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

__all__ = ["least_norm"]


def least_norm(gradients: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> tuple[float, float]:
    """The weights (c1, c2) of the shortest convex combination of two gradients; (1, 0) where they are equal.

    Args:
        gradients: pairs of equal shapes, one for each parameter: together they are g1 and g2.
    """
    first_along = second_along = size = 0.0
    for first, second in gradients:  # from the difference itself: its Gram matrix would cancel where g1 ≈ g2
        difference = (first - second).flatten().double()
        first_along += float(difference @ first.flatten().double())
        second_along -= float(difference @ second.flatten().double())
        size += float(difference @ difference)
    if size == 0.0:
        return 1.0, 0.0
    c = max(min(first_along, second_along) / size, 0.0)  # the smaller weight, of which 1 − the other would lose digits
    return (c, 1.0 - c) if second_along < first_along else (1.0 - c, c)
