"""The scan of LP files: what stands in front and behind, what is not linear, constants among the terms of rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from oamip.errors import InputError
from oamip.solving.scanning.place import ADVICE, Place

__all__ = ["scan_lp"]

_SENSE = re.compile(r"\s*(minimi[sz]e|minimum|min|maximi[sz]e|maximum|max)\b(?!\s*:)", re.IGNORECASE)
_ROWS = re.compile(r"^\s*(subject\s+to|such\s+that|s\.t\.|st\.?)(?=\s|$)", re.IGNORECASE | re.MULTILINE)
_LATER = re.compile(r"^\s*(bounds?|bin(ar(y|ies))?|gen(erals?)?|int(egers?)?|end)\s*$", re.IGNORECASE | re.MULTILINE)
_FOREIGN_LP = (
    (re.compile(r"->"), "an indicator"),
    (re.compile(r"\["), "a quadratic term"),
    (re.compile(r"^\s*sos[12]?\s*$|::", re.IGNORECASE), "a special ordered set"),
    (re.compile(r"^\s*semi([-_](continuous|integers?))?s?\s*$", re.IGNORECASE), "a semi-continuous column"),
    (re.compile(r"^\s*gen(eral)?\s+cons(traints?)?\s*$", re.IGNORECASE), "a general constraint"),
    (re.compile(r"^\s*lazy\s+constraints?\s*$", re.IGNORECASE), "lazy rows"),
    (re.compile(r"^\s*user\s+cuts?\s*$", re.IGNORECASE), "cuts"),
    (re.compile(r"^\s*pwlobj\s*$", re.IGNORECASE), "a piecewise linear objective"),
    (re.compile(r"multi-?objectives?\s*$", re.IGNORECASE), "several objectives"),
)
_TOKEN = re.compile(
    r"(?P<number>(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?(?![^\s<>=+:-]))|(?P<sense>[<>=]+)|[-+:]|(?P<name>[^\s<>=+:-]+)",
    re.IGNORECASE,
)


def scan_lp(text: str, file: Path) -> frozenset[str]:
    """The columns that the objective and the rows of an LP file name.

    Raises:
        InputError: no sense in front or no ``End`` behind, a number among the terms of a row, or something that is not
            mixed-integer linear.
    """
    place, lines = Place(file), [line.partition("\\")[0] for line in text.splitlines()]
    for place.line, line in enumerate(lines, start=1):
        for pattern, what in _FOREIGN_LP:
            if pattern.search(line):
                raise place.refuse(f"{what} is not read; {ADVICE}")
    bare = "\n".join(lines)
    begins, ends = _SENSE.match(bare), re.search(r"\bend\s*$", bare, re.IGNORECASE)
    if begins is None:
        raise InputError(f"{file}: an LP file begins with Minimize or Maximize")
    if ends is None:
        raise InputError(f"{file}: the file does not finish with End; it may be cut off")
    rows = _ROWS.search(bare, begins.end())
    if rows is None:
        raise InputError(f"{file}: there is no section Subject To")
    later = _LATER.search(bare, rows.end())
    last = later.start() if later else ends.start()
    place.line = bare.count("\n", 0, rows.end()) + 1
    _refuse_constants(bare[rows.end() : last], place)
    return frozenset({*_names(bare[begins.end() : rows.start()]), *_names(bare[rows.end() : last])})


def _names(text: str) -> Iterator[str]:
    return (found["name"] for found in _TOKEN.finditer(text) if found["name"])


def _refuse_constants(text: str, place: Place) -> None:
    """Refuse numbers that are neither coefficients nor right-hand sides."""
    first = place.line
    found = list(_TOKEN.finditer(text))
    right = False  # of the sense of a row
    for token, behind in zip(found, [*found[1:], None], strict=True):
        if token["sense"]:
            right = True
        elif token["number"] and right:
            right = False
        elif token["number"] and not (behind is not None and (behind["name"] or behind[0] == ":")):
            place.line = first + text.count("\n", 0, token.start())
            raise place.refuse(
                f"the number {token[0]} in a row is no coefficient; bring constants to the right-hand side, and write "
                "a row of two sides as two rows"
            )
