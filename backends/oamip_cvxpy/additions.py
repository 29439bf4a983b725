"""What a user has added to a problem, as linear rows.

CVXPY itself does it: each constraint, with its parameters replaced by their values, is reduced to cones by `Dcp2Cone`,
and if all of these are linear, `ConeMatrixStuffing` gives their matrix. One reduction per constraint keeps its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import cvxpy as cp
import numpy as np
import scipy.sparse as sp
from cvxpy.constraints.finite_set import FiniteSet
from cvxpy.constraints.nonpos import Inequality, NonNeg, NonPos
from cvxpy.constraints.zero import Equality, Zero
from cvxpy.reductions.dcp2cone.cone_matrix_stuffing import ConeMatrixStuffing
from cvxpy.reductions.dcp2cone.dcp2cone import Dcp2Cone
from cvxpy.reductions.discrete2mixedint.valinvec2mixedint import Valinvec2mixedint
from cvxpy.reductions.eval_params import EvalParams
from numpy.typing import NDArray

from oamip.errors import InputError
from oamip.program import Span
from oamip.solving.compiling import unused_name
from oamip_cvxpy.columns import Columns

__all__ = ["Additions", "Linear", "linear", "linear_objective", "stuff"]

Vector: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Linear:
    """One constraint or objective of a user as constraints ``expression = 0`` (`Zero`) or ``≥ 0`` (`NonNeg`).

    ``value`` is the objective that remains, ``None`` for a constraint.
    """

    name: str
    shape: tuple[int, ...]
    constraints: tuple[Any, ...]
    value: Any = None


@dataclass(frozen=True)
class Additions:
    """Rows ``lower ≤ A x ≤ upper`` over all columns, and an objective to minimise."""

    A: sp.csr_array
    lower: Vector
    upper: Vector
    spans: tuple[Span, ...]
    cost: Vector
    constant: float


def linear(constraint: Any, name: str) -> Linear:
    """A user's constraint, reduced.

    Raises:
        InputError: it is not convex by CVXPY's rules, not linear in the end, or a parameter in it has no value.
    """
    shape = constraint.shape
    reduced = _reduced(cp.Minimize(0), [constraint], f"constraint '{name}'")
    single = len(reduced.constraints) == 1 and reduced.constraints[0].shape == shape
    constraints = tuple(_cone(c, f"constraint '{name}'") for c in reduced.constraints)
    return Linear(name, shape if single else (sum(c.size for c in constraints),), constraints)


def linear_objective(objective: Any) -> Linear:
    """A user's objective, reduced to one to minimise.

    Raises:
        InputError: as `linear`.
    """
    value = objective.args[0] if isinstance(objective, cp.Minimize) else -objective.args[0]
    reduced = _reduced(cp.Minimize(value), [], "the objective")
    constraints = tuple(_cone(c, "the objective") for c in reduced.constraints)
    return Linear("objective", (sum(c.size for c in constraints),), constraints, reduced.objective.args[0])


def stuff(parts: list[Linear], columns: Columns, taken: set[str], start: int) -> Additions:
    """The matrix of reduced constraints, whose rows begin at ``start`` and get names that are not ``taken``."""
    pieces = [(owner, c) for owner, part in enumerate(parts) for c in part.constraints if c.size]
    pieces.sort(key=lambda piece: not isinstance(piece[1], Zero))  # CVXPY puts equalities first
    value = next((part.value for part in parts if part.value is not None), cp.Constant(0.0))
    problem = cp.Problem(cp.Minimize(value), [constraint for _, constraint in pieces])
    stuffed, _ = ConeMatrixStuffing(canon_backend="SCIPY").apply(problem)
    cost, constant, matrix, right = stuffed.apply_parameters()  # A x + b in a cone
    order = _owned_rows(pieces)
    place = _places(stuffed, columns)
    A = sp.csr_array(matrix)
    A = sp.csr_array((A.data, place[A.indices], A.indptr), shape=(A.shape[0], columns.width))[order]
    A.eliminate_zeros()
    A.sort_indices()
    equal = np.repeat([isinstance(c, Zero) for _, c in pieces], [c.size for _, c in pieces]).astype(bool)
    lower: Vector = -right[order] + 0.0
    full = np.zeros(columns.width)
    full[place] = cost
    spans = []
    for part in parts:
        size = sum(constraint.size for constraint in part.constraints)
        if size:
            spans.append(Span(unused_name(part.name, taken), start, part.shape))
            start += size
    return Additions(A, lower, np.where(equal[order], lower, np.inf), tuple(spans), full, float(constant))


def _reduced(objective: Any, constraints: list[Any], place: str) -> Any:
    problem = cp.Problem(objective, constraints)
    for parameter in problem.parameters():
        if parameter.value is None:
            raise InputError(f"{place} has parameter '{parameter.name()}', which has no value; give it one")
    if not problem.is_dcp():
        raise InputError(f"{place} is not convex by the rules of CVXPY: {_short(constraints or [objective])}")
    problem, _ = EvalParams().apply(problem)
    if any(isinstance(constraint, FiniteSet) for constraint in constraints):
        problem, _ = Valinvec2mixedint().apply(problem)
    return Dcp2Cone().apply(problem)[0]


def _cone(constraint: Any, place: str) -> Any:
    """An equality or inequality of CVXPY as `Zero` or `NonNeg`."""
    if isinstance(constraint, Inequality):
        return NonNeg(constraint.args[1] - constraint.args[0])
    if isinstance(constraint, Equality):
        return Zero(constraint.args[0] - constraint.args[1])
    if isinstance(constraint, NonPos):
        return NonNeg(-constraint.args[0])
    if isinstance(constraint, Zero | NonNeg):
        return constraint
    raise InputError(
        f"{place} is not mixed-integer linear: CVXPY makes a {type(constraint).__name__} of it. Add it to the program "
        "as an epigraph before `build`, or solve the model with CVXPY itself"
    )


def _owned_rows(pieces: list[tuple[int, Any]]) -> NDArray[np.intp]:
    """The stuffed rows in the order of their owners, and those of each constraint in C order."""
    found: list[tuple[int, NDArray[np.intp]]] = []
    start = 0
    for owner, constraint in pieces:
        found.append((owner, start + _c_order(constraint.shape)))
        start += constraint.size
    found.sort(key=lambda entry: entry[0])
    return np.concatenate([rows for _, rows in found]) if found else np.empty(0, dtype=np.intp)


def _places(stuffed: Any, columns: Columns) -> NDArray[np.intp]:
    """The column of ours for each column of CVXPY, which counts the entries of an array in Fortran order."""
    starts = {v.id: span.start for span, v in zip(columns.spans, columns.variables, strict=True)}
    place = np.empty(stuffed.x.size, dtype=np.intp)
    for variable in stuffed.variables:
        first = stuffed.var_id_to_col[variable.id]
        place[first + _c_order(variable.shape)] = starts[variable.id] + np.arange(variable.size)
    return place


def _c_order(shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Positions in Fortran order of the entries in C order."""
    return np.arange(int(np.prod(shape))).reshape(shape, order="F").ravel()


def _short(parts: list[Any], width: int = 80) -> str:
    text = " ".join(str(parts[0]).split())
    return text if len(text) <= width else text[: width - 1] + "…"
