"""The words of an LP file, and the sums and numbers that they make."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from oamip.solving.scanning.place import Place

__all__ = ["RELATIONS", "Word", "amount", "infinite", "split", "terms", "words_of"]

RELATIONS = {"<": "<", "<=": "<", "=<": "<", ">": ">", ">=": ">", "=>": ">", "=": "="}
INFINITE = 1e20  # to every reader
_INFINITY = ("inf", "infinity")
_WORD = re.compile(
    r"(?P<label>[^\s<>=:]+)\s*:|(?P<number>(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?(?![^\s<>=+-]))|(?P<relation>[<>=]+)"
    r"|(?P<sign>[-+])|(?P<name>[^\s<>=+:-]+)|(?P<other>:)",
    re.IGNORECASE,
)
_NUMERAL = re.compile(r"\.?\d")
_EXPONENT = re.compile(r"e\d", re.IGNORECASE)


class Word(NamedTuple):
    """A word, the kind of word that it is, and the line where it stands."""

    kind: str
    text: str
    line: int


def words_of(line: str, number: int) -> list[Word]:
    """The words of a line; a label comes without its colon."""
    return [Word(m.lastgroup or "", m[m.lastgroup or 0], number) for m in _WORD.finditer(line)]


def split(words: Sequence[Word], place: Place) -> tuple[list[list[Word]], list[Word]]:
    """What stands between the relations, and the relations.

    Raises:
        InputError: a relation is none, such as ``==``.
    """
    parts: list[list[Word]] = [[]]
    relations = []
    for word in words:
        if word.kind != "relation":
            parts[-1].append(word)
            continue
        if word.text not in RELATIONS:
            raise place.at(word.line).refuse(f"'{word.text}' is no relation; write <=, >= or =")
        relations.append(word)
        parts.append([])
    return parts, relations


def terms(words: Sequence[Word], place: Place) -> Iterator[tuple[float, Word]]:
    """A sum: coefficients with their columns, constants with the word that says them.

    Raises:
        InputError: two words have no sign between them, a sign has nothing behind it, or a word cannot stand in a sum.
    """
    sign: float | None = 1.0  # None behind a column
    number: Word | None = None
    before: Word | None = None
    for word in words:
        place.at(word.line)
        if word.kind == "sign":
            if number is not None:
                yield _signed(sign, number), number
            sign = (1.0 if sign is None or number is not None else sign) * (-1.0 if word.text == "-" else 1.0)
            number = None
        elif word.kind not in ("number", "name"):
            raise place.refuse(f"'{word.text[:40]}{':' * (word.kind == 'label')}' cannot stand in a sum")
        elif "*" in word.text or "^" in word.text:
            raise place.refuse(
                f"'{word.text[:40]}': an LP file knows no product sign and no powers; write 2 y for 2 * y"
            )
        elif before is not None and (sign is None or (number is not None and word.kind == "number")):
            hint = " (is one of them a misspelt section?)" if before.line != word.line else ""
            raise place.refuse(f"want + or - between '{before.text[:40]}' and '{word.text[:40]}'{hint}")
        elif word.kind == "number":
            number = word
        else:
            if number is not None and _EXPONENT.match(word.text):
                raise place.refuse(
                    f"'{number.text} {word.text[:40]}' begins with a power of ten to some readers; rename "
                    f"column '{word.text[:40]}'"
                )
            yield _signed(sign, number), _column(word, place)
            sign, number = None, None
        before = word
    if number is not None:
        yield _signed(sign, number), number
    elif before is not None and before.kind == "sign":
        raise place.refuse(f"nothing stands behind the last '{before.text}' of a sum")


def _signed(sign: float | None, number: Word | None) -> float:
    return (sign or 1.0) * (float(number.text) if number else 1.0)


def _column(word: Word, place: Place) -> Word:
    if _NUMERAL.match(word.text):
        raise place.refuse(
            f"'{word.text[:40]}' is a product to some readers and the name of a column to others; put a space between "
            "the number and the name, or rename the column"
        )
    if word.text.lower() in (*_INFINITY, "nan"):
        raise place.refuse(f"'{word.text}' is no coefficient, and no name of a column that all readers take for one")
    return word


def amount(words: Sequence[Word]) -> float | None:
    """The number that the words say, infinite from 1e20 on, or None if they are no number."""
    *signs, last = words or [Word("", "", 0)]
    if any(word.kind != "sign" for word in signs):
        return None
    if last.kind == "number":
        value = float(last.text)
    elif last.kind == "name" and last.text.lower() in _INFINITY:
        value = math.inf
    else:
        return None
    return infinite(-value if sum(word.text == "-" for word in signs) % 2 else value)


def infinite(value: float) -> float:
    """The value, infinite from 1e20 on."""
    return math.copysign(math.inf, value) if abs(value) >= INFINITE else value
