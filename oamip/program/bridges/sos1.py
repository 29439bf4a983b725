"""Bridges from SOS1 sets: of some columns, one at most is not zero."""

from __future__ import annotations

import numpy as np

from oamip.program.bridges.draft import Draft, Indices
from oamip.program.logic import CompiledIndicator, CompiledSOS1

__all__ = ["SOS1BigM", "SOS1Indicator"]


class SOS1BigM:
    """A binary for each member, ``lower·z ≤ x ≤ upper·z`` and ``Σ z ≤ 1``; a member that is binary is its own z."""

    way = "big-M with a binary each"
    makes: frozenset[str] = frozenset()

    def obstacle(self, atom: CompiledSOS1, draft: Draft) -> str:
        """Why it cannot be used for an atom; empty when it can."""
        members, form = atom.members.ravel(), draft.form
        endless = np.isinf(form.column_lower[members]) | np.isinf(form.column_upper[members])
        wrong = members[endless]
        return f"column {form.column_name(int(wrong[0]))} has no finite bounds, so no big-M" if wrong.size else ""

    def apply(self, atom: CompiledSOS1, draft: Draft) -> None:  # noqa: D102
        switches, members = _switches(atom, draft)
        lower, upper = draft.form.column_lower[members], draft.form.column_upper[members]
        z, x = draft.entries(switches), draft.entries(members)
        above, below = np.flatnonzero(upper != 0), np.flatnonzero(lower != 0)
        draft.rows(f"{atom.name}_upper", (x[above] - z[above] * upper[above, None]).tocsr(), -np.inf, 0.0)
        draft.rows(f"{atom.name}_lower", (x[below] - z[below] * lower[below, None]).tocsr(), 0.0, np.inf)


class SOS1Indicator:
    """A binary for each member, ``z = 0 ⇒ x = 0`` and ``Σ z ≤ 1``. Needs no bounds."""

    way = "indicators with a binary each"
    makes = frozenset({"indicator"})

    def obstacle(self, atom: CompiledSOS1, draft: Draft) -> str:  # noqa: ARG002, D102
        return ""

    def apply(self, atom: CompiledSOS1, draft: Draft) -> None:  # noqa: D102
        switches, members = _switches(atom, draft)
        nought, endless = np.zeros(members.size), np.full(members.size, np.inf)
        draft.keep(
            CompiledIndicator(
                name=f"{atom.name}_zero",
                switch=switches,
                on=np.zeros(members.size, dtype=np.bool_),
                R=draft.entries(members),
                lower=nought,
                upper=nought,
                lowest=-endless,
                highest=endless,
            )
        )


def _switches(atom: CompiledSOS1, draft: Draft) -> tuple[Indices, Indices]:
    """A binary for every member of which at most one per set is 1; those that were made, and the members they serve."""
    form, members = draft.form, atom.members
    binary = form.integer[members] & (form.column_lower[members] >= 0) & (form.column_upper[members] <= 1)
    switches = members.copy()
    switches[~binary] = draft.binaries(f"{atom.name}_one", int((~binary).sum()))
    draft.rows(f"{atom.name}_count", draft.sums(switches), -np.inf, 1.0)
    return switches[~binary], members[~binary]
