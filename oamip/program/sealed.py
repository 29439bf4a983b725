"""A form that nobody can write to: what a solver is given, as our check reads the same arrays afterwards."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from oamip.program.form import CompiledEpigraph, StandardForm
from oamip.program.logic import CompiledIndicator, CompiledSOS1

__all__ = ["read_only"]

T = TypeVar("T", StandardForm, CompiledEpigraph, CompiledIndicator, CompiledSOS1)


def read_only(form: StandardForm) -> StandardForm:
    """The same form over the same memory, through views that are read-only."""
    return _sealed(form)


def _sealed(record: T) -> T:
    changes: dict[str, Any] = {}
    for field in fields(record):
        part = getattr(record, field.name)
        if isinstance(part, np.ndarray):
            changes[field.name] = _view(part)
        elif isinstance(part, sp.csr_array):
            changes[field.name] = _matrix(part)
        elif field.name in ("epigraphs", "indicators", "sos1"):
            changes[field.name] = tuple(map(_sealed, part))
    return replace(record, **changes)


def _matrix(matrix: sp.csr_array) -> sp.csr_array:
    sealed = sp.csr_array(matrix.shape, dtype=matrix.dtype)  # the other way looks at every index
    sealed.data, sealed.indices, sealed.indptr = map(_view, (matrix.data, matrix.indices, matrix.indptr))
    return sealed


def _view(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view
