"""What a bridge is."""

from __future__ import annotations

from typing import Any, Protocol

from oamip.program.bridges.draft import Draft

__all__ = ["Bridge"]


class Bridge(Protocol):
    """One rewrite of one kind of atom.

    Attributes:
        way: what ``--explain`` calls it.
        makes: kinds of atoms in its output, which the solver must accept.
    """

    way: str
    makes: frozenset[str]

    def obstacle(self, atom: Any, draft: Draft) -> str:
        """Why an atom cannot be rewritten so; empty when it can."""
        ...

    def apply(self, atom: Any, draft: Draft) -> None:
        """Add what stands for the atom."""
        ...
