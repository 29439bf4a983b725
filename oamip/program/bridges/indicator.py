"""Bridges from indicators ``z = 1 ⇒ lower ≤ a x ≤ upper`` (or ``z = 0 ⇒``)."""

from __future__ import annotations

import numpy as np

from oamip.program.bridges.draft import Draft
from oamip.program.logic import CompiledIndicator, CompiledSOS1

__all__ = ["IndicatorBigM", "IndicatorSlack"]


class IndicatorBigM:
    """Rows ``a x ≤ upper + (highest − upper)(1 − z)`` and ``a x ≥ lower − (lower − lowest)(1 − z)``.

    The factors are the smallest that bounds allow; a side that always holds makes no row.
    """

    way = "big-M"
    makes: frozenset[str] = frozenset()

    def obstacle(self, atom: CompiledIndicator, draft: Draft) -> str:
        """Why it cannot be used for an atom; empty when it can."""
        lowest, highest = atom.reach(draft.form.column_lower, draft.form.column_upper)
        endless = (np.isinf(highest) & np.isfinite(atom.upper)) | (np.isinf(lowest) & np.isfinite(atom.lower))
        wrong = np.flatnonzero(endless)
        return f"row {wrong[0]} has no finite bounds, so there is no big-M" if wrong.size else ""

    def apply(self, atom: CompiledIndicator, draft: Draft) -> None:  # noqa: D102
        lowest, highest = atom.reach(draft.form.column_lower, draft.form.column_upper)
        sides = (
            (1.0, highest, atom.upper, f"{atom.name}_upper"),
            (-1.0, -lowest, -atom.lower, f"{atom.name}_lower"),
        )
        for sign, most, side, name in sides:
            which = np.flatnonzero(most > side)
            if not which.size:
                continue
            factor = most[which] - side[which]
            # On at 1: a x + M z ≤ most; on at 0: a x − M z ≤ side.
            on = atom.on[which]
            switch = draft.entries(atom.switch[which], np.where(on, factor, -factor))
            rows = sign * draft.widened(atom.R[which]) + switch
            draft.rows(name, rows.tocsr(), -np.inf, np.where(on, most[which], side[which]))


class IndicatorSlack:
    """Rows with a slack, ``lower − s ≤ a x ≤ upper + s``, of which the switch allows none: {s, z} is a SOS1 set.

    For a switch that is on at 0, the set has ``1 − z`` in the place of z. Needs no bounds.
    """

    way = "slack in a SOS1 set with the switch"
    makes = frozenset({"sos1"})

    def obstacle(self, atom: CompiledIndicator, draft: Draft) -> str:  # noqa: ARG002, D102
        return ""

    def apply(self, atom: CompiledIndicator, draft: Draft) -> None:  # noqa: D102
        slack = draft.slacks(f"{atom.name}_slack", atom.rows)
        partner = atom.switch.copy()
        reverse = np.flatnonzero(~atom.on)
        if reverse.size:
            opposite = draft.binaries(f"{atom.name}_off", reverse.size)
            pairs = np.column_stack([opposite, atom.switch[reverse]])
            draft.rows(f"{atom.name}_opposite", draft.sums(pairs), 1.0, 1.0)
            partner[reverse] = opposite
        R, up, down = draft.widened(atom.R), np.flatnonzero(np.isfinite(atom.upper)), np.isfinite(atom.lower)
        draft.rows(f"{atom.name}_upper", (R[up] - draft.entries(slack[up])).tocsr(), -np.inf, atom.upper[up])
        low = np.flatnonzero(down)
        draft.rows(f"{atom.name}_lower", (R[low] + draft.entries(slack[low])).tocsr(), atom.lower[low], np.inf)
        draft.keep(CompiledSOS1(f"{atom.name}_set", np.column_stack([slack, partner])))
