"""Sparsity terms: what it costs to keep units.

With ``I_l = Σ_{i ∈ l} (s_i − 2)`` over the N_l scored units of layer l and L scored layers:

* ``published``: ``sumlargest_{L−1}(I_1 … I_L) / Σ N_l``, the paper and its first release: the layer that is pruned most
  drops out of the penalty;
* ``normalised``: ``sumlargest_{L−1}(I_1 / N_1 … I_L / N_L)``, the later code; at the optimum all layer means are equal
  wherever they can be;
* ``layers``: ``Σ_l (Σ s / N_l) / L``, the average of layer means (ours, the default);
* ``units``: ``Σ s / Σ N_l``, the plain mean.

The sum of the L − 1 largest is ``t ≥ Σ_l I_l − I_j`` for every j. With one scored layer it is that layer itself; an
empty sum would leave no sparsity at all. N_l counts units, a convolution's channels once each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.program import Expression, Program, concatenate

__all__ = ["SPARSITIES", "Sparsity", "add_sparsity"]

Sparsity: TypeAlias = Literal["published", "normalised", "layers", "units"]
Rows: TypeAlias = NDArray[np.intp]


def add_sparsity(program: Program, kind: Sparsity, keep: Expression, layers: list[Rows]) -> Expression:
    """Add a sparsity term over scored units.

    Args:
        program: gets a variable and rows where the term needs them.
        kind: which term.
        keep: expression (units,) of scores in [0, 1].
        layers: for each scored layer, its units; empty layers are not allowed.

    Returns:
        The term as a scalar expression.
    """
    return _ADD[kind](program, [keep[units] for units in layers])


def _published(program: Program, layers: list[Expression]) -> Expression:
    return _sum_largest(program, [(s - 2.0).sum() for s in layers]) / sum(s.size for s in layers)


def _normalised(program: Program, layers: list[Expression]) -> Expression:
    return _sum_largest(program, [(s - 2.0).mean() for s in layers])


def _layers(_: Program, layers: list[Expression]) -> Expression:
    return concatenate([s.mean() for s in layers]).mean()


def _units(_: Program, layers: list[Expression]) -> Expression:
    return concatenate(layers).mean()


def _sum_largest(program: Program, terms: list[Expression]) -> Expression:
    """Sum of all terms but the smallest."""
    if len(terms) == 1:
        return terms[0]
    stacked = concatenate(terms)
    largest = program.variables("sum_largest")
    program.add("sum_largest", largest - (stacked.sum() - stacked) >= 0)
    return largest


_ADD: dict[str, Callable[[Program, list[Expression]], Expression]] = {
    "published": _published,
    "normalised": _normalised,
    "layers": _layers,
    "units": _units,
}
SPARSITIES: tuple[str, ...] = tuple(_ADD)
