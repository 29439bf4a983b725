"""What an embedding leaves behind: the expression of every node, and a check of solutions with the network itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.bounds import Bounds
from oamip.errors import UncheckedAnswer
from oamip.gates import Gate
from oamip.network import Groups, Network, ReLU
from oamip.network.network import Edit
from oamip.program import Expression
from oamip.solution import Solution

__all__ = ["Activations", "Gates"]

Vector: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Gates:
    """Which units are switched, by which variables, and how.

    Args:
        groups: the units; entries of other units are never gated.
        keep: expression of shape (units,): 1 keeps a unit, 0 removes it.
        gate: the shift or the exact gate.
        trust_region: with a gate whose bounds are assumed, keep the rows of inactive units.
    """

    groups: Groups
    keep: Expression
    gate: Gate
    trust_region: bool = True


@dataclass(frozen=True)
class Activations:
    """The expression (n, *shape) of every node.

    Args:
        counts: how many activations are ``on`` or ``off`` for certain or ``unstable``, how many affine ones are
            ``switched``, and how many maxima have several candidates that can win (``contested``).
        exact: whether the encoding of unstable units is exact (no relaxation).
    """

    network: Network
    bounds: Bounds
    gates: Gates | None
    nodes: Mapping[str, Expression]
    counts: Mapping[str, int]
    exact: bool

    @property
    def output(self) -> Expression:
        """The network's only output."""
        return self.nodes[self.network.output.name]

    def determined(self, solution: Solution) -> bool:
        """Whether the gates of a solution leave the activations no freedom, so that `replay` must agree.

        A relaxation leaves some, fractional gates of switched affine units do, and so does a shift gate whose assumed
        bounds are not enforced.
        """
        settled = self.exact or not (self.counts["unstable"] or self.counts["contested"])
        if self.gates is None:
            return settled
        keep = solution.value(self.gates.keep)
        whole = bool((np.minimum(keep, 1 - keep) < 1e-6).all())
        enforced = self.gates.trust_region or not self.gates.gate.assumed
        return enforced and settled and (whole or not self.counts["switched"])

    def replay(self, solution: Solution, inputs: Vector, tolerance: float = 1e-5) -> float:
        """Run the network with its own gates and compare with what the program computed.

        Args:
            solution: a held solution of the program.
            inputs: the samples (n, *shape), or the point that the input block took.
            tolerance: largest difference, relative to the scale of the outputs, that is accepted.

        Returns:
            The largest difference of the outputs, relative to max(1, largest output).

        Raises:
            UncheckedAnswer: the difference is larger: an encoding or its bounds are wrong.
        """
        expected = self.network(inputs, self._edits(solution))
        claimed = solution.value(self.output)
        difference = float(np.abs(expected - claimed).max() / max(1.0, np.abs(expected).max()))
        if not difference <= tolerance:
            raise UncheckedAnswer(
                f"the network with its gates gives outputs that differ by {difference:.1e} from the program's"
            )
        return difference

    def _edits(self, solution: Solution) -> dict[str, Edit]:
        """Gates as numbers: a gated ReLU needs its pre-activation, which is remembered when it passes by."""
        if self.gates is None:
            return {}
        gate, groups = self.gates.gate, self.gates.groups
        m = np.append(solution.value(self.gates.keep), (1.0, 1.0))  # the negative labels: entries of no unit stay
        seen: dict[str, Vector] = {}
        edits: dict[str, Edit] = {}

        def remembered(name: str, first: Edit | None) -> Edit:
            return lambda value: seen.setdefault(name, value if first is None else first(value))

        def relu(before: str, gated: NDArray[np.bool_], factor: Vector) -> Edit:
            high = self.bounds[before][1]
            return lambda value: np.where(gated, gate.activation(seen[before], high, factor), value)

        def scaled(factor: Vector) -> Edit:
            return lambda value: value * factor

        for name in groups.sites:
            labels = groups.labels[name].reshape(self.network[name].shape)
            if isinstance(self.network[name], ReLU):
                before = self.network.predecessor(name)
                edits[before] = remembered(before, edits.get(before))
                edits[name] = relu(before, labels >= 0, m[labels])
            else:
                edits[name] = scaled(m[labels])
        return edits
