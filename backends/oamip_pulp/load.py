"""An answer back into the variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from pulp import LpSolutionIntegerFeasible, LpStatusNotSolved

from oamip.errors import InputError
from oamip.solving.backend import Built
from oamip_pulp.columns import columns_of
from oamip_pulp.reading import read

__all__ = ["load"]

Vector: TypeAlias = NDArray[np.float64]


def load(built: Built, values: Mapping[str, Vector]) -> None:
    """Set ``varValue`` from arrays by span name.

    Raises:
        InputError: an array has not as many entries as its span.
    """
    columns = columns_of(built, read(built).mentioned)
    for span in columns.spans:
        if span.name not in values:
            continue
        flat = np.asarray(values[span.name], dtype=np.float64).ravel().tolist()
        if len(flat) != span.size:
            raise InputError(f"values of '{span.name}' have {len(flat)} entries; the problem has {span.size}")
        for variable, number in zip(columns.variables[span.slice], flat, strict=True):
            variable.varValue = number
    # What PuLP calls "Optimal" after a time limit would be a claim that nobody has checked here.
    built.model.assignStatus(LpStatusNotSolved, LpSolutionIntegerFeasible)
