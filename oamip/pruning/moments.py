"""What least squares must know of a layer's samples: a Gram matrix and a cross moment, gathered batch by batch.

For a layer with inputs H, present outputs Z and wanted outputs Y, the step (Δ, δ) of weights and bias solves

    min_Δ,δ  ‖(Y − Z) − H Δ − 1 δ‖² + ρ ‖Δ‖²

and needs only HᵀH and Hᵀ(Y − Z), whose size does not depend on the number of samples. Writing the problem for the step,
not for the weights, makes a layer that is right already stay as it is: its cross moment is zero.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from types import EllipsisType
from typing import TypeAlias

import torch
from torch import nn
from torch.nn import functional

__all__ = ["Moments", "Weighted", "channel_axis", "parameters_of", "set_parameters"]

Weighted: TypeAlias = nn.Linear | nn.modules.conv._ConvNd

_ENTRIES = 2**24
"""Largest number of float64 entries of H that are made at once (128 MiB)."""


@dataclass
class Moments:
    """Sums over all rows seen so far, float64; a layer with a bias has a constant last column.

    Args:
        gram: HᵀH, (blocks, columns, columns).
        cross: Hᵀ(Y − Z), (blocks, columns, channels of the block).
        residual: ‖Y − Z‖².
        power: ‖Y‖².
    """

    gram: torch.Tensor
    cross: torch.Tensor
    residual: float = 0.0
    power: float = 0.0

    @staticmethod
    def empty(layer: Weighted) -> Moments:
        """No rows yet."""
        weight = layer.weight
        blocks = 1 if isinstance(layer, nn.Linear) else layer.groups
        columns = math.prod(weight.shape[1:]) + (layer.bias is not None)
        gram = torch.zeros(blocks, columns, columns, dtype=torch.float64, device=weight.device)
        return Moments(gram, gram.new_zeros(blocks, columns, len(weight) // blocks))

    def add(self, layer: Weighted, inputs: torch.Tensor, outputs: torch.Tensor, wanted: torch.Tensor) -> None:
        """Add a batch: a layer's inputs and outputs, and the outputs that it should have."""
        per_sample = max(1, math.prod(self.gram.shape[:2]) * outputs[0].numel() // outputs.shape[channel_axis(layer)])
        size = max(1, _ENTRIES // per_sample)
        for x, z, y in zip(*(torch.split(part, size) for part in (inputs, outputs, wanted)), strict=True):
            h = _columns(layer, x).to(self.gram)
            if layer.bias is not None:
                h = torch.cat([h, h.new_ones(*h.shape[:2], 1)], dim=2)
            target = _rows(layer, y).to(self.gram)
            error = target - _rows(layer, z).to(self.gram)
            self.gram += h.mT @ h
            self.cross += h.mT @ error
            self.residual += float(error.square().sum())
            self.power += float(target.square().sum())

    def step(self, ridge: float, constant: bool) -> torch.Tensor:
        """The Δ (and δ in the last row) of the module's page, in the shape of ``cross``."""
        diagonal = self.gram.diagonal(dim1=1, dim2=2).clone()
        free = diagonal[:, : diagonal.shape[1] - constant]
        free[:] = ridge * free.mean(dim=1, keepdim=True)
        diagonal[:, free.shape[1] :] = 0.0  # the bias is not held back
        matrix = self.gram + torch.diag_embed(diagonal)
        factor, failed = torch.linalg.cholesky_ex(matrix)
        if failed.any():  # no ridge and dependent inputs: the shortest step of the many that fit equally well
            solution: torch.Tensor = torch.linalg.lstsq(matrix.cpu(), self.cross.cpu(), driver="gelsd").solution
            return solution.to(self.cross)
        return torch.cholesky_solve(self.cross, factor)

    def gain(self, step: torch.Tensor) -> float:
        """How much smaller the squared residual is after a step."""
        return float((2 * self.cross - self.gram @ step).mul(step).sum())


# ── a layer's parameters, inputs and outputs as matrices ──────────────────────────────────────────────────────────────


def channel_axis(layer: Weighted) -> int:
    """Where a layer's outputs keep their channels."""
    return -1 if isinstance(layer, nn.Linear) else 1


def parameters_of(layer: Weighted) -> torch.Tensor:
    """Weights, and the bias as a last row, in the shape of `Moments.cross`, float64."""
    rows = layer.weight.reshape(len(layer.weight), -1)
    if layer.bias is not None:
        rows = torch.cat([rows, layer.bias[:, None]], dim=1)
    blocks = 1 if isinstance(layer, nn.Linear) else layer.groups
    return rows.double().reshape(blocks, -1, rows.shape[1]).mT


def set_parameters(layer: Weighted, values: torch.Tensor) -> None:
    """The inverse of `parameters_of`, in place."""
    rows = values.mT.reshape(len(layer.weight), -1)
    weights = layer.weight[0].numel()
    layer.weight.copy_(rows[:, :weights].reshape(layer.weight.shape))
    if layer.bias is not None:
        layer.bias.copy_(rows[:, weights])


def _columns(layer: Weighted, x: torch.Tensor) -> torch.Tensor:
    """H (blocks, rows, columns) of a batch: one block per convolution group, columns in the order of the weights."""
    if isinstance(layer, nn.Linear):
        return x.reshape(1, -1, x.shape[-1])
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    padded = functional.pad(x, layer._reversed_padding_repeated_twice, mode=mode)
    offsets = itertools.product(*map(range, layer.kernel_size))
    windows = [padded[_window(layer, offset, padded.shape[2:])] for offset in offsets]
    patches = torch.stack(windows, dim=2)  # (n, channels, kernel, *positions)
    blocks = patches.reshape(len(x), layer.groups, -1, math.prod(patches.shape[3:]))
    return blocks.permute(1, 0, 3, 2).reshape(layer.groups, -1, blocks.shape[2])


def _window(
    layer: nn.modules.conv._ConvNd, offset: tuple[int, ...], size: torch.Size
) -> tuple[EllipsisType | slice, ...]:
    """The positions of the padded input that one kernel position multiplies."""
    slices: list[EllipsisType | slice] = [...]
    for o, d, k, s, length in zip(offset, layer.dilation, layer.kernel_size, layer.stride, size, strict=True):
        count = (length - d * (k - 1) - 1) // s + 1
        slices.append(slice(o * d, o * d + s * (count - 1) + 1, s))
    return tuple(slices)


def _rows(layer: Weighted, y: torch.Tensor) -> torch.Tensor:
    """Outputs as (blocks, rows, channels of the block), in the row order of `_columns`."""
    if isinstance(layer, nn.Linear):
        return y.reshape(1, -1, y.shape[-1])
    blocks = y.reshape(len(y), layer.groups, y.shape[1] // layer.groups, -1)
    return blocks.permute(1, 0, 3, 2).reshape(layer.groups, -1, blocks.shape[2])
