"""The SOS1 sets of a model: the program's in block order, then the user's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyomo.environ as pyo

from oamip.errors import InputError
from oamip.program import CompiledSOS1
from oamip.solving.backend import Built
from oamip_pyomo.built import PyomoBuilt
from oamip_pyomo.naming import labelled_runs

__all__ = ["sets_of"]


def sets_of(built: Built, variables: list[Any]) -> tuple[CompiledSOS1, ...]:
    """Every active set over the given variables (``VarData``, one per column).

    Raises:
        InputError: a set is not of kind 1, or has a member that is not on this model; the message names it.
    """
    position = {id(variable): j for j, variable in enumerate(variables)}
    ours = built.sets if isinstance(built, PyomoBuilt) else {}
    found = []
    for run in labelled_runs(built.model, pyo.SOSConstraint, ours):
        members = [_members(entry, position) for entry in run.entries]
        if len({len(each) for each in members}) == 1:
            found.append(CompiledSOS1(run.name, np.array(members, dtype=np.intp)))
        else:
            found += [
                CompiledSOS1(entry.name, np.array([each], dtype=np.intp))
                for entry, each in zip(run.entries, members, strict=True)
            ]
    return tuple(found)


def _members(entry: Any, position: dict[int, int]) -> list[int]:
    if entry.level != 1:
        raise InputError(
            f"SOSConstraint '{entry.name}' is of kind {entry.level}, which is not mixed-integer linear; replace it by "
            "binary variables and constraints"
        )
    try:
        return [position[id(variable)] for variable, _ in sorted(entry.get_items(), key=lambda pair: pair[1])]
    except KeyError:
        stranger = next(variable for variable in entry.variables if id(variable) not in position)
        raise InputError(
            f"SOSConstraint '{entry.name}' uses variable '{stranger.name}', which is not on this model"
        ) from None
