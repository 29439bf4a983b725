"""Encodings by name, through the entry-point group ``oamip.encodings``."""

from __future__ import annotations

from oamip.encodings.base import Encoding
from oamip.plugins import load as load_plugin

__all__ = ["find_encoding"]


def find_encoding(encoding: str | Encoding) -> Encoding:
    """An encoding by name, with its defaults; an object that is one already is given back.

    Raises:
        InputError: no such name; new entry points need a reinstall.
    """
    if not isinstance(encoding, str):
        return encoding
    made: Encoding = load_plugin("oamip.encodings", encoding, "encoding")()
    return made
