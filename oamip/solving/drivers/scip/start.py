"""A first point, as SCIP takes one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.program import StandardForm
from oamip.solving.drivers.scip.atoms import Auxiliary

__all__ = ["give_start"]

Vector: TypeAlias = NDArray[np.float64]

NEAR = 1e-5  # an integer entry so near to an integer means it


def give_start(
    scip: Any, form: StandardForm, columns: Sequence[Any], auxiliaries: Sequence[Auxiliary], start: Vector
) -> tuple[bool, tuple[str, ...]]:
    """Offer a point (NaN: unknown) to the next solve.

    Returns:
        Whether only a part was given, which SCIP then keeps for all solves to come; and warnings about what it refuses.

    A whole point that passes SCIP's check is an incumbent at once. Of any other the integers are given, and whatever
    else is known, for SCIP's heuristic to complete.
    """
    x = np.asarray(start, dtype=np.float64)
    x = np.where(form.integer & (np.abs(x - np.round(x)) <= NEAR), np.round(x), x)
    values = np.concatenate([x, *(auxiliary.values(x) for auxiliary in auxiliaries)])
    variables = [*columns, *(variable for auxiliary in auxiliaries for variable in auxiliary.variables)]
    if not np.isfinite(values).all():
        return _give_part(scip, form, variables, values)
    whole = _filled(scip.createOrigSol(), variables, values)
    if scip.checkSol(whole, original=True, printreason=False):
        scip.addSol(whole)
        return False, ()
    scip.freeSol(whole)
    values[~np.append(form.integer, np.zeros(values.size - x.size, dtype=bool))] = np.nan
    refused = "option start: SCIP finds that it violates the program"
    if not form.integer.any():
        return False, (refused,)
    given, warnings = _give_part(scip, form, variables, values)
    return given, (refused + "; its integers are tried", *warnings)


def _give_part(scip: Any, form: StandardForm, variables: list[Any], values: Vector) -> tuple[bool, tuple[str, ...]]:
    if not form.integer.any():
        return False, ("option start: SCIP has no use for a part of a point of a program without integers",)
    known = np.flatnonzero(np.isfinite(values)).tolist()
    scip.addSol(_filled(scip.createPartialSol(), [variables[j] for j in known], values[known]))
    return True, ()


def _filled(solution: Any, variables: list[Any], values: Vector) -> Any:
    for variable, value in zip(variables, values.tolist(), strict=True):
        solution[variable] = value
    return solution
