"""Where the program's components stand on the model as it is now, which may be a copy of the one that was built.

``model.clone()`` and ``TransformationFactory(...).create_using(model)`` give a model with variables of its own. Atoms
that Pyomo does not know (indicators and epigraphs) are attached by column, so the columns must be the copy's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from oamip.errors import InputError
from oamip.solving.backend import Built
from oamip_pyomo.built import PyomoBuilt

__all__ = ["standing"]

SCALED = "component_scaling_factor_map"  # what Pyomo's scale_model leaves on a model


def standing(built: Built) -> Built:
    """The same, with the components of ``built.model`` in place of those of the model that it was copied from.

    Raises:
        InputError: variables of the program are not on the model any more; or the model was scaled, so that they stand
            for others, and there are atoms over them.
    """
    if all(_is_here(component, built.model) for component in built.columns.values()):
        return _unscaled(built)
    columns = {name: _twin(built.model, component) for name, component in built.columns.items()}
    for name, twin in columns.items():
        if twin is None or len(twin) != len(built.columns[name]):
            raise InputError(
                f"variables '{name}' of the program are not on this model; give solve_built the model that was built, "
                "or a copy that has them under the same name (model.clone())"
            )
    changes: dict[str, Any] = {"columns": columns, "rows": _twins(built.model, built.rows)}
    if isinstance(built, PyomoBuilt):
        changes["sets"] = _twins(built.model, built.sets)
    return _unscaled(replace(built, **changes))


def _is_here(component: Any, model: Any) -> bool:
    return component.model() is model.model()


def _twin(model: Any, component: Any) -> Any:
    """The component of the same kind and name, or ``None``; names are told on the block that was built."""
    found = model.component(component.local_name)
    return found if found is not None and found.ctype is component.ctype else None


def _twins(model: Any, components: Mapping[str, Any]) -> dict[str, Any]:
    """Rows and sets that a copy has no more are gone from it, as they would be from the model itself."""
    return {name: component for name, old in components.items() if (component := _twin(model, old)) is not None}


def _unscaled(built: Built) -> Built:
    factors = getattr(built.model, SCALED, None)
    if factors is None or not (built.program.epigraphs or built.program.indicators):
        return built
    for name, component in built.columns.items():
        if any(factors.get(variable, 1.0) != 1.0 for variable in component.values()):
            raise InputError(
                f"variables '{name}' were scaled by Pyomo, and indicators or convex functions of the program stand on "
                "them as they were: solve the model without core.scale_model (oamip scales objectives by itself)"
            )
    return built
