"""Names: PuLP wants them unique, and lets a user give them twice."""

from __future__ import annotations

from itertools import product

__all__ = ["entry_names", "set_keys"]


def entry_names(name: str, shape: tuple[int, ...], taken: set[str], endings: tuple[str, ...] = ("",)) -> list[str]:
    """Names of the entries of a block as ``LpVariable.dicts`` makes them; taken from now on, with all endings.

    Where ``x_1`` is a block as well, the entries of ``x`` are ``x__0``, ``x__1`` ...
    """
    while True:
        names = ["_".join([name, *index]) for index in product(*(map(str, range(length)) for length in shape))]
        ended = [entry + ending for entry in names for ending in endings]
        if taken.isdisjoint(ended):
            taken.update(ended)
            return names
        name += "_"


def set_keys(name: str, count: int) -> list[str]:
    """Keys in ``LpProblem.sos1`` of the sets of a block."""
    return [f"{name}_{i}" for i in range(count)]
