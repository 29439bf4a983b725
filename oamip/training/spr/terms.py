"""The regularisers as functions of a matrix of groups: values, and proximal maps.

Everything acts on ``W`` (n, k), one group of k weights in each row, with bounds ``M`` (k,) on the weights.

Structured perspective regularisation (Cacciola, Frangioni, Li and Lodi, arXiv 2206.14056), the switch projected out:

    z(w) = min { α‖w‖²/y + (1−α) y :  |w_j| ≤ M_j y,  y ≤ 1 },
    attained at y* = min{ 1, max{ max_j |w_j|/M_j, c‖w‖ } }  with c = √(α/(1−α)).

It is convex where |w| ≤ M, and there the largest convex function below ridge plus a charge of 1−α for w ≠ 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

__all__ = ["bigm", "bigm_prox", "lasso_prox", "spr", "spr_prox", "switch"]

Slope: TypeAlias = Callable[[Tensor], tuple[Tensor, Tensor]]
"""A function and its derivative, row by row, (n, 1) each."""

_STEPS = 200


def switch(W: Tensor, M: Tensor, alpha: float) -> Tensor:
    """The minimiser y* of every group, (n,), differentiable where it follows the largest weight."""
    largest = (W.abs() / M).amax(dim=1)
    # At c‖w‖ the derivative by y is zero and at 1 y stays, so only the first of the three has a slope that counts.
    norm = math.sqrt(alpha / (1.0 - alpha)) * torch.linalg.vector_norm(W.detach(), dim=1)
    return torch.where(largest >= norm, largest, norm).clamp(max=1.0)


def spr(W: Tensor, M: Tensor, alpha: float) -> Tensor:
    """The term z of every group, (n,); a group of zeros has value 0 and gradient 0.

    Beyond the bounds, |w_j| > M_j, it goes on as α‖w‖² + 1 − α: continuous, but no longer convex.
    """
    y = switch(W, M, alpha)
    dead = y == 0
    y = torch.where(dead, 1.0, y)
    return torch.where(dead, 0.0, alpha * (W * W).sum(dim=1) / y + (1.0 - alpha) * y)


def spr_prox(V: Tensor, M: Tensor, alpha: float, t: float) -> Tensor:
    """The w that minimises ½‖w − v‖² + t z(w) with |w| ≤ M, for every row v; in float64, to machine precision.

    For a given y the best weights are clip(v y/(y + 2tα), ±M y), and what remains is convex in y alone. As a function
    of u = y + 2tα its slope

        t(1−α) − tα Σ_j min(|v_j|/u, M_j)² − Σ_j M_j (|v_j| − M_j u)₊

    rises and is concave, so that Newton's method never passes the root from the left. The group is zero exactly where
    the slope at y = 0 is not negative.
    """
    V, M = V.double(), M.double()
    if t == 0:
        return torch.clamp(V, -M, M)
    least, size = 2.0 * t * alpha, V.abs()
    lowest, highest = torch.full_like(V[:, :1], least), torch.full_like(V[:, :1], 1.0 + least)
    dead = _spr_slope(size, M, alpha, t)(lowest)[0] >= 0
    full = _spr_slope(size, M, alpha, t)(highest)[0] <= 0
    u = torch.where(full, highest, lowest)
    between = (~(dead | full)).flatten().nonzero().flatten()
    if len(between):  # late in training most groups are dead
        start = (switch(V[between], M, alpha)[:, None] + least).clamp(max=1.0 + least)
        u[between] = _root(_spr_slope(size[between], M, alpha, t), start, least, 1.0 + least)
    y = u - least
    return torch.where(dead, 0.0, V.sign() * torch.minimum(size * (y / u), M * y))


def _spr_slope(size: Tensor, M: Tensor, alpha: float, t: float) -> Slope:
    """The slope by u of what is minimised over y, with its own derivative; ``size`` is |v|."""
    ratio, square = size / M, size * size
    finite = torch.where(M.isfinite(), M, 0.0)  # where there is no bound, nothing is clipped
    product, bound_square = size * finite, (finite * finite)[:, None]

    def slope(u: Tensor) -> tuple[Tensor, Tensor]:
        clipped = (ratio > u).to(size.dtype)
        at_bound = clipped @ bound_square
        inside = (square - square * clipped).sum(dim=1, keepdim=True) / (u * u)
        pushed = (product * clipped).sum(dim=1, keepdim=True)
        value = t * (1.0 - alpha) - t * alpha * (at_bound + inside) - pushed + u * at_bound
        return value, at_bound + 2.0 * t * alpha * inside / u

    return slope


def bigm(W: Tensor, M: Tensor, alpha: float) -> Tensor:
    """α‖w‖² + (1−α) max_j |w_j|/M_j: what is left of the switch in the plain big-M relaxation. (n,)"""
    return alpha * (W * W).sum(dim=1) + (1.0 - alpha) * (W.abs() / M).amax(dim=1).clamp(max=1.0)


def bigm_prox(V: Tensor, M: Tensor, alpha: float, t: float) -> Tensor:
    """The w that minimises ½‖w − v‖² + t bigm(w), |w| ≤ M: clip(v/(1 + 2tα), ±M y) at the best y."""
    V, M = V.double(), M.double()
    size, shrink = V.abs(), 1.0 + 2.0 * t * alpha

    def slope(y: Tensor) -> tuple[Tensor, Tensor]:
        short = size - shrink * M * y
        value = t * (1.0 - alpha) - (M * short.clamp(min=0)).sum(dim=1, keepdim=True)
        return value, torch.where(short > 0, shrink * M * M, 0.0).sum(dim=1, keepdim=True)

    dead, full = slope(torch.zeros_like(V[:, :1]))[0] >= 0, slope(torch.ones_like(V[:, :1]))[0] <= 0
    y = torch.where(full, 1.0, _root(slope, torch.zeros_like(V[:, :1]), 0.0, 1.0))
    return torch.where(dead, 0.0, V.sign() * torch.minimum(size / shrink, M * y))


def lasso_prox(V: Tensor, t: float) -> Tensor:
    """The w that minimises ½‖w − v‖² + t‖w‖: block soft thresholding (Yuan and Lin 2006)."""
    norm = torch.linalg.vector_norm(V, dim=1, keepdim=True)
    return torch.where(norm > t, V * (1.0 - t / torch.where(norm > t, norm, 1.0)), 0.0)


def _root(slope: Slope, u: Tensor, lowest: float, highest: float) -> Tensor:
    """Where rising concave slopes are zero between two ends, by Newton's method.

    Their tangents lie above them: a step never passes the root from the left, and comes back in one from the right.
    """
    for _ in range(_STEPS):
        value, change = slope(u)
        moved = (u - value / torch.where(change > 0, change, math.inf)).clamp(lowest, highest)
        still = (moved - u).abs() <= 4e-16 * u
        u = moved
        if bool(still.all()):
            break
    return u
