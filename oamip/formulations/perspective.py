"""Which groups of weights a linear layer can do without: the mixed-integer model behind perspective training.

Source: Cacciola, Frangioni, Li and Lodi (arXiv 2206.14056). A layer o = Vᵀh + b over fixed features h (the inputs of a
regression, or what the last hidden layer of a trained network says) is fitted anew while a switch for each group of
rows of V (an input, a neuron) is chosen:

    min  mean loss(o, y) + λ Σ_i share_i [ α‖V_i‖² + (1−α) y_i ],     |V_i| ≤ M_i y_i,   y_i ∈ {0, 1}

with share_i the part of all grouped weights that are in group i. Two ways to write the ridge, the same with integers:

* ``perspective``: ‖V_i‖²/y_i, one `Perspective` atom for each group (Frangioni and Gentile 2006). With 0 ≤ y ≤ 1 it is
  the convex envelope of ridge and charge, and with y projected out the regulariser that `oamip.training.spr` trains
  with: the program tests the regulariser, and the regulariser the program.
* ``bigm``: ‖V_i‖², one `SumSquares` atom for each group. Its relaxation is weaker: the charge is (1−α) max|V_i|/M_i.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from oamip.decision import Decision
from oamip.errors import DataError, InputError
from oamip.formulations.loss import LOSSES, Loss, add_loss, check_labels
from oamip.network import Affine, Dense, Groups
from oamip.network.labels import FIXED
from oamip.program import Block, Expression, Perspective, Program, SumSquares, concatenate
from oamip.solution import Solution

__all__ = ["GroupFit", "LayerFit", "last_features"]

Vector: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class GroupFit:
    """A fitted layer.

    Args:
        weights: (features, outputs).
        bias: (outputs,).
        keep: y, one for each group; between 0 and 1 where the program was relaxed.
        objective: of the program, checked.
        bound: proven.
    """

    weights: Vector
    bias: Vector
    keep: Vector
    objective: float
    bound: float

    def decision(self, groups: Groups) -> Decision:
        """Remove the units whose switch is off, given groups with as many units as there are switches.

        Raises:
            InputError: the numbers differ.
        """
        if groups.size != self.keep.size:
            raise InputError(f"there are {self.keep.size} switches for {groups.size} units; select the group fitted")
        keep = self.keep > 0.5
        for group in groups.groups:
            if not keep[group.slice].any():
                keep[group.start + int(self.keep[group.slice].argmax())] = True
        return Decision.of(groups, keep, note="units whose switch is off go")


@dataclass(frozen=True, eq=False)
class LayerFit:
    """The program of one layer.

    Args:
        x: features (n, p).
        y: class labels (n,), or targets (n, k) for ``squared``.
        groups: number of the group of each feature, (p,), from 0; −1 for a feature that is always there and free.
        bounds: M, one for all or one for each group.
        lam: λ ≥ 0, weight of the regulariser.
        alpha: share of the ridge, in (0, 1).
        loss: ``squared``, ``hinge`` or ``cross_entropy``; a mean over samples. Of k targets ``squared`` sums the
            errors where training (`oamip.learning.loss_of`) takes their mean: the same λ there is kλ here.
        outputs: number of outputs; by default what the labels or targets call for.
        ridge: ``perspective`` or ``bigm``.
        relaxed: 0 ≤ y ≤ 1 in place of integers.
        weights: fixes V at these, (p, outputs), within the bounds; only switches and bias are then open.

    Raises:
        InputError: an option is unknown or out of range.
        DataError: shapes do not fit, or labels are missing.
    """

    x: Vector
    y: NDArray[Any]
    groups: NDArray[np.intp]
    bounds: ArrayLike
    lam: float
    alpha: float
    loss: Loss = "squared"
    outputs: int | None = None
    ridge: Literal["perspective", "bigm"] = "perspective"
    relaxed: bool = False
    weights: Vector | None = None
    _sizes: NDArray[np.intp] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.loss not in LOSSES or self.ridge not in ("perspective", "bigm"):
            raise InputError(f"loss '{self.loss}' or ridge '{self.ridge}' is unknown; give one of {', '.join(LOSSES)}")
        if not 0 < self.alpha < 1 or not 0 <= self.lam < np.inf:
            raise InputError(f"alpha={self.alpha} must be above 0 and below 1, lam={self.lam} at least 0")
        x, groups = np.asarray(self.x, dtype=np.float64), np.asarray(self.groups, dtype=np.intp)
        if x.ndim != 2 or groups.shape != (x.shape[1],) or len(x) != len(self.y):
            raise DataError(
                f"features of shape {x.shape} do not go with {len(self.y)} labels and groups of shape {groups.shape}; "
                "give (n, p), n and (p,)"
            )
        sizes = np.bincount(groups[groups >= 0])
        if not sizes.size or not sizes.all():
            raise InputError("the groups must be numbered from 0 without a gap, and there must be one at least")
        try:
            bounds = np.broadcast_to(np.asarray(self.bounds, dtype=np.float64), sizes.shape)
        except ValueError:
            bounds = np.zeros(1)
        if not ((bounds > 0) & np.isfinite(bounds)).all():
            raise InputError(f"the bounds must be positive numbers, one for all or one for each of {sizes.size} groups")
        width = self.outputs
        if width is None:
            width = np.reshape(self.y, (len(x), -1)).shape[1] if self.loss == "squared" else int(np.max(self.y)) + 1
        if self.weights is not None and np.shape(self.weights) != (x.shape[1], width):
            raise DataError(f"the weights have shape {np.shape(self.weights)}; want {(x.shape[1], width)}")
        checked = {"x": x, "groups": groups, "bounds": bounds, "outputs": width, "_sizes": sizes * width}
        for name, value in {**checked, "y": check_labels(self.loss, self.y, width)}.items():
            object.__setattr__(self, name, value)

    def program(self) -> Program:
        """Variables ``weight`` (p, outputs), ``bias`` (outputs,), ``keep`` and ``ridge``, one for each group."""
        program = Program("layer fit")
        (n, p), k = self.x.shape, self._sizes.size
        assert self.outputs is not None
        free, M = self.groups < 0, np.asarray(self.bounds)
        limit = np.where(free, np.inf, M[self.groups])[:, None]
        lower, upper = (-limit, limit) if self.weights is None else (self.weights, self.weights)
        weight = program.variables("weight", (p, self.outputs), lower, upper)
        bias = program.variables("bias", self.outputs)
        keep = program.variables("keep", k, 0.0, 1.0, domain="continuous" if self.relaxed else "binary")
        ridge = program.variables("ridge", k, 0.0)
        self._link(program, weight, keep)
        self._square(program, weight, keep, ridge)
        outputs = (sp.kron(sp.csr_array(self.x), sp.eye_array(self.outputs)) @ weight).reshape(n, -1) + bias
        share = self.lam * self._sizes / self._sizes.sum()
        penalty = (self.alpha * ridge + (1.0 - self.alpha) * keep) * share
        program.minimize(add_loss(program, self.loss, outputs, self.y) + penalty.sum())
        return program

    def _link(self, program: Program, weight: Block, keep: Block) -> None:
        """|V_i| ≤ M_i y_i."""
        grouped = np.flatnonzero(self.groups >= 0)
        owner = np.repeat(self.groups[grouped], weight.shape[1])
        entries, room = weight[grouped].reshape(-1), keep[owner] * np.asarray(self.bounds)[owner]
        program.add("below", entries - room <= 0)
        program.add("above", entries + room >= 0)

    def _square(self, program: Program, weight: Block, keep: Block, ridge: Block) -> None:
        """The atoms, one block for all groups of one size."""
        for size in np.unique(self._sizes):
            members = np.flatnonzero(self._sizes == size)
            rows = np.stack([np.flatnonzero(self.groups == group) for group in members])
            V: Expression = weight[rows].reshape(len(members), -1)
            if self.ridge == "bigm":
                program.epigraph(f"ridge_of_{size}", SumSquares(), V, ridge[members])
                continue
            joined = concatenate([V.reshape(-1), keep[members]])
            order = np.arange(V.size).reshape(len(members), -1)
            order = np.column_stack([order, V.size + np.arange(len(members))])
            program.epigraph(f"ridge_of_{size}", Perspective(), joined[order], ridge[members])

    def interpret(self, solution: Solution) -> GroupFit:
        """The layer; weights of groups that are off are exactly zero.

        Raises:
            SolveError: no point is held.
        """
        keep = solution["keep"].copy()
        if not self.relaxed:
            keep = keep.round()
        weights = solution["weight"].copy()
        off = (self.groups >= 0) & (keep[self.groups] == 0)
        weights[off] = 0.0
        return GroupFit(weights, solution["bias"], keep, solution.objective, solution.bound)


def last_features(groups: Groups, x: ArrayLike) -> tuple[Vector, NDArray[np.intp], Groups]:
    """What the last layer of a network sees.

    Args:
        groups: the units of a network that ends in a linear layer.
        x: samples (n, *input shape).

    Returns:
        Features (n, p), the number of each one's group for `LayerFit`, and the groups of units that are meant, in the
        order of these numbers.

    Raises:
        InputError: the network does not end in a linear layer whose inputs are units.
    """
    network = groups.network
    output = network.output
    edges = network.edges(output.name) if isinstance(output, Affine) else []
    if len(edges) != 1 or not isinstance(edges[0][1], Dense):
        raise InputError("the network does not end in a linear layer; its last one cannot be fitted anew")
    source = edges[0][0]
    labels = groups.labels[source]
    names = {group.name for group in groups.groups if np.isin(labels, np.arange(groups.size)[group.slice]).any()}
    if not names:
        raise InputError("no removable unit feeds the last layer of the network")
    inside = groups.only(names)
    features = network.evaluate(x)[source].reshape(len(np.asarray(x)), -1)
    numbers = inside.labels[source]
    return features, np.where(numbers >= 0, numbers, FIXED), inside
