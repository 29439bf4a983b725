"""Plug-ins by name, through entry points; asking for names imports nothing.

Seams open to strangers: ``oamip.formulations``, ``oamip.encodings``, ``oamip.backends`` and ``oamip.drivers``.
"""

from __future__ import annotations

from functools import cache
from importlib import metadata
from typing import Any

from oamip.errors import InputError

__all__ = ["entries", "load"]


@cache
def entries(group: str) -> dict[str, metadata.EntryPoint]:
    """What is registered in a group, by name."""
    return {entry.name: entry for entry in metadata.entry_points(group=group)}


def load(group: str, name: str, kind: str, *, besides: str = "") -> Any:
    """The object registered under a name.

    Args:
        group: of entry points.
        name: what the user said.
        kind: what it should have been, for the message.
        besides: names that are known without being registered, for the message.

    Raises:
        InputError: no such name; new entry points need a reinstall.
    """
    found = entries(group)
    if name not in found:
        known = ", ".join(sorted(found)) or "none"
        raise InputError(
            f"no {kind} '{name}'; there are {known}{besides}. A newly written one is found once the package that "
            f"declares it as an entry point of '{group}' has been installed again (pip install -e .)"
        )
    return found[name].load()
