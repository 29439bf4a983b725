"""How the entries of a Pyomo component are named in a standard form.

A component whose keys are a grid counted from 0, in order, is one run of its shape: ``budget`` of shape (10,), with
entries ``budget[0]`` to ``budget[9]``. Any other (keys are words, or count from 1, or some entries are inactive or
deleted) gives one run per entry, under Pyomo's own name for it, so that a name never means another entry than it says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Run", "labelled_runs", "runs"]


@dataclass(frozen=True)
class Run:
    """Entries that follow each other under one name; ``entries`` are the ``VarData`` or ``ConstraintData``."""

    name: str
    shape: tuple[int, ...]
    entries: list[Any]


def runs(component: Any, label: str, wanted: Callable[[Any], bool]) -> Iterator[Run]:
    """The wanted entries of a component as runs named after ``label``, which is the component's name or its block's."""
    kept = {key: entry for key, entry in component.items() if wanted(entry)}
    shape = _shape(component, list(kept))
    if shape is not None:
        yield Run(label, shape, list(kept.values()))
        return
    for entry in kept.values():
        yield Run(_entry_name(component, label, entry), (), [entry])


def labelled_runs(model: Any, kind: Any, ours: Mapping[str, Any]) -> Iterator[Run]:
    """The active entries of all components of a kind: ``ours`` first and under the labels there, then the user's."""
    labels = {id(component): label for label, component in ours.items()}
    order = {identity: position for position, identity in enumerate(labels)}
    active = model.component_objects(kind, active=True, descend_into=True)
    for component in sorted(active, key=lambda component: order.get(id(component), len(order))):
        if not component.is_reference():  # its entries stand elsewhere on the model too
            yield from runs(component, labels.get(id(component), component.name), lambda entry: entry.active)


def _shape(component: Any, keys: list[Any]) -> tuple[int, ...] | None:
    """The shape whose indices in C order are exactly ``keys``, or ``None``."""
    if not keys:
        return None
    if not component.is_indexed():
        return ()
    last = keys[-1] if isinstance(keys[-1], tuple) else (keys[-1],)
    if not all(isinstance(i, (int, np.integer)) and i >= 0 for i in last):
        return None
    shape = tuple(int(i) + 1 for i in last)
    if math.prod(shape) != len(keys):
        return None
    grid = list(np.ndindex(*shape)) if isinstance(keys[-1], tuple) else list(range(shape[0]))
    return shape if keys == grid else None


def _entry_name(component: Any, label: str, entry: Any) -> str:
    # The entries of a reference belong to other components and keep the names that they have there.
    if entry.parent_component() is not component:
        return str(entry.name)
    return label + str(entry.name).removeprefix(component.name)
