"""OAMIP importance scores: how much can each unit be turned down before a few samples are misclassified?

    min   λ · loss(outputs of the gated network) + sparsity(s),   s ∈ [0, 1] per unit, shared by samples and positions

Source: ElAraby, Wolf, Carvalho, "OAMIP: Optimizing ANN Architectures Using Mixed-Integer Programming" (arXiv
2002.07259; CPAIOR 2023), section 3. Three ways to state the gated network, by the bounds that they rest on:

* ``intact``: as published. Bounds are those of the intact network within a small radius of each sample, and they are
  imposed on the gated network: a trust region about the intact activations. Almost every unit is then stable, its
  activation is affine in s and is substituted away, and the program is an LP (or an exponential-cone program).
* ``linear``: the intact activation pattern and the gate constant ``u = a``. The outputs are then exactly
  ``o(1) + J (s − 1)`` with ``J_i = Σ_positions h · ∂o/∂h``: one column per unit, no rows but those of the loss.
* ``gated``: bounds that hold for every subset of units, integer z. Sound, and for small networks: its LP relaxation is
  0 and ranks nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from oamip.bounds import Box, interval
from oamip.decision import Scores
from oamip.encodings import BigM
from oamip.errors import InputError
from oamip.formulations.activations import Activations, Gates
from oamip.formulations.embedding import embed
from oamip.formulations.loss import LOSSES, Loss, add_loss, check_labels
from oamip.formulations.sparsity import SPARSITIES, Sparsity, add_sparsity
from oamip.gates import ShiftGate
from oamip.network import Groups
from oamip.network.sensitivity import jacobian_norm, taylor_terms
from oamip.program import Block, Expression, Program
from oamip.solution import Solution

__all__ = ["Importance", "ImportanceOptions"]

Vector: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]
BoundsKind: TypeAlias = Literal["linear", "intact", "gated"]


@dataclass(frozen=True)
class ImportanceOptions:
    """Everything that defines the program beside network and samples.

    Args:
        bounds: ``linear``, ``intact`` or ``gated``; see the module's page.
        loss: ``hinge``, ``cross_entropy`` or ``squared``.
        sparsity: ``layers``, ``published``, ``normalised`` or ``units``.
        weight: λ, the weight of the loss; larger prunes less. The paper uses 5.
        radius: half width of the box about each sample, in pixels (``intact`` only). The published code has 1e-5.
        clamp: the box is cut to this range of pixels, ``(0, 1)`` for images, or not at all (``intact`` only).
        mean, std: of the normalisation from pixels to inputs, one number or one per channel (`oamip.bounds.Box`).
        trust_region: keep ``l ≤ a ≤ 0`` of inactive units (``intact`` only); without it, they are just 0.

    Raises:
        InputError: a value is unknown or out of range.
    """

    bounds: BoundsKind = "linear"
    loss: Loss = "hinge"
    sparsity: Sparsity = "layers"
    weight: float = 5.0
    radius: float = 1e-5
    clamp: tuple[float, float] | None = None
    mean: float | tuple[float, ...] | None = None
    std: float | tuple[float, ...] | None = None
    trust_region: bool = True

    def __post_init__(self) -> None:
        known = {"bounds": ("linear", "intact", "gated"), "loss": LOSSES, "sparsity": SPARSITIES}
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise InputError(f"importance: {name}='{getattr(self, name)}' is not one of {', '.join(values)}")
        if not self.weight >= 0 or not self.radius >= 0:
            raise InputError(f"importance: weight={self.weight} and radius={self.radius} must be numbers ≥ 0")
        if self.bounds != "intact":
            names = ("radius", "clamp", "mean", "std", "trust_region")
            unheard = [name for name in names if getattr(self, name) != getattr(ImportanceOptions, name)]
            if unheard:
                raise InputError(f"importance: {', '.join(unheard)} belong to bounds='intact', not to '{self.bounds}'")

    @staticmethod
    def published(**changes: Any) -> ImportanceOptions:
        """The setting of the paper: intact bounds, cross-entropy, its sparsity term, λ = 5, radius 1e-5."""
        setting: dict[str, Any] = {"bounds": "intact", "loss": "cross_entropy", "sparsity": "published"}
        return ImportanceOptions(**{**setting, **changes})


class Importance:
    """The importance program of a network on some samples.

    Args:
        groups: the units to score; the network comes with them.
        x: samples (n, *input shape), in the space that the network takes.
        y: labels (n,), or targets (n, outputs) for ``squared``.
        options: see `ImportanceOptions`.
        alive: units still there (others count as removed: s = 0), for scoring a network that is partly pruned.

    Raises:
        InputError: there is nothing to score.
        DataError: labels are missing or wrong.
    """

    def __init__(
        self,
        groups: Groups,
        x: Vector,
        y: NDArray[Any] | None,
        options: ImportanceOptions | None = None,
        *,
        alive: Mask | None = None,
    ) -> None:
        if not groups.size:
            raise InputError("importance: the network has no unit that can be removed")
        self.options = options or ImportanceOptions()
        self.groups, self.x = groups, np.asarray(x, dtype=np.float64)
        self.y = check_labels(self.options.loss, y, math.prod(groups.network.output.shape))
        self.alive = np.ones(groups.size, dtype=np.bool_) if alive is None else alive
        self.activations: Activations | None = None
        if self.options.bounds != "linear" and not self.alive.all():
            raise InputError("importance: scoring a partly pruned network needs bounds='linear'")

    # ── the program ────────────────────────────────────────────────────────────────────────────────────────────────

    def program(self) -> Program:
        """``min λ · loss + sparsity`` over the scores ``keep``."""
        program = Program("importance")
        keep = program.variables("keep", self.groups.size, 0.0, self.alive.astype(float), label="score of each unit")
        outputs = self._linear(keep) if self.options.bounds == "linear" else self._embedded(program, keep)
        loss = add_loss(program, self.options.loss, outputs.reshape(len(self.x), -1), self.y)
        units = (np.arange(self.groups.size)[group.slice] for group in self.groups.groups)
        layers = [part for part in (group[self.alive[group]] for group in units) if part.size]
        program.minimize(self.options.weight * loss + add_sparsity(program, self.options.sparsity, keep, layers))
        return program

    def _linear(self, keep: Block) -> Expression:
        """``o(1) + J (s − 1)`` for all samples: (n, outputs)."""
        outputs, slopes = self._taylor
        n, classes, units = slopes.shape
        slope = sp.csr_array(slopes.reshape(n * classes, units))
        return (keep - self.alive.astype(float)).transform(slope).reshape(n, classes) + outputs

    def _embedded(self, program: Program, keep: Block) -> Expression:
        intact = self.options.bounds == "intact"
        if intact:
            o = self.options
            box = Box.around(self.x, o.radius, mean=o.mean, std=o.std, clamp=o.clamp)
            bounds = interval(self.groups.network, box)
        else:
            bounds = interval(self.groups.network, Box.of(self.x, self.x), self.groups)
        gates = Gates(self.groups, keep, ShiftGate(assumed=intact), self.options.trust_region)
        self.activations = embed(program, self.groups.network, bounds, self.x, gates, BigM(relaxed=intact))
        return self.activations.output

    # ── its answer ─────────────────────────────────────────────────────────────────────────────────────────────────

    def interpret(self, solution: Solution) -> Scores:
        """The scores, ties broken by the jacobian norm; the network with its gates must reproduce the outputs.

        Raises:
            SolveError: no point is held.
            UncheckedAnswer: the network contradicts the program.
        """
        # A solver's 1e-9 is a 0, and then the tie-break speaks.
        values = np.clip(np.round(solution["keep"], 7), 0.0, 1.0)
        if self.activations is not None and self.activations.determined(solution):
            self.activations.replay(solution, self.x)
        facts = {
            "objective": solution.objective,
            "bound": solution.bound,
            "reason": solution.reason,
            "samples": len(self.x),
            "seconds": solution.seconds.total,
        }
        method = f"importance ({self.options.bounds}, {self.options.loss}, λ = {self.options.weight:g})"
        return Scores.of(self.groups, values, jacobian_norm(self._taylor[1]), method=method, **facts)

    @cached_property
    def _taylor(self) -> tuple[Vector, Vector]:
        """Outputs (n, C) and their slopes J (n, C, units) at s = 1."""
        return taylor_terms(self.groups.network, self.groups, self.x, keep=self.alive)
