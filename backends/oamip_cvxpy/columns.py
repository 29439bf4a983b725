"""Variables of CVXPY as columns: the program's in block order, then the user's own; entries in C order, as ours are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import cvxpy as cp
import numpy as np
from cvxpy.atoms.affine.reshape import reshape
from numpy.typing import NDArray

from oamip.errors import InputError
from oamip.program import Span
from oamip.solving.backend import Built
from oamip.solving.compiling import unused_name
from oamip_cvxpy.built import as_cvxpy

__all__ = ["Columns", "columns_of", "flat", "limits", "load"]

Vector: TypeAlias = NDArray[np.float64]

# Variables that are given by fewer numbers than they have entries, or by other numbers than reals.
SHAPED = ("symmetric", "diag", "PSD", "NSD", "hermitian", "complex", "imag", "sparsity")


@dataclass(frozen=True)
class Columns:
    """Names of columns, and the ``Variable`` behind each span."""

    spans: tuple[Span, ...]
    variables: tuple[Any, ...]

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.spans[-1].slice.stop if self.spans else 0

    def plus(self, names: Iterable[str], variables: Iterable[Any]) -> Columns:
        """The same with further variables, whose names are made different from all others."""
        spans, taken, start = list(self.spans), {span.name for span in self.spans}, self.width
        more = tuple(variables)
        for name, variable in zip(names, more, strict=True):
            spans.append(Span(unused_name(name, taken), start, variable.shape))
            start += variable.size
        return Columns(tuple(spans), (*self.variables, *more))


def columns_of(model: Built) -> Columns:
    """The program's variables, used or not, and those that the user has brought into the problem.

    Raises:
        InputError: a user's variable is no plain array of numbers.
    """
    built = as_cvxpy(model)
    ours = Columns(built.form.columns, tuple(built.columns.values()))
    if built.model.objective is built.objective and all(c in built.states for c in built.model.constraints):
        return ours
    known = {variable.id for variable in ours.variables}
    theirs = [variable for variable in built.model.variables() if variable.id not in known]
    for variable in theirs:
        shaped = [name for name in SHAPED if variable.attributes[name]]
        if shaped:
            raise InputError(
                f"variable '{variable.name()}' is {shaped[0]}: declare it plain, and add that as constraints"
            )
    return ours.plus([variable.name() for variable in theirs], theirs)


def limits(variable: Any) -> tuple[Vector, Vector, NDArray[np.bool_]]:
    """What the attributes of a variable say, flat: lower bounds, upper bounds, which entries are integer.

    Raises:
        InputError: bounds have no value, or the positions of integers are not as ``np.where`` gives them.
    """
    attributes, shape = variable.attributes, variable.shape
    low, high = (_side(variable, position) for position in (0, 1))
    boolean, integer = (_entries(variable, kind) for kind in ("boolean", "integer"))
    floor = 0.0 if attributes["nonneg"] or attributes["pos"] else -np.inf
    ceiling = 0.0 if attributes["nonpos"] or attributes["neg"] else np.inf
    lower = np.maximum(np.broadcast_to(low, shape), np.where(boolean, 0.0, floor))
    upper = np.minimum(np.broadcast_to(high, shape), np.where(boolean, 1.0, ceiling))
    return lower.ravel(), upper.ravel(), (boolean | integer).ravel()


def flat(variable: Any) -> Any:
    """The entries of a variable or an expression in C order, as a vector."""
    if variable.ndim == 1:
        return variable
    return reshape(variable, (variable.size,), order="C")


def load(built: Built, values: Mapping[str, Vector]) -> None:
    """Set the values of variables from arrays by span name.

    Raises:
        InputError: an array has not as many entries as its span.
    """
    for span, variable in _named(columns_of(built)):
        if span.name not in values:
            continue
        array = np.asarray(values[span.name], dtype=np.float64)
        if array.size != span.size:
            raise InputError(f"values of '{span.name}' have {array.size} entries; the model has {span.size}")
        # An integer may come as 0.9999999; the validation of CVXPY would refuse it.
        variable.save_value(array.reshape(span.shape))


def _named(columns: Columns) -> Iterator[tuple[Span, Any]]:
    return zip(columns.spans, columns.variables, strict=True)


def _side(variable: Any, position: int) -> Any:
    side = variable.bounds[position] if variable.bounds is not None else None
    if side is None:
        return (-np.inf, np.inf)[position]
    value = side.value if isinstance(side, cp.Expression) else side
    if value is None:
        raise InputError(f"a bound of variable '{variable.name()}' has no value; set those of its parameters")
    return value


def _entries(variable: Any, kind: str) -> NDArray[np.bool_]:
    asked = variable.attributes[kind]
    mask = np.full(variable.shape, asked is True)
    if asked is not True and asked:
        try:
            mask[tuple(np.asarray(positions) for positions in asked)] = True
        except IndexError:
            raise InputError(
                f"variable '{variable.name()}': CVXPY wants {kind}= as np.where gives it, one array per dimension"
            ) from None
    return mask
