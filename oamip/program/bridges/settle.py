"""A form whose switches and sets are decided by a point: what remains has no logic in it."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.program.bridges.draft import Draft
from oamip.program.form import StandardForm

__all__ = ["settle"]

Vector: TypeAlias = NDArray[np.float64]


def settle(form: StandardForm, x: Vector) -> StandardForm:
    """Integers fixed at ``x``, rows that its switches turn on as plain rows, members of sets but the largest at 0.

    Every point of the result that meets the switches is one of the form.
    """
    lower = np.where(form.integer, np.round(x), form.column_lower)
    upper = np.where(form.integer, np.round(x), form.column_upper)
    for sos1 in form.sos1:
        other = np.ones(sos1.members.shape, dtype=np.bool_)
        np.put_along_axis(other, np.abs(x[sos1.members]).argmax(axis=1)[:, None], values=False, axis=1)
        lower[sos1.members[other]] = upper[sos1.members[other]] = 0.0
    draft = Draft(replace(form, column_lower=lower, column_upper=upper, integer=np.zeros_like(form.integer)))
    for indicator in form.indicators:
        on = np.flatnonzero((x[indicator.switch] > 0.5) == indicator.on)
        draft.rows(indicator.name, indicator.R[on], indicator.lower[on], indicator.upper[on])
    return draft.finish()
