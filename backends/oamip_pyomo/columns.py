"""The variables of a model as columns: the program's in block order, then the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyomo.environ as pyo
from numpy.typing import NDArray
from pyomo.gdp import Disjunct

from oamip.errors import InputError
from oamip.program import Span
from oamip.solving.backend import Built
from oamip.solving.compiling import unused_name
from oamip_pyomo.naming import runs

__all__ = ["Columns", "Limits", "columns_of", "limits", "load"]

Vector: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Columns:
    """Names of all columns, and the ``VarData`` that stands for each."""

    spans: tuple[Span, ...]
    variables: list[Any]


@dataclass(frozen=True)
class Limits:
    """What the variables themselves say: bounds (fixed variables are bounded by their value), and which are integer."""

    lower: Vector
    upper: Vector
    integer: NDArray[np.bool_]


def columns_of(built: Built) -> Columns:
    """All variables on the model, each once; those on inactive blocks too, since active constraints may use them.

    Raises:
        InputError: variables of the program were deleted.
    """
    spans, variables = list(built.program.columns()), []
    for span in spans:
        entries = list(built.columns[span.name].values())
        if len(entries) != span.size:
            raise InputError(f"variables '{span.name}' of the program were deleted from the model; fix them instead")
        variables += entries
    seen, names = {id(variable) for variable in variables}, {span.name for span in spans}
    # A transformed disjunct keeps its variables, and the constraints that the transformation made use them.
    for component in built.model.component_objects(pyo.Var, descend_into=(pyo.Block, Disjunct)):
        for run in runs(component, component.name, lambda variable: id(variable) not in seen):
            spans.append(Span(unused_name(run.name, names), len(variables), run.shape))
            variables += run.entries
            seen.update(map(id, run.entries))
    return Columns(tuple(spans), variables)


def limits(variables: list[Any]) -> Limits:
    """Bounds and domains as they now stand.

    Raises:
        InputError: a variable is fixed without a value, or its domain has gaps other than those of the integers.
    """
    pairs = [_bounds(variable) for variable in variables]
    steps: dict[int, float] = {}  # few domains serve many variables
    for variable in variables:
        if id(variable.domain) not in steps:
            steps[id(variable.domain)] = _step(variable)
    lower = np.array([-np.inf if low is None else low for low, _ in pairs], dtype=np.float64)
    upper = np.array([np.inf if high is None else high for _, high in pairs], dtype=np.float64)
    integer = np.array([steps[id(variable.domain)] == 1 for variable in variables], dtype=np.bool_)
    return Limits(lower, upper, integer)


def load(columns: Columns, values: Mapping[str, Vector]) -> None:
    """Set the values of the variables that are not fixed, from arrays by span name.

    Raises:
        InputError: an array has not as many entries as its span.
    """
    for span in columns.spans:
        if span.name not in values:
            continue
        flat = np.asarray(values[span.name], dtype=np.float64).ravel().tolist()
        if len(flat) != span.size:
            raise InputError(f"values of '{span.name}' have {len(flat)} entries; the model has {span.size}")
        for variable, number in zip(columns.variables[span.slice], flat, strict=True):
            if not variable.fixed:
                # An integer may come as 0.9999999; Pyomo's validation would refuse it.
                variable.set_value(number, skip_validation=True)


def _bounds(variable: Any) -> tuple[float | None, float | None]:
    if not variable.fixed:
        pair: tuple[float | None, float | None] = variable.bounds
        return pair
    if variable.value is None:
        raise InputError(f"variable '{variable.name}' is fixed, but has no value; give it one, or unfix it")
    return variable.value, variable.value


def _step(variable: Any) -> float:
    interval = variable.domain.get_interval()  # (least, largest, step); the step is 0 for reals and None for gaps
    if interval is None or interval[2] not in (0, 1):
        raise InputError(f"variable '{variable.name}' has domain {variable.domain}: only reals and integers are linear")
    return float(interval[2])
