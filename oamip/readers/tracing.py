"""The calls that a module's forward method makes, recorded by torch.fx."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn

from oamip.errors import InputError
from oamip.readers.operators import module_rule

__all__ = ["trace"]

_REMEDY = (
    "decisions and loops that depend on tensor values cannot be read: take them out of forward, "
    "or decide on something that is fixed when the module is built"
)


class _Tracer(fx.Tracer):
    """Stops at the modules that have a rule, also at classes that only inherit the forward method of one."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return module_rule(m) is not None or super().is_leaf_module(m, module_qualified_name)


def trace(module: nn.Module, inputs: int) -> fx.Graph:
    """Record the forward method of a module, called with ``inputs`` tensors.

    Further arguments of the forward method take their defaults.

    Raises:
        InputError: the forward method cannot be recorded; names the line of the user's code.
    """
    try:
        return _Tracer().trace(module, concrete_args=_defaults(module, inputs))
    except Exception as error:  # the user's code runs in here and may raise anything
        raise InputError(
            f"the forward method of {type(module).__name__} cannot be traced{_line(error)}: "
            f"{str(error).splitlines()[0] if str(error) else type(error).__name__}; {_REMEDY}"
        ) from error


def _defaults(module: nn.Module, inputs: int) -> dict[str, Any] | None:
    """The arguments that are not given, with their defaults, or they would be traced as tensors."""
    parameters = list(inspect.signature(module.forward).parameters.values())[inputs:]
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty} or None


def _line(error: Exception) -> str:
    """`` (net.py, line 12)``: the innermost frame that is neither torch's nor ours."""
    ours = (Path(torch.__file__).parent, Path(__file__).parent)
    frames: Iterable[traceback.FrameSummary] = reversed(traceback.extract_tb(error.__traceback__))
    for frame in frames:
        path = Path(frame.filename)
        if not any(path.is_relative_to(folder) for folder in ours) and not frame.filename.startswith("<"):
            return f" ({path.name}, line {frame.lineno})"
    return ""
