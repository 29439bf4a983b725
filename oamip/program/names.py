"""Names in model files: readable, unique, and taken for nothing else by any reader.

``keep[3]`` is ``keep(3)`` and ``ship[1,2]`` is ``ship(1,2)``. Characters that readers may trip over become ``_``; a
name that looks like a number or is a word of the LP format gets ``_`` in front; one that is then taken gets ``~2``,
``~3`` and so on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["clean", "unique"]

_WORDS = re.compile(
    r"bin|binar(y|ies)|bounds?|end|free|gen|generals?|inf|infinity|int|integers?|max|maxim(ize|ise|um)|min|minim(ize|ise|um)"
    r"|nan|s\.t\.|semis?|sos[12]?|st\.?|subject|such",
    re.IGNORECASE,
)
_EXPONENT = re.compile(r"[eE]([0-9]|$)")  # `2 e1` is a number to some


def clean(name: str) -> str:
    """A name without spaces, brackets or operators that is no number and no word of the LP format."""
    cleaned = re.sub(r"[^A-Za-z0-9_.,()~]", "_", name.replace("[", "(").replace("]", ")"))
    odd = not re.match(r"[A-Za-z_]", cleaned) or _EXPONENT.match(cleaned) or _WORDS.fullmatch(cleaned)
    return f"_{cleaned}" if odd else cleaned


def unique(names: Iterable[str]) -> list[str]:
    """Every name cleaned, and none twice."""
    found: dict[str, None] = {}  # an ordered set
    for name in map(clean, names):
        candidate, copy = name, 1
        while candidate in found:
            copy += 1
            candidate = f"{name}~{copy}"
        found[candidate] = None
    return list(found)
