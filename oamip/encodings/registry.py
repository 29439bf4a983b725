"""Encodings by name, through the entry-point group ``oamip.encodings``."""

from __future__ import annotations

import importlib.metadata

from oamip.encodings.base import Encoding
from oamip.errors import InputError

__all__ = ["find_encoding"]


def find_encoding(encoding: str | Encoding) -> Encoding:
    """An encoding by name, with its defaults; an object that is one already is given back.

    Raises:
        InputError: no such name; new entry points need a reinstall.
    """
    if not isinstance(encoding, str):
        return encoding
    found = {entry.name: entry for entry in importlib.metadata.entry_points(group="oamip.encodings")}
    if encoding not in found:
        raise InputError(
            f"no encoding '{encoding}'; there are {', '.join(sorted(found)) or 'none'} "
            "(a package that adds one must be installed again after its entry points change)"
        )
    made: Encoding = found[encoding].load()()
    return made
