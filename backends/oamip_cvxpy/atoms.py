"""Atoms in CVXPY: epigraphs as cones, logic as a constraint that CVXPY refuses to solve.

With u the arguments and t the bound of an epigraph row,

    log Σ exp(u_c) ≤ t        as it stands, an exponential cone
    Σ u_c² ≤ t                ‖(2u, 1 − t)‖ ≤ 1 + t
    ‖w‖² / y ≤ t              ‖(2w, y − t)‖ ≤ y + t

`Perspective.steepest` has no part in the last one: what it allows are rows of the program.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from cvxpy.atoms.affine.reshape import reshape
from cvxpy.atoms.affine.vstack import vstack
from cvxpy.atoms.log_sum_exp import log_sum_exp
from cvxpy.constraints.constraint import Constraint
from cvxpy.constraints.second_order import SOC

from oamip.program import CompiledIndicator, CompiledSOS1
from oamip_cvxpy.built import Atom

__all__ = ["Unstated", "constrain"]


class Unstated(Constraint):
    """Stands for what CVXPY has no form for. It follows no discipline, so every solve of CVXPY refuses it by name."""

    def __init__(self, text: str, variables: list[Any]) -> None:
        self.text = text
        super().__init__(variables)

    def name(self) -> str:
        """What the error of CVXPY shows."""
        return self.text

    def is_dcp(self, dpp: bool = False) -> bool:  # noqa: ARG002, D102
        return False

    def is_dgp(self, dpp: bool = False) -> bool:  # noqa: ARG002, D102
        return False

    def is_dqcp(self) -> bool:  # noqa: D102
        return False

    def is_dnlp(self) -> bool:  # noqa: D102
        return False

    @property
    def residual(self) -> Any:
        """Not known."""
        return None


def _log_sum_exp(u: Any, t: Any) -> Any:
    return log_sum_exp(u, axis=1) <= t


def _sum_squares(u: Any, t: Any) -> Any:
    return _rotated(u, np.ones(t.shape), t)


def _perspective(u: Any, t: Any) -> Any:
    return _rotated(u[:, :-1], u[:, -1], t)


def _rotated(w: Any, y: Any, t: Any) -> Any:
    """``‖w_i‖² ≤ y_i t_i`` for every row, as one constraint."""
    return SOC(y + t, vstack([2 * w.T, reshape(y - t, (1, t.size), order="C")]), axis=0)


_CONES: dict[str, Callable[[Any, Any], Any]] = {
    "log_sum_exp": _log_sum_exp,
    "sum_squares": _sum_squares,
    "perspective": _perspective,
}


def constrain(atom: Atom, affine: Callable[[Any, Any], Any], variables: list[Any]) -> Any:
    """The constraint that stands for an atom.

    Args:
        atom: with one row at least.
        affine: gives the vector ``M x + m`` of a matrix over all columns and a constant.
        variables: all variables of the program.
    """
    if isinstance(atom, CompiledIndicator | CompiledSOS1):
        kind = "indicator" if isinstance(atom, CompiledIndicator) else "SOS1 set"
        constraint = Unstated(_without_form(f"{kind} '{atom.name}'"), variables)
    elif atom.function.name not in _CONES:
        constraint = Unstated(_without_form(f"epigraph '{atom.name}' of {atom.function.name}"), variables)
    else:
        arguments = reshape(affine(atom.B, atom.b), (atom.rows, atom.B.shape[0] // atom.rows), order="C")
        constraint = _CONES[atom.function.name](arguments, affine(atom.T, atom.t))
    constraint.label = atom.name
    return constraint


def _without_form(what: str) -> str:
    return f"{what} has no form in CVXPY: solve the model with oamip.solving.solve_built, or leave it out"
