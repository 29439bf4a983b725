"""Everything that a problem states, as it now stands, still in terms of its variables."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pulp import LpAffineExpression

from oamip.solving.backend import Built
from oamip_pulp.rows import Rows, rows_of
from oamip_pulp.sets import Sets, sets_of

__all__ = ["Reading", "read"]

Objects: TypeAlias = NDArray[np.object_]


@dataclass(frozen=True)
class Reading:
    """Rows, objective (an ``LpAffineExpression``) and SOS1 sets."""

    rows: Rows
    objective: Any
    sets: list[Sets]

    @property
    def mentioned(self) -> Objects:
        """The variables of all expressions in rows, of the objective and of all sets, one behind the other."""
        places = chain(self.rows.expressions.values(), [self.objective], (each.members for each in self.sets))
        return np.fromiter(chain.from_iterable(places), dtype=object)


def read(built: Built) -> Reading:
    """Read a problem.

    Raises:
        InputError: a constraint or a set cannot be used; the message names it.
    """
    objective = LpAffineExpression(built.model.objective)  # PuLP takes a variable, a number and None as well
    objective.pop(built.model.dummyVar, None)  # PuLP leaves it in a constant objective that it has solved with
    return Reading(rows_of(built), objective, sets_of(built.program, built.model))
