"""The SOS1 sets of a problem: the program's blocks of sets, then the user's own sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from oamip.errors import InputError
from oamip.program import Program
from oamip.solving.compiling import unused_name
from oamip_pulp.coefficients import is_number
from oamip_pulp.naming import set_keys

__all__ = ["Sets", "sets_of"]


@dataclass(frozen=True)
class Sets:
    """Sets of equally many variables each: ``shape`` is (sets, members of each), the members are in C order."""

    name: str
    shape: tuple[int, int]
    members: list[Any]


def sets_of(program: Program, problem: Any) -> list[Sets]:
    """What ``LpProblem.sos1`` now says; a block of the program of which sets are gone falls into those that stand.

    Raises:
        InputError: there are sets of kind 2, or a set is not a dictionary from variables to weights.
    """
    for key in problem.sos2:
        raise InputError(f"sos2 '{key}' is not mixed-integer linear; replace it by binary variables and constraints")
    standing = {str(key): _ordered(str(key), weights) for key, weights in problem.sos1.items()}
    found = []
    for name, sets in program.sets.items():
        count, size = sets.members.shape
        keys = set_keys(name, count)
        if all(len(standing.get(key, ())) == size for key in keys):
            members = [variable for key in keys for variable in standing.pop(key)]
            found.append(Sets(name, (count, size), members))
    taken = {sets.name for sets in found}
    return found + [Sets(unused_name(key, taken), (1, len(members)), members) for key, members in standing.items()]


def _ordered(key: str, weights: Any) -> list[Any]:
    if not isinstance(weights, Mapping) or not all(map(is_number, weights.values())):
        raise InputError(f"sos1 '{key}' is no dictionary from variables to weights; give each member a number")
    return [variable for variable, _ in sorted(weights.items(), key=lambda pair: pair[1])]
